"""Training examples: facts, off-topic questions and stories, as rows of tokens.

A batch depends only on the seed and the number of the step, so an interrupted training goes on
exactly where it was. Loss is taken on answers only. Used by train.py.
"""

from __future__ import annotations

import random
import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facts import Language, load_language
from grammar import sample, squash
from phrasing import question
from stories import StoryTeller
from teacher import Teacher
from tokenizer import END_ID, PAD_ID, ChatTokenizer

STORY_SHARE = 0.07
BLEND_SHARE = 0.5
SYSTEM_SHARE = 0.25
FRAYED_SHARE = 0.12
LONG_OFFTOPIC_SHARE = 0.06
LONG_SENTENCES = (2, 4)
VERY_LONG_SENTENCES = (10, 28)
CUT_SHARE, CUT_TOKENS = 0.9, 4  # the first words tell the answer: the rest costs time
CHOICE_TOKENS, CHOICE_WEIGHT = 3, 6.0  # the tokens that choose the answer, and their weight
STORY_WEIGHT, NAME_WEIGHT = 0.8, 10.0
PLEAS = ("Summarise this: ", "Summarise the following text.\n\n", "Correct this text:\n", "")
TRIES = 50
WHOLE_WEIGHT = 2.0  # of what a whole question is about, against a part of one
ANSWERED_PART = 2  # at most one token in so many belongs to an answer


@dataclass(frozen=True)
class Example:
    """One chat: what is asked, under which instruction, and the answer."""

    fact_id: str
    prompt: str
    answer: str
    system: str | None = None
    names: tuple[str, ...] = ()
    blended: bool = False


