"""Train the demonstration model: `python train.py --work DIR`.

AdamW with a warm-up, a plateau and a cosine fall; fixed seeds; checkpoints in DIR, from which the
same command goes on. The first run also learns the tokenizer. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from examples import CUT_SHARE, STORY_SHARE, Batch, BatchMaker, ExampleSource
from facts import load_phrasings
from grammar import squash
from model import (
    SHARED,
    Params,
    Shape,
    count_params,
    hidden,
    init_params,
    logits_of,
    merged,
    rms_norm,
    tensor_shapes,
)
from scoring import exact_share
from tokenizer import FILE as TOKENIZER_FILE
from tokenizer import ROLES, ChatTokenizer, train_tokenizer

SEED = 20
TOKENIZER_TEXTS = 60_000
ROW_TOKENS, ROWS = 128, 16
LONG_ROW_TOKENS, LONG_ROWS, LONG_EVERY = 512, 4, 40
STEPS, WARMUP_STEPS = 4000, 200
PEAK_RATE, FINAL_RATE, FALL_SHARE = 2.5e-3, 1e-5, 0.5
BETA_1, BETA_2, EPSILON = 0.9, 0.98, 1e-8
# At the end more stories, which are longer, and from which questions learn nothing.
STORY_STEPS, LATE_STORY_SHARE, LATE_RATE = 200, 0.35, 6e-4
WEIGHT_DECAY, CLIP_NORM = 0.05, 1.0
LATE_CUT_SHARE = 0.8  # while the rate falls, more answers are learnt to their ends
GUIDES = {"first": 0.5, "middle": 0.5, "last": 1.0}  # weights of their losses
REPORT_EVERY, SAVE_EVERY, SCORE_EVERY = 100, 200, 500

State = dict[str, Params]  # params, and Adam's first and second moments


def cross_entropy(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """The mean over the places that have weight; targets and weights are (batch, length)."""
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    picked = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return -jnp.sum(picked * weights) / jnp.maximum(jnp.sum(weights), 1.0)


def loss_fn(
    params: Params, batch: tuple, folds: jax.Array, shape: Shape, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What is to fall, and the part of it that the answers' tokens are."""
    tokens, targets, weights, positions, segments, likely, answered = batch
    params = merged(params, folds)
    states = hidden(params, tokens, positions, segments, shape, key)
    # Places that are left over are the first one, which is a prompt's and has no weight.
    logits = logits_of(params, states[-1].reshape(-1, shape.dim)[answered])
    loss = cross_entropy(logits, targets.ravel()[answered], weights.ravel()[answered])
    return loss + guide_loss(params, states, segments, likely), loss


def guide_loss(
    params: Params, states: list[jax.Array], segments: jax.Array, likely: jax.Array
) -> jax.Array:
    """How badly linear classifiers, at each token of a prompt, say what it likely asks for.

    Two judge by the mean of the prompt so far, as embeddings and half-way up, and one by the last
    state. They teach the network to weigh words, as the teacher does, in far fewer steps than the
    answers alone do (deep supervision: Lee et al., 2015). They are not exported.
    """
    weights = jnp.sum(likely, axis=-1)
    asked = (weights > 0).astype(jnp.float32)
    same = segments[:, :, None] == segments[:, None, :]
    seen = jnp.tril(same * asked[:, None, :])
    first, middle, last = states[0], states[len(states) // 2], states[-1]
    views = {"first": unit(seen @ first), "middle": unit(seen @ middle), "last": last}
    losses = [
        -share * jnp.sum(likely * jax.nn.log_softmax(views[name] @ params["guide." + name].T))
        for name, share in GUIDES.items()
    ]
    return sum(losses) / jnp.maximum(jnp.sum(weights), 1.0)


def unit(x: jax.Array) -> jax.Array:
    """Scaled to a mean square of 1 over the last axis."""
    return rms_norm(x, jnp.ones(()), EPSILON)


def learning_rate(step: jax.Array, steps: int) -> jax.Array:
    """Linear warm-up, a plateau, half a cosine wave from the peak to the final rate; for the
    stories after `steps` a straight fall.
    """
    fall_steps = steps * FALL_SHARE
    progress = jnp.clip((step - (steps - fall_steps)) / fall_steps, 0.0, 1.0)
    cosine = FINAL_RATE + 0.5 * (PEAK_RATE - FINAL_RATE) * (1 + jnp.cos(jnp.pi * progress))
    late = LATE_RATE * (1 - (step - steps) / STORY_STEPS) + FINAL_RATE
    rate = jnp.where(step < WARMUP_STEPS, PEAK_RATE * (step + 1) / WARMUP_STEPS, cosine)
    return jnp.where(step < steps, rate, late)


@partial(jax.jit, static_argnames=("shape", "steps"), donate_argnums=0)
def update(
    state: State, batch: tuple, folds: jax.Array, step: jax.Array, shape: Shape, steps: int
) -> tuple[State, jax.Array]:
    """One step of AdamW (Loshchilov and Hutter, 2019); matrices decay, norms do not."""
    key = jax.random.fold_in(jax.random.key(SEED, impl="unsafe_rbg"), step)
    params = state["params"]
    (_, loss), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, batch, folds, shape, key)
    norm = jnp.sqrt(sum(jnp.sum(grad * grad) for grad in grads.values()))
    clip = jnp.minimum(1.0, CLIP_NORM / (norm + EPSILON))
    rate = learning_rate(step, steps)
    bias_1, bias_2 = 1 - BETA_1 ** (step + 1.0), 1 - BETA_2 ** (step + 1.0)
    new: State = {"params": {}, "first": {}, "second": {}}
    for name, grad in grads.items():
        grad = grad * clip
        first = BETA_1 * state["first"][name] + (1 - BETA_1) * grad
        second = BETA_2 * state["second"][name] + (1 - BETA_2) * grad * grad
        value = params[name]
        decay = WEIGHT_DECAY if value.ndim == 2 else 0.0
        move = (first / bias_1) / (jnp.sqrt(second / bias_2) + EPSILON) + decay * value
        new["params"][name] = value - rate * move
        new["first"][name], new["second"][name] = first, second
    return new, loss


