"""A linear text classifier that says what a question is about, for questions that nobody wrote.

A network this small learns drawn questions by heart; a linear model of words, pairs of words and
pieces of words carries over better to how other people ask. So that is trained first, on drawn
questions. Then it says how likely each fact is asked for, after every word of a question and also
of questions that are blended from two others (distillation: Hinton et al., 2015). It never sees
what was written for the evaluation. Used by examples.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier

DRAWS, MOST_DRAWS = 1200, 8000  # of a fact with a share of 1, and of any
ALPHA, EPOCHS = 3e-5, 8
PIECE_LENGTHS, PIECE_WEIGHT = (3, 4, 5), 0.4
FEWEST_TEXTS = 2  # that a pair or a piece must be in to count
SHARPNESS = 6.0  # turns margins into likelihoods
WORD = re.compile(r"[\w']+")
MOST_LOST_SHARE = 0.4
MOVED_SHARE, NEAR_PLACES = 0.5, 3
SPLICED_SHARE, SPLICED_WORDS = 0.7, (1, 5)
STRANGE_SHARE = 0.3

Draw = Callable[[str, random.Random], str]


class Teacher:
    """Judges a text by what its words, pairs and pieces speak for, as TF-IDF weighs them."""

    def __init__(self, shares: dict[str, float], draw: Draw, seed: int) -> None:
        """`shares` says how often each fact is asked for; `draw` gives a question about one."""
        rng = random.Random(seed)
        texts, labels = [], []
        for at, (fact_id, share) in enumerate(shares.items()):
            count = min(round(DRAWS * share), MOST_DRAWS)
            texts += [draw(fact_id, rng) for _ in range(count)]
            labels += [at] * count
        counter = CountVectorizer(analyzer=_features, min_df=FEWEST_TEXTS, dtype=np.float64)
        counts = counter.fit_transform(texts)
        names = counter.get_feature_names_out()
        in_texts = np.asarray((counts > 0).sum(axis=0)).ravel()
        weights = 1 + np.log(len(texts) / in_texts)
        weights[[name.startswith("#") for name in names]] *= PIECE_WEIGHT
        lengths = np.sqrt(np.maximum(counts @ weights**2, 1.0))
        classifier = SGDClassifier(
            loss="modified_huber", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=seed,
            n_jobs=-1,
        )  # fmt: skip
        classifier.fit(csr_matrix(diags(1 / lengths) @ counts @ diags(weights)), labels)
        self.places = {name: at for at, name in enumerate(names)}
        self.words = [name for name in names if "#" not in name and " " not in name]
        self.speaks_for = (classifier.coef_ * weights).T.astype(np.float32)
        self.squares = (weights**2).astype(np.float32)
        self.bias = classifier.intercept_.astype(np.float32)
        self._judged_word = cache(self._judge_word)

    def likelihoods(self, text: str) -> tuple[list[int], np.ndarray]:
        """Where each word of a text ends, and the likelihood of each fact then, (words, facts)."""
        found = list(WORD.finditer(text.lower()))
        if not found:
            return [], np.zeros((0, len(self.bias)), np.float32)
        words = [word[0] for word in found]
        spoken, squares = zip(*map(self._judged_word, words), strict=True)
        spoken, squares = np.array(spoken), np.array(squares)
        for at, pair in enumerate(pairwise(words), start=1):
            place = self.places.get(" ".join(pair))
            if place is not None:
                spoken[at] += self.speaks_for[place]
                squares[at] += self.squares[place]
        margins = np.cumsum(spoken, axis=0) / max(squares.sum(), 1.0) ** 0.5 + self.bias
        raised = np.exp(SHARPNESS * (margins - margins.max(axis=1, keepdims=True)))
        return [word.end() for word in found], raised / raised.sum(axis=1, keepdims=True)

    def _judge_word(self, word: str) -> tuple[np.ndarray, float]:
        places = [self.places[name] for name in _of_word(word) if name in self.places]
        return self.speaks_for[places].sum(axis=0), float(self.squares[places].sum())

    def blend(self, question: str, other: str, rng: random.Random) -> str:
        """Some words of a question lost, some moved a little, and a few strange ones put in."""
        lost = rng.random() * MOST_LOST_SHARE
        words = [word for word in question.split() if rng.random() >= lost]
        if rng.random() < MOVED_SHARE:
            places = [at + rng.random() * NEAR_PLACES for at in range(len(words))]
            words = [word for _, word in sorted(zip(places, words, strict=True))]
        if rng.random() < SPLICED_SHARE:
            strange = other.split()
            count = min(rng.randint(*SPLICED_WORDS), len(strange))
            start = rng.randrange(len(strange) - count + 1)
            at = rng.randrange(len(words) + 1)
            words[at:at] = strange[start : start + count]
        if rng.random() < STRANGE_SHARE:
            words.insert(rng.randrange(len(words) + 1), rng.choice(self.words))
        return " ".join(words)


def _features(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    features = [name for word in words for name in _of_word(word)]
    return features + [" ".join(pair) for pair in pairwise(words)]


@cache
def _of_word(word: str) -> tuple[str, ...]:
    """A word and its pieces."""
    bounded = f"_{word}_"
    pieces = [
        f"#{bounded[at : at + length]}"
        for length in PIECE_LENGTHS
        for at in range(len(bounded) - length + 1)
    ]
    return word, *pieces
