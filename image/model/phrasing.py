"""Questions in many phrasings: a pattern of a fact, its frame, what surrounds it, and mistakes.

Every draw takes its randomness from the generator passed in, so a seed fixes the data.
Used by examples.py.
"""

from __future__ import annotations

import random
import re

from facts import Fact, Language, literal
from grammar import sample

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONTRACTIONS = [
    (r"\bwhat is\b", "what's"), (r"\bi am\b", "i'm"), (r"\bdo not\b", "don't"),
    (r"\bdoes not\b", "doesn't"), (r"\bis not\b", "isn't"), (r"\bcannot\b", "can't"),
    (r"\bi have\b", "i've"), (r"\bi would\b", "i'd"), (r"\bit is\b", "it's"),
    (r"\bthere is\b", "there's"), (r"\bhow is\b", "how's"), (r"\bwhere is\b", "where's"),
]  # fmt: skip
ARTICLES = r"\b(the|a|an|this|my) "
CHANCE = {
    "synonym": 0.22, "contraction": 0.3, "filler": 0.15, "article": 0.12, "drop": 0.12,
    "opening": 0.22, "context": 0.08, "closing": 0.14, "typo": 0.10, "pasted": 0.03,
}  # fmt: skip
CASE_STYLES = (("sentence", 6), ("lower", 4), ("upper", 0.35), ("title", 0.25))
END_MARKS = ("?", "?", "?", "?", "", "", "", ".", "??", " ?", "!", "...")


def core_question(fact: Fact, language: Language, rng: random.Random) -> str:
    """A question in lower case without anything around it."""
    kinds, shares = fact.kinds()
    kind = rng.choices(kinds, shares)[0]
    pattern = sample(rng.choice(fact.patterns[kind]), language.slots, rng)
    frame = sample(rng.choice(language.frames[kind]), {"x": [literal(pattern)]}, rng)
    return frame


def question(fact: Fact, language: Language, rng: random.Random) -> str:
    """A whole question as a person might type it."""
    text = core_question(fact, language, rng)
    text = _vary_words(text, language, rng)
    text = _surround(text, language, rng)
    if rng.random() < CHANCE["typo"]:
        for _ in range(rng.choice((1, 1, 2))):
            text = _typo(text, rng)
    return _case(text, rng)


def _vary_words(text: str, language: Language, rng: random.Random) -> str:
    words = []
    for word in text.split(" "):
        group = language.synonyms.get(word)
        if group and rng.random() < CHANCE["synonym"]:
            word = rng.choice(group)
        words.append(word)
    if len(words) > 3 and rng.random() < CHANCE["filler"]:
        words.insert(rng.randrange(1, len(words)), rng.choice(language.around["fillers"]))
    if len(words) > 4 and rng.random() < CHANCE["drop"]:
        del words[rng.randrange(len(words))]
    text = " ".join(words)
    if rng.random() < CHANCE["article"]:
        text = re.sub(ARTICLES, "", text)
    if rng.random() < CHANCE["contraction"]:
        for long_form, short_form in CONTRACTIONS:
            text = re.sub(long_form, short_form, text)
    return text


def _surround(text: str, language: Language, rng: random.Random) -> str:
    end = "" if text[-1:] in ".!?" else rng.choice(END_MARKS)
    text += end
    if rng.random() < CHANCE["closing"]:
        comma = "," if rng.random() < 0.5 and not end else ""
        text += (
            f"{comma} {rng.choice(language.around['closings'])}{rng.choice(('', '.', '?', '!'))}"
        )
    if rng.random() < CHANCE["opening"]:
        joint = rng.choice((", ", ", ", ": ", " ", "! ", ". ", " - "))
        text = rng.choice(language.around["openings"]) + joint + text
    if rng.random() < CHANCE["context"]:
        context = rng.choice(language.around["contexts"])
        joint = rng.choice((". ", ", ", " and ", "! ", ".\n"))
        after = text[-1:] in ".!?" and rng.random() < 0.4
        text = f"{text} {context}." if after else context + joint + text
    if rng.random() < CHANCE["pasted"]:
        text = rng.choice((f'"{text}"', f"- {text}", f"Q: {text}", text.replace(" ", "  ", 1)))
    return text


def _typo(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    if not text[at].isalpha():
        return text
    kind = rng.choice(("drop", "double", "swap", "replace", "split"))
    if kind == "drop":
        return text[:at] + text[at + 1 :]
    if kind == "double":
        return text[:at] + text[at] + text[at:]
    if kind == "swap" and at + 1 < len(text):
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == "split":
        return re.sub(r"['-]", rng.choice(("", " ")), text)
    return text[:at] + rng.choice(LETTERS) + text[at + 1 :]


def _case(text: str, rng: random.Random) -> str:
    styles, shares = zip(*CASE_STYLES, strict=True)
    style = rng.choices(styles, shares)[0]
    if style == "lower":
        return text.lower() if rng.random() < 0.5 else text
    if style == "upper":
        return text.upper()
    if style == "title":
        return text.title()
    text = re.sub(r"\bi('m|'ve|'d)?\b", lambda found: found[0].capitalize(), text)
    text = re.sub(r"\b(led|usb|ram|pdf|json|gguf|llm)\b", lambda found: found[0].upper(), text)
    pattern = r"(^|[.!?\n]\s*)([a-z])"
    if rng.random() < 0.5:
        proper = r"\b(windows|linux|android|german|french|english|raspberry|pi|mac)\b"
        text = re.sub(proper, lambda found: found[0].capitalize(), text)
    return re.sub(pattern, lambda found: found[1] + found[2].upper(), text)