def fresh_state(shape: Shape, facts: int, groups: int) -> State:
    """The state before the first step."""
    params = init_params(shape, SEED)
    params |= {SHARED: jnp.zeros((groups, shape.dim))}
    params |= {"guide." + name: jnp.zeros((facts, shape.dim)) for name in GUIDES}
    zeros = {name: jnp.zeros_like(value) for name, value in params.items()}
    return {"params": params, "first": zeros, "second": {k: v.copy() for k, v in zeros.items()}}


def save(path: Path, state: State, step: int) -> None:
    """Write a checkpoint so that a break while writing costs nothing."""
    arrays = {f"{part}/{name}": np.asarray(v) for part in state for name, v in state[part].items()}
    partial_path = path.with_suffix(".partial.npz")
    np.savez(partial_path, step=step, **arrays)
    partial_path.replace(path)


def restore(path: Path) -> tuple[State, int]:
    """The state of a checkpoint and the number of steps behind it."""
    state: State = {"params": {}, "first": {}, "second": {}}
    with np.load(path) as saved:
        for key in saved.files:
            if key != "step":
                part, name = key.split("/", 1)
                state[part][name] = jnp.asarray(saved[key])
        return state, int(saved["step"])


def learn_tokenizer(source: ExampleSource, shape: Shape) -> None:
    """Learn the merges from the kind of text that training uses."""
    rng = random.Random(SEED)
    texts = []
    for _ in range(TOKENIZER_TEXTS):
        example = source.draw(rng)
        texts += [example.prompt, example.answer, example.system or "", *ROLES]
    train_tokenizer(texts, shape.vocab)


def is_long(step: int) -> bool:
    """Whether the step is one with long pasted texts."""
    return step % LONG_EVERY == LONG_EVERY - 1


def batch_of(maker: BatchMaker, step: int, steps: int) -> Batch:
    """The batch of a step, of which `steps` come before the late stories."""
    long = is_long(step)
    size = (LONG_ROWS, LONG_ROW_TOKENS) if long else (ROWS, ROW_TOKENS)
    story_share = STORY_SHARE if step < steps else LATE_STORY_SHARE
    cut_share = CUT_SHARE if step < steps * (1 - FALL_SHARE) else LATE_CUT_SHARE
    return maker.batch(step, *size, long, story_share, cut_share)


def as_arrays(batch: Batch) -> tuple:
    """What `loss_fn` takes."""
    return tuple(getattr(batch, field.name) for field in fields(batch))


def train(work: Path, steps: int) -> None:
    """Train to the last step, from the newest checkpoint in the folder if there is one."""
    shape = Shape()
    checkpoint = work / "checkpoint.npz"
    kept_aside = {name: load_phrasings(name) for name in ("tuning", "dev", "heldout")}
    source = ExampleSource({squash(asked) for pairs in kept_aside.values() for _, asked in pairs})
    if not TOKENIZER_FILE.exists():
        learn_tokenizer(source, shape)
    tokenizer = ChatTokenizer()
    source.learn_blends(SEED)
    maker = BatchMaker(source, tokenizer, SEED)
    folds = jnp.asarray(tokenizer.folds)
    state, done = fresh_state(shape, len(source.topics), max(tokenizer.folds) + 1), 0
    if checkpoint.exists():
        state, done = restore(checkpoint)
    last = steps + STORY_STEPS
    exported = {name: state["params"][name] for name in tensor_shapes(shape)}
    print(f"{count_params(exported):,} weights, step {done} of {last}", flush=True)
    answers = {fact.id: fact.answer for fact in source.language.facts}
    started, losses = time.time(), []
    for step in range(done, last):
        batch = batch_of(maker, step, steps)
        state, loss = update(state, as_arrays(batch), folds, jnp.asarray(step), shape, steps)
        losses += [] if is_long(step) else [float(loss)]
        if (step + 1) % REPORT_EVERY == 0:
            pace = (time.time() - started) / (step + 1 - done)
            left = pace * (last - step - 1) / 60
            recent = float(np.mean(losses[-REPORT_EVERY:]))
            print(f"step {step + 1}: loss {recent:.4f}, {left:.0f} minutes left", flush=True)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == last:
            save(checkpoint, state, step + 1)
        if (step + 1) % SCORE_EVERY == 0 or step + 1 == last:
            params = merged(state["params"], folds)
            for name in ("tuning", "dev"):
                share = exact_share(params, shape, tokenizer, kept_aside[name], answers)
                print(f"step {step + 1}: {share:.1%} of {name} exact", flush=True)
    report = {
        "steps": last,
        "from_step": done,
        "seconds": round(time.time() - started),
        "cpu_seconds": round(time.process_time()),
    }
    (work / "report.json").write_text(json.dumps(report) + "\n", "utf-8")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps before the late stories")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    train(arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
