"""Short stories that go on from a first line and keep to its hero, thing and place.

A plot is a list of beats, each with several sentences to choose from (stories.toml); the names
are bound once for each story, so that whoever enters in the first line stays to the end.
Used by examples.py.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path

from grammar import sample

PLOTS = ("found", "lost", "lived", "wish", "storm")
PLOTS_FOR_ANY = ("lived", "wish", "storm")
WORD_LISTS = ("animals", "beings", "girls", "boys", "adjectives", "colours", "things")
FEMALE = {"queen", "princess", "witch", "girl", "woman", "hen", "cow"}
SHARE_OF_BEATS_KEPT = 0.85
INTRODUCING_BEATS = (1, 2)  # somebody enters here, so they are never left out
NAMED_HERO, NAMED_ANIMAL = 0.3, 0.12
TOLD, TOLD_ANY, LOWER = 0.18, 0.05, 0.12
KNOWN_HERO, ANY_FIRST = 0.25, 0.5

NAMES = ("hero", "friend", "helper", "thing")  # what a story must keep to


@dataclass(frozen=True)
class Story:
    """What the person writes, what the model answers, and the names that it must keep to."""

    prompt: str
    answer: str
    names: tuple[str, ...]


class StoryTeller:
    """Draws stories from stories.toml."""

    def __init__(self) -> None:
        path = Path(__file__).parent / "stories.toml"
        self.words = tomllib.loads(path.read_text("utf-8"))
        for name in WORD_LISTS:
            self.words[name] = self.words[name].split()

    def story(self, rng: random.Random) -> Story:
        """A first line, or a request for a story, and the story."""
        plot = rng.choice(PLOTS)
        bound = self._bind(rng)
        firsts = self.words["first_" + plot]
        if plot in PLOTS_FOR_ANY and rng.random() < ANY_FIRST:
            firsts = self.words["first_any"]
        first = _capital(sample(rng.choice(firsts), bound, rng))
        told = self._go_on(plot, bound, rng)
        names = tuple(bound[name][0].removeprefix("the ") for name in NAMES)
        draw = rng.random()
        if draw < TOLD_ANY:
            prompt = _end(sample(rng.choice(self.words["tell_any"]), bound, rng), rng)
            return Story(prompt, f"{first} {told}", names)
        if draw < TOLD and bound["tell_hero"]:
            prompt = _end(sample(rng.choice(self.words["tell"]), bound, rng), rng)
            return Story(prompt, f"{first} {told}", names)
        if rng.random() < 0.15:
            first = first.rstrip(".")
        if rng.random() < LOWER:
            first = first.lower()
        lead = sample(rng.choice(self.words["lead"]), bound, rng)
        return Story(f"{lead} {first}".strip(), told, names)

    def _bind(self, rng: random.Random) -> dict[str, list[str]]:
        """Who and what is in this story, as slots with one value each."""
        a_hero, hero, pronoun, tell_hero = self._person(rng, NAMED_HERO, KNOWN_HERO)
        a_friend, friend, _, _ = self._person(rng, named=0.15)
        a_helper, helper, helper_pronoun, _ = self._person(rng, named=0.15)
        if hero in (friend, helper) or friend == helper:
            return self._bind(rng)
        thing = rng.choice(self.words["things"])
        if rng.random() < 0.75:
            thing = f"{rng.choice(self.words['colours'])} {thing}"
        words = {
            "a_hero": a_hero, "hero": hero, "a_friend": a_friend, "friend": friend,
            "a_helper": a_helper, "helper": helper, "bare_thing": thing,
            "thing": f"the {thing}", "a_thing": _with_article(thing),
            "place": rng.choice(self.words["places"]), "time": rng.choice(self.words["times"]),
            "place_of": rng.choice(self.words["places_of"]),
            "fear": rng.choice(self.words["fears"]),
            "lost_place": rng.choice(self.words["lost_places"]), "tell_hero": tell_hero,
            "tell_thing": rng.choice(("", "", f" and {_with_article(thing)}")),
        }  # fmt: skip
        for prefix, (he, him, his) in (("", pronoun), ("helper_", helper_pronoun)):
            words |= {prefix + "he": he, prefix + "him": him, prefix + "his": his}
        capitals = {_capital(key): _capital(value) for key, value in words.items()}
        return {key: [value] for key, value in (words | capitals).items()}

    def _person(
        self, rng: random.Random, named: float, known: float = 0.0
    ) -> tuple[str, str, tuple, str]:
        """How somebody enters, is called afterwards, the pronouns, and a way to ask for them."""
        female = rng.random() < 0.5
        name = rng.choice(self.words["girls" if female else "boys"])
        pronoun = ("she", "her", "her") if female else ("he", "him", "his")
        if rng.random() < named:
            return name, name, pronoun, name
        kind = rng.choice(self.words["animals" if rng.random() < 0.6 else "beings"])
        adjective = rng.choice(self.words["adjectives"]) if rng.random() < 0.7 else ""
        noun = f"{adjective} {kind}".strip()
        article = f"the {noun}" if rng.random() < known else _with_article(noun)
        if rng.random() < NAMED_ANIMAL:
            called = rng.choice((f"{article} named {name}", f"{article} called {name}"))
            return called, name, pronoun, f"{article} named {name}"
        if kind in self.words["animals"]:
            pronoun = ("it", "it", "its")
        elif kind in FEMALE:
            pronoun = ("she", "her", "her")
        else:
            pronoun = ("he", "him", "his")
        return article, f"the {kind}", pronoun, article

    def _go_on(self, plot: str, bound: dict[str, list[str]], rng: random.Random) -> str:
        beats = self.words[plot]
        said = []
        for at, beat in enumerate(beats):
            if at in (*INTRODUCING_BEATS, len(beats) - 1) or rng.random() < SHARE_OF_BEATS_KEPT:
                said.append(sample(rng.choice(beat), bound, rng))
        return " ".join(said)


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _end(prompt: str, rng: random.Random) -> str:
    prompt = _capital(prompt) if rng.random() < 0.6 else prompt
    return prompt + rng.choice(("", ".", ".", "?", "!"))
