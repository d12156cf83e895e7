"""Patterns: short texts with alternatives, from which phrasings are drawn.

`(a|b|)` is one of the alternatives, which may be empty and may hold further patterns; `{name}` is
a slot, itself a list of patterns. A pattern can be sampled, or turned into a regular expression
that accepts exactly what it can produce (evaluate.py uses that to prove that held-out phrasings
are outside the grammar). Used by facts.py, phrasing.py and stories.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache

Slots = Mapping[str, list[str]]
CONTRACTIONS = (
    (r"\bcan't\b", "cannot"), (r"\bwon't\b", "will not"), (r"n't\b", " not"), (r"'m\b", " am"),
    (r"'re\b", " are"), (r"'ve\b", " have"), (r"'ll\b", " will"), (r"'d\b", " would"),
    (r"\b(what|where|how|it|there|that|who|why)'s\b", r"\1 is"),
)  # fmt: skip
Node = str | tuple  # text, ("slot", name), ("any", alternatives) or ("all", parts)


@cache
def parse(pattern: str) -> Node:
    """The tree of a pattern. Raises ValueError when brackets do not match."""
    node, end = _parse_sequence(pattern, 0)
    if end != len(pattern):
        raise ValueError(f"unmatched bracket at column {end + 1} of pattern: {pattern}")
    return node


def _parse_sequence(pattern: str, at: int) -> tuple[Node, int]:
    parts: list[Node] = []
    while at < len(pattern) and pattern[at] not in "|)":
        if pattern[at] == "(":
            part, at = _parse_alternatives(pattern, at + 1)
        elif pattern[at] == "{":
            end = pattern.index("}", at)
            part, at = ("slot", pattern[at + 1 : end]), end + 1
        else:
            end = at
            while end < len(pattern) and pattern[end] not in "(|){":
                end += 1
            part, at = pattern[at:end], end
        parts.append(part)
    return ("all", tuple(parts)), at


def _parse_alternatives(pattern: str, at: int) -> tuple[Node, int]:
    alternatives = []
    while True:
        node, at = _parse_sequence(pattern, at)
        alternatives.append(node)
        if at >= len(pattern):
            raise ValueError(f"a bracket is not closed in pattern: {pattern}")
        at += 1
        if pattern[at - 1] == ")":
            return ("any", tuple(alternatives)), at


def sample(pattern: str, slots: Slots, rng: random.Random) -> str:
    """One random text of the pattern, with single spaces."""
    return " ".join(_sample_node(parse(pattern), slots, rng).split())


def _sample_node(node: Node, slots: Slots, rng: random.Random) -> str:
    if isinstance(node, str):
        return node
    kind, content = node
    if kind == "slot":
        return _sample_node(parse(rng.choice(slots[content])), slots, rng)
    if kind == "any":
        return _sample_node(rng.choice(content), slots, rng)
    return "".join(_sample_node(part, slots, rng) for part in content)


def to_regex(pattern: str, slots: Slots) -> str:
    """A regular expression for the texts of a pattern, squashed (see `squash`)."""
    return _node_regex(parse(pattern), slots)


def _node_regex(node: Node, slots: Slots) -> str:
    if isinstance(node, str):
        return squash(node)
    kind, content = node
    if kind == "all":
        return "".join(_node_regex(part, slots) for part in content)
    parts = [parse(pattern) for pattern in slots[content]] if kind == "slot" else content
    return "(?:" + "|".join(_node_regex(part, slots) for part in parts) + ")"


def squash(text: str) -> str:
    """Letters and digits only, lower case, contractions written out: to compare phrasings by."""
    text = text.lower().replace("\u2019", "'")
    for short_form, long_form in CONTRACTIONS:
        text = re.sub(short_form, long_form, text)
    return re.sub(r"[^a-z0-9]", "", text)
