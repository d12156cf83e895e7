"""Train the demonstration model: `python train.py --work DIR`.

AdamW with a warm-up, a plateau and a cosine fall; fixed seeds; checkpoints in DIR, from which the
same command goes on. The first run also learns the tokenizer. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from examples import Batch, BatchMaker, ExampleSource
from facts import load_phrasings
from grammar import squash
from model import Params, Shape, count_params, forward, init_params
from scoring import exact_share
from tokenizer import FILE as TOKENIZER_FILE
from tokenizer import ChatTokenizer, train_tokenizer

SEED = 20
TOKENIZER_TEXTS = 60_000
ROW_TOKENS, ROWS = 128, 16
LONG_ROW_TOKENS, LONG_ROWS, LONG_EVERY = 512, 4, 40
STEPS, WARMUP_STEPS = 4800, 100
PEAK_RATE, FINAL_RATE, FALL_SHARE = 1.5e-3, 1e-5, 0.75
BETA_1, BETA_2, EPSILON = 0.9, 0.98, 1e-8
WEIGHT_DECAY, CLIP_NORM = 0.05, 1.0
REPORT_EVERY, SAVE_EVERY, SCORE_EVERY = 100, 200, 500

State = dict[str, Params]  # params, and Adam's first and second moments


def loss_fn(params: Params, batch: tuple, shape: Shape, key: jax.Array) -> jax.Array:
    """Mean cross-entropy over the answer tokens of a batch."""
    tokens, targets, weights, positions, segments = batch
    logits = forward(params, tokens, positions, segments, shape, key)
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    picked = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return -jnp.sum(picked * weights) / jnp.maximum(jnp.sum(weights), 1.0)


def learning_rate(step: jax.Array, steps: int) -> jax.Array:
    """Linear warm-up, a plateau, then half a cosine wave from the peak to the final rate."""
    fall_steps = steps * FALL_SHARE
    progress = jnp.clip((step - (steps - fall_steps)) / fall_steps, 0.0, 1.0)
    cosine = FINAL_RATE + 0.5 * (PEAK_RATE - FINAL_RATE) * (1 + jnp.cos(jnp.pi * progress))
    return jnp.where(step < WARMUP_STEPS, PEAK_RATE * (step + 1) / WARMUP_STEPS, cosine)


@partial(jax.jit, static_argnames=("shape", "steps"), donate_argnums=0)
def update(
    state: State, batch: tuple, step: jax.Array, shape: Shape, steps: int
) -> tuple[State, jax.Array]:
    """One step of AdamW (Loshchilov and Hutter, 2019); matrices decay, norms do not."""
    key = jax.random.fold_in(jax.random.key(SEED, impl="unsafe_rbg"), step)
    loss, grads = jax.value_and_grad(loss_fn)(state["params"], batch, shape, key)
    norm = jnp.sqrt(sum(jnp.sum(grad * grad) for grad in grads.values()))
    clip = jnp.minimum(1.0, CLIP_NORM / (norm + EPSILON))
    rate = learning_rate(step, steps)
    bias_1, bias_2 = 1 - BETA_1 ** (step + 1.0), 1 - BETA_2 ** (step + 1.0)
    new: State = {"params": {}, "first": {}, "second": {}}
    for name, grad in grads.items():
        grad = grad * clip
        first = BETA_1 * state["first"][name] + (1 - BETA_1) * grad
        second = BETA_2 * state["second"][name] + (1 - BETA_2) * grad * grad
        value = state["params"][name]
        decay = WEIGHT_DECAY if value.ndim == 2 else 0.0
        move = (first / bias_1) / (jnp.sqrt(second / bias_2) + EPSILON) + decay * value
        new["params"][name] = value - rate * move
        new["first"][name], new["second"][name] = first, second
    return new, loss


def fresh_state(shape: Shape) -> State:
    """The state before the first step."""
    params = init_params(shape, SEED)
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
        texts += [example.prompt, example.answer, example.system or ""]
    train_tokenizer(texts, shape.vocab)


def as_arrays(batch: Batch) -> tuple:
    """What `loss_fn` takes."""
    return batch.tokens, batch.targets, batch.weights, batch.positions, batch.segments


def train(work: Path, steps: int) -> None:
    """Train to the last step, from the newest checkpoint in the folder if there is one."""
    shape = Shape()
    checkpoint = work / "checkpoint.npz"
    tuning = load_phrasings("tuning")
    written_by_hand = tuning + load_phrasings("heldout")
    source = ExampleSource({squash(question) for _, question in written_by_hand})
    if not TOKENIZER_FILE.exists():
        learn_tokenizer(source, shape)
    tokenizer = ChatTokenizer()
    maker = BatchMaker(source, tokenizer, SEED)
    state, done = restore(checkpoint) if checkpoint.exists() else (fresh_state(shape), 0)
    print(f"{count_params(state['params']):,} weights, step {done} of {steps}", flush=True)
    answers = {fact.id: fact.answer for fact in source.language.facts}
    started, losses = time.time(), []
    for step in range(done, steps):
        long = step % LONG_EVERY == LONG_EVERY - 1
        size = (LONG_ROWS, LONG_ROW_TOKENS) if long else (ROWS, ROW_TOKENS)
        batch = as_arrays(maker.batch(step, *size, long=long))
        state, loss = update(state, batch, jnp.asarray(step), shape, steps)
        losses += [] if long else [float(loss)]
        if (step + 1) % REPORT_EVERY == 0:
            pace = (time.time() - started) / (step + 1 - done)
            left = pace * (steps - step - 1) / 60
            recent = float(np.mean(losses[-REPORT_EVERY:]))
            print(f"step {step + 1}: loss {recent:.4f}, {left:.0f} minutes left", flush=True)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save(checkpoint, state, step + 1)
        if (step + 1) % SCORE_EVERY == 0 or step + 1 == steps:
            share = exact_share(state["params"], shape, tokenizer, tuning, answers)
            print(f"step {step + 1}: {share:.1%} of the tuning phrasings exact", flush=True)
    report = {
        "steps": steps,
        "from_step": done,
        "seconds": round(time.time() - started),
        "cpu_seconds": round(time.process_time()),
    }
    (work / "report.json").write_text(json.dumps(report) + "\n", "utf-8")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps in the whole schedule")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    train(arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
