"""Exact answers in JAX: is the likeliest token the right one at every place of the answer?

When it is, greedy decoding writes exactly that answer, so one pass over question and answer tells
without decoding. Used by train.py and evaluate.py.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from model import Params, Shape, hidden, logits_of
from tokenizer import END_ID, PAD_ID, ChatTokenizer

ROWS, ROW_TOKENS = 32, 160


@partial(jax.jit, static_argnames="shape")
def best_tokens(params: Params, tokens: jax.Array, shape: Shape) -> jax.Array:
    """The likeliest next token at each place, (rows, length)."""
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    states = hidden(params, tokens, positions, jnp.zeros_like(tokens), shape)
    return jnp.argmax(logits_of(params, states[-1]), axis=-1)


def exact_answers(
    params: Params,
    shape: Shape,
    tokenizer: ChatTokenizer,
    phrasings: list[tuple[str, str]],
    answers: dict[str, str],
    system: str | None = None,
) -> list[bool]:
    """For each (fact id, question): would greedy decoding give exactly the answer of the fact?"""
    exact: list[bool] = []
    for at in range(0, len(phrasings), ROWS):
        tokens = np.full((ROWS, ROW_TOKENS), PAD_ID, np.int32)
        spans = []
        for row, (fact_id, question) in enumerate(phrasings[at : at + ROWS]):
            prompt = tokenizer.prompt(question, system)
            ids = prompt + tokenizer.text(answers[fact_id]) + [END_ID]
            tokens[row, : len(ids)] = ids
            spans.append((len(prompt), len(ids)))
        best = np.asarray(best_tokens(params, jnp.asarray(tokens), shape))
        for row, (start, end) in enumerate(spans):
            exact.append(bool((best[row, start - 1 : end - 1] == tokens[row, start:end]).all()))
    return exact


def exact_share(
    params: Params,
    shape: Shape,
    tokenizer: ChatTokenizer,
    phrasings: list[tuple[str, str]],
    answers: dict[str, str],
) -> float:
    """Share of exact answers, 0 to 1."""
    return float(np.mean(exact_answers(params, shape, tokenizer, phrasings, answers)))
