"""The facts (facts/*.toml): what may be asked, and the one answer to each.

A fact has an id, an answer and patterns: `how` (verb phrases: "eject the drive"), `topic` (noun
phrases: "the LED"), `case` (clauses about a situation: "nothing happens"), `claim` (clauses that
may be true or false) and `ask` (whole questions and key words; phrasings/spoken.toml has more of
them). phrasings/written.toml has questions by other authors, which are taken as they are.
slots.toml holds the slots, the frames around each kind of pattern, and the words around a whole
question.
Used by phrasing.py and evaluate.py.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
KINDS = ("written", "ask", "how", "topic", "case", "claim")
KIND_SHARES = {"written": 6.0, "ask": 9.0, "how": 2.5, "topic": 2.0, "case": 2.5, "claim": 1.0}

Phrasings = dict[str, list[str]]  # by the id of the fact that they ask for


@dataclass(frozen=True)
class Fact:
    """One answer and the patterns of the questions that it answers."""

    id: str
    answer: str
    patterns: dict[str, list[str]]
    share: float

    def kinds(self) -> tuple[list[str], list[float]]:
        """The kinds of pattern that this fact has, and how often each is drawn."""
        present = [kind for kind in KINDS if self.patterns[kind]]
        return present, [KIND_SHARES[kind] for kind in present]


@dataclass(frozen=True)
class Language:
    """All facts with the slots, frames and surroundings that they share."""

    facts: list[Fact]
    slots: dict[str, list[str]]
    frames: dict[str, list[str]]
    around: dict[str, list[str]]
    synonyms: dict[str, list[str]]


def load_language() -> Language:
    """Read slots.toml and facts/*.toml. Raises ValueError on an unknown key or a repeated id."""
    shared = tomllib.loads((HERE / "slots.toml").read_text("utf-8"))
    slots = dict(shared["slots"])
    spoken, written = (_phrasings(name) for name in ("spoken", "written"))
    facts: list[Fact] = []
    for path in sorted((HERE / "facts").glob("*.toml")):
        document = tomllib.loads(path.read_text("utf-8"))
        slots |= document.get("slots", {})
        facts += [_fact(entry, path.name, spoken, written) for entry in document["fact"]]
    if len({fact.id for fact in facts}) != len(facts):
        raise ValueError("two facts have the same id")
    synonyms = {word: group for group in shared["synonyms"]["groups"] for word in group}
    return Language(facts, slots, shared["frames"], shared["around"], synonyms)


def _fact(entry: dict, file_name: str, spoken: Phrasings, written: Phrasings) -> Fact:
    unknown = set(entry) - {"id", "answer", "share", *KINDS[1:]}
    if unknown:
        raise ValueError(f"{file_name}: fact {entry.get('id')} has unknown keys {sorted(unknown)}")
    patterns = {kind: entry.get(kind, []) for kind in KINDS}
    patterns["ask"] = patterns["ask"] + spoken.get(entry["id"], [])
    patterns["written"] = [literal(text) for text in written.get(entry["id"], [])]
    return Fact(entry["id"], entry["answer"], patterns, entry.get("share", 1.0))


def load_phrasings(name: str) -> list[tuple[str, str]]:
    """Pairs (fact id, question) that a person wrote: name is `heldout`, `dev` or `tuning`."""
    return [
        (fact_id, asked) for fact_id, all_asked in _phrasings(name).items() for asked in all_asked
    ]


def _phrasings(name: str) -> Phrasings:
    return tomllib.loads((HERE / "phrasings" / f"{name}.toml").read_text("utf-8"))


def literal(text: str) -> str:
    """A pattern that produces this text, without the brackets that a pattern is made of."""
    return re.sub(r"[(){}|]", "", text)
