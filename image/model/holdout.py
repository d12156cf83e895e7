"""Proof that the phrasings written by hand are outside the training data: `python holdout.py`.

Each is compared with everything that the patterns can produce (frame and pattern, with what may
stand around them) and with a large sample of training questions, which adds synonyms and other
variation. Spaces, case, punctuation and contractions do not count. Used by evaluate.py.
"""

from __future__ import annotations

import random
import re
import sys

from examples import ExampleSource
from facts import KINDS, Fact, Language, load_phrasings
from grammar import squash, to_regex

SAMPLED_QUESTIONS = 200_000
SAMPLE_SEED = 99
SETS = ("tuning", "dev", "heldout")


def fact_regex(fact: Fact, language: Language) -> re.Pattern[str]:
    """Accepts, squashed, each question that the frames and patterns of a fact can produce."""
    options = []
    for kind in KINDS:
        if fact.patterns[kind]:
            slots = language.slots | {"x": fact.patterns[kind]}
            options += [to_regex(frame, slots) for frame in sorted(set(language.frames[kind]))]
    return re.compile(f"(?:{_any(language, 'openings', 'contexts')})?(?:{'|'.join(options)})"
                      f"(?:{_any(language, 'closings', 'contexts')})?")  # fmt: skip


def _any(language: Language, *names: str) -> str:
    return "|".join(squash(text) for name in names for text in language.around[name])


def producible(questions: list[str], language: Language) -> set[str]:
    """Those questions that some fact's patterns can produce."""
    regexes = [fact_regex(fact, language) for fact in language.facts]
    return {q for q in questions if any(regex.fullmatch(squash(q)) for regex in regexes)}


def sampled(questions: list[str]) -> set[str]:
    """Those questions that turn up in a sample of the training data."""
    source = ExampleSource(set())
    rng = random.Random(SAMPLE_SEED)
    drawn = {squash(source.draw(rng).prompt) for _ in range(SAMPLED_QUESTIONS)}
    return {question for question in questions if squash(question) in drawn}


def main() -> None:
    """Report what overlaps; exit status 1 when a held-out phrasing does."""
    language = ExampleSource(set()).language
    failed = False
    for name in SETS:
        questions = [question for _, question in load_phrasings(name)]
        overlap = producible(questions, language) | sampled(questions)
        print(f"{name}: {len(questions)} questions, {len(overlap)} within reach of the patterns")
        for question in sorted(overlap):
            print(f"  {question}")
        failed |= name == "heldout" and bool(overlap)
    sys.exit(failed)


if __name__ == "__main__":
    main()
