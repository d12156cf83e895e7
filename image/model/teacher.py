"""A linear text classifier that says what a question is about, for questions that nobody wrote.

A network this small learns drawn questions by heart; a linear model of words, pairs of words and
pieces of words carries over better to how other people ask. So that is trained first, on drawn
questions, and then says how likely each fact is asked for, after each word of a question, also of
questions that are blended from others (distillation: Hinton et al., 2015). It never sees what was
written for the evaluation. Used by examples.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier

DRAWS, MOST_DRAWS = 900, 7200  # of a fact with a share of 1, and of any
ALPHA, EPOCHS = 1e-5, 12
FEWEST = 3  # texts that a piece of a word must occur in
PIECES, PIECE_WEIGHT = (3, 4, 5), 0.4
SHARPNESS = 6.0  # turns margins into likelihoods
WORD = re.compile(r"[\w']+")

Draw = Callable[[str, random.Random], str]


class Teacher:
    """Judges texts by the sum of what their words, pairs and pieces speak for."""

    def __init__(self, shares: dict[str, float], draw: Draw, seed: int) -> None:
        """`shares` says how often each fact is asked for; `draw` gives a question about one."""
        rng = random.Random(seed)
        texts, labels = [], []
        for at, (fact_id, share) in enumerate(shares.items()):
            count = min(round(DRAWS * share), MOST_DRAWS)
            texts += [draw(fact_id, rng) for _ in range(count)]
            labels += [at] * count
        counter = CountVectorizer(analyzer=_features, dtype=np.float64, min_df=1)
        counts = counter.fit_transform(texts)
        rarity = np.log(len(texts) / np.asarray((counts > 0).sum(axis=0))[0]) + 1
        few = np.asarray((counts > 0).sum(axis=0))[0] < FEWEST
        names = counter.get_feature_names_out()
        pieces = np.array([name.startswith("#") for name in names])
        rarity = rarity * np.where(pieces, np.where(few, 0.0, PIECE_WEIGHT), 1.0)
        lengths = np.sqrt(counts @ rarity**2)
        scaled = csr_matrix(diags(1 / np.maximum(lengths, 1e-9)) @ counts @ diags(rarity))
        classifier = SGDClassifier(
            loss="modified_huber", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=seed,
            n_jobs=-1,
        )  # fmt: skip
        classifier.fit(scaled, labels)
        self.bias = classifier.intercept_.astype(np.float32)
        self.known = {name: at for at, name in enumerate(names)}
        self.speaks = (classifier.coef_ * rarity).T.astype(np.float32)
        self.squares = (rarity**2).astype(np.float32)
        self.cache = {}
        self.words = sorted({n for n in names if n[0] not in "#" and " " not in n})

    def scores(self, text: str) -> np.ndarray:
        """Margins (words, facts) after each word of a text."""
        words = [w for w in WORD.findall(text.lower())]
        if not words:
            return self.bias[None]
        spoken, squares = zip(*[self._judged(a, b) for a, b in pairwise(["", *words])])
        lengths = np.sqrt(np.maximum(np.cumsum(squares), 1e-9))
        return np.cumsum(spoken, axis=0) / lengths[:, None] + self.bias

    def _judged(self, before: str, word: str):
        key = (before, word)
        if key not in self.cache:
            at = [self.known[f] for f in _of_word(before, word) if f in self.known]
            self.cache[key] = (self.speaks[at].sum(axis=0), float(self.squares[at].sum()))
        return self.cache[key]


def _features(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return [f for a, b in pairwise(["", *words]) for f in _of_word(a, b)]


_pieces = {}


def _of_word(before: str, word: str) -> list[str]:
    if word not in _pieces:
        w = f" {word} "
        _pieces[word] = [word] + [
            "#" + w[at : at + n] for n in PIECES for at in range(len(w) - n + 1)
        ]
    return _pieces[word] + [f"{before} {word}"]