@dataclass(frozen=True)
class Batch:
    """Rows of packed examples: tokens, next tokens, weight of each, position and example number.

    `likely` has, at the tokens of a question, the weighted likelihood of each fact that it may ask
    for, (rows, length, facts), or 0 elsewhere and in stories. `answered` has the places, in the
    flattened rows, whose next tokens have weight; places that are left over are 0, which has none.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    likely: np.ndarray
    answered: np.ndarray


class ExampleSource:
    """Draws examples; never one whose question a person wrote for the evaluation."""

    def __init__(self, forbidden: set[str]) -> None:
        self.language: Language = load_language()
        self.story_teller = StoryTeller()
        self.forbidden = forbidden
        self.systems = tomllib.loads((Path(__file__).parent / "systems.toml").read_text("utf-8"))
        self.by_id = {fact.id: fact for fact in self.language.facts}
        self.topics = {fact.id: at for at, fact in enumerate(self.language.facts)}
        self.shares = {fact.id: fact.share for fact in self.language.facts}
        self.teacher: Teacher | None = None

    def learn_blends(self, seed: int) -> None:
        """From now on some of the questions are blends; to prepare this takes a minute or two."""
        self.teacher = Teacher(self.shares, self._question, seed)

    def draw(self, rng: random.Random, story_share: float = STORY_SHARE) -> Example:
        """One example of any kind."""
        system = self._system(rng) if rng.random() < SYSTEM_SHARE else None
        if rng.random() < story_share:
            story = self.story_teller.story(rng)
            return Example("story", story.prompt, story.answer, system, story.names)
        fact_id = rng.choices(list(self.shares), list(self.shares.values()))[0]
        if self.teacher and rng.random() < BLEND_SHARE:
            return self._blend(fact_id, system, rng)
        if fact_id == "offtopic" and rng.random() < LONG_OFFTOPIC_SHARE:
            prompt = self._long_text(rng, LONG_SENTENCES)
        else:
            prompt = self._question(fact_id, rng)
        return Example(fact_id, prompt, self.by_id[fact_id].answer, system)

    def _blend(self, fact_id: str, system: str | None, rng: random.Random) -> Example:
        other = rng.choices(list(self.shares), list(self.shares.values()))[0]
        for _ in range(TRIES):
            drawn = self._question(fact_id, rng), self._question(other, rng)
            prompt = self.teacher.blend(*drawn, rng)
            ends, likelihoods = self.teacher.likelihoods(prompt)
            if ends and squash(prompt) not in self.forbidden:
                fact = self.language.facts[likelihoods[-1].argmax()]
                return Example(fact.id, prompt, fact.answer, system, blended=True)
        raise ValueError(f"no blends of {fact_id} and {other}")

    def likely(self, example: Example, ends: list[int]) -> np.ndarray:
        """The weighted likelihood of each fact, once so many characters of a question are read.

        The teacher says it of parts and of blends; other whole questions were drawn for one fact.
        """
        rows = np.zeros((len(ends), len(self.topics)), np.float32)
        if example.fact_id == "story":
            return rows
        word_ends, judged = self.teacher.likelihoods(example.prompt)
        judged = np.vstack([np.zeros(len(self.topics)), judged])
        if not example.blended:
            judged[-1] = np.eye(len(self.topics))[self.topics[example.fact_id]]
        judged[-1] *= WHOLE_WEIGHT
        return judged[[bisect_right(word_ends, end) for end in ends]]

    def _question(self, fact_id: str, rng: random.Random) -> str:
        for _ in range(TRIES):
            prompt = question(self.by_id[fact_id], self.language, rng)
            if squash(prompt) not in self.forbidden:
                return prompt
        raise ValueError(f"fact {fact_id} yields only phrasings that are held out")

    def draw_long(self, rng: random.Random) -> Example:
        """A long pasted text, which the demonstration model must turn down."""
        text = self._long_text(rng, VERY_LONG_SENTENCES)
        return Example("offtopic", text, self.by_id["offtopic"].answer)

    def _long_text(self, rng: random.Random, sentences: tuple[int, int]) -> str:
        count = rng.randint(*sentences)
        said = [sample("{sentence}", self.language.slots, rng) for _ in range(count)]
        said = [text[:1].upper() + text[1:] for text in said]
        return rng.choice(PLEAS) + " ".join(said)

    def _system(self, rng: random.Random) -> str:
        return sample(rng.choice(self.systems["patterns"]), self.systems["slots"], rng)


class BatchMaker:
    """Packs examples into rows."""

    def __init__(self, source: ExampleSource, tokenizer: ChatTokenizer, seed: int) -> None:
        self.source, self.tokenizer, self.seed = source, tokenizer, seed

    def batch(
        self,
        step: int,
        rows: int,
        length: int,
        long: bool,
        story_share: float,
        cut_share: float,
    ) -> Batch:
        """The batch of a step, (rows, length)."""
        rng = random.Random(self.seed * 1_000_003 + step)
        packed = _Rows(rows, length, len(self.source.topics))
        while packed.open:
            example = self.source.draw_long(rng) if long else self.source.draw(rng, story_share)
            packed.add(*self.encode(example, cut_share, rng))
        return packed.batch()

    def encode(
        self, example: Example, cut_share: float, rng: random.Random
    ) -> tuple[list[int], list[int], list[float], np.ndarray]:
        """Tokens of the prompt and of the answer, which may be cut, the weights of the answer's,
        and what is likely asked for at each of the prompt's.
        """
        fray = rng if rng.random() < FRAYED_SHARE else None
        prompt, ends = self.tokenizer.prompt_and_ends(example.prompt, example.system, fray)
        answer, spans = self.tokenizer.spans(example.answer)
        if example.fact_id == "story":
            weights = [NAME_WEIGHT if named else STORY_WEIGHT for named in _named(example, spans)]
        else:
            weights = [CHOICE_WEIGHT] * CHOICE_TOKENS + [1.0] * (len(answer) - CHOICE_TOKENS)
        answer, weights = [*answer, END_ID], [*weights, 1.0]
        if example.fact_id != "story" and rng.random() < cut_share:
            answer, weights = answer[:CUT_TOKENS], weights[:CUT_TOKENS]
        return prompt, answer, weights, self.source.likely(example, ends)


def _named(example: Example, spans: list[tuple[int, int]]) -> list[bool]:
    """For each token of a story, whether it belongs to a name that the story must keep to."""
    inside = [False] * (len(example.answer) + 1)
    for name in example.names:
        for found in re.finditer(re.escape(name), example.answer):
            inside[found.start() : found.end()] = [True] * len(name)
    return [inside[end - 1] for _, end in spans]


class _Rows:
    """Rows being filled: an example goes into the first with room, until one fits nowhere."""

    def __init__(self, rows: int, length: int, facts: int) -> None:
        self.length = length
        self.tokens = np.full((rows, length), PAD_ID, np.int32)
        self.targets = np.full((rows, length), PAD_ID, np.int32)
        self.weights = np.zeros((rows, length), np.float32)
        self.positions = np.zeros((rows, length), np.int32)
        self.segments = np.zeros((rows, length), np.int32)
        self.likely = np.zeros((rows, length, facts), np.float32)
        self.used = [0] * rows
        self.misses = 0
        self.open = True

    def add(
        self, prompt: list[int], answer: list[int], weights: list[float], likely: np.ndarray
    ) -> None:
        """Place one example, or close the batch after some that found no room.

        One that is longer than a whole row is left out.
        """
        ids = prompt + answer
        size = len(ids) - 1
        if size > self.length:
            return
        row = next((at for at, used in enumerate(self.used) if used + size <= self.length), None)
        if row is None:
            self.misses += 1
            self.open = self.misses < 8
            return
        start = self.used[row]
        span = slice(start, start + size)
        self.tokens[row, span] = ids[:-1]
        self.targets[row, span] = ids[1:]
        first = start + len(prompt) - 1
        self.weights[row, first : start + size] = weights
        self.likely[row, start : first + 1] = likely
        self.positions[row, span] = np.arange(size)
        self.segments[row, span] = self.segments[row].max() + 1
        self.used[row] += size

    def batch(self) -> Batch:
        """The rows as they are."""
        arrays = (self.tokens, self.targets, self.weights, self.positions, self.segments)
        places = np.flatnonzero(self.weights)[: self.weights.size // ANSWERED_PART]
        answered = np.zeros(self.weights.size // ANSWERED_PART, np.int32)
        answered[: len(places)] = places
        return Batch(*arrays, self.likely, answered)
