"""A linear text classifier that says what a question is about, for questions that nobody wrote.

A network this small learns drawn questions by heart; a linear model of words and pairs of words
carries over better to how other people ask. So that is trained first, on drawn questions, and then
names the facts that questions blended from two others ask for (distillation: Hinton et al., 2015).
It never sees what was written for the evaluation. Used by examples.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

DRAWS, MOST_DRAWS = 900, 7200  # of a fact with a share of 1, and of any
ALPHA, EPOCHS = 1e-5, 12
MARGIN = 0.3  # by how much a label must beat the next one to be taken
BLENDS = 150_000
WORDS = r"[\w']+"
MOST_LOST_SHARE = 0.4
SPLICED_WORDS = (1, 5)
NEAR_PLACES = 3

Draw = Callable[[str, random.Random], str]


def blended_questions(shares: dict[str, float], draw: Draw, seed: int) -> list[tuple[str, str]]:
    """Pairs (fact id, text) of blends that a teacher is sure of.

    `shares` says how often each fact is asked for, and `draw` gives a question about one.
    """
    rng = random.Random(seed)
    teacher = _taught(shares, draw, rng, seed)
    facts = rng.choices(list(shares), list(shares.values()), k=2 * BLENDS)
    texts = [
        _blend(draw(one, rng), draw(other, rng), rng)
        for one, other in zip(facts[:BLENDS], facts[BLENDS:], strict=True)
    ]
    vectorizer, classifier = teacher
    scores = classifier.decision_function(vectorizer.transform(texts))
    second, first = np.sort(scores, axis=1)[:, -2:].T
    labels = classifier.classes_[scores.argmax(axis=1)]
    sure = first - second > MARGIN
    return [(str(labels[at]), texts[at]) for at in np.flatnonzero(sure)]


def _taught(
    shares: dict[str, float], draw: Draw, rng: random.Random, seed: int
) -> tuple[TfidfVectorizer, SGDClassifier]:
    texts, labels = [], []
    for fact_id, share in shares.items():
        count = min(round(DRAWS * share), MOST_DRAWS)
        texts += [draw(fact_id, rng) for _ in range(count)]
        labels += [fact_id] * count
    vectorizer = TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), sublinear_tf=True)
    classifier = SGDClassifier(
        loss="modified_huber", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=seed, n_jobs=-1
    )
    return vectorizer, classifier.fit(vectorizer.fit_transform(texts), labels)


def _blend(question: str, other: str, rng: random.Random) -> str:
    """Some words of a question lost, some moved a little, and a few of another one put in."""
    lost = rng.random() * MOST_LOST_SHARE
    words = [word for word in question.split() if rng.random() >= lost]
    if rng.random() < 0.5:
        places = [at + rng.random() * NEAR_PLACES for at in range(len(words))]
        words = [word for _, word in sorted(zip(places, words, strict=True))]
    if rng.random() < 0.7:
        strange = other.split()
        count = min(rng.randint(*SPLICED_WORDS), len(strange))
        start = rng.randrange(len(strange) - count + 1)
        at = rng.randrange(len(words) + 1)
        words[at:at] = strange[start : start + count]
    return " ".join(words)
