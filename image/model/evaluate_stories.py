"""Do stories keep to their first line? `python evaluate_stories.py [--program PROGRAM]`.

For each first line in phrasings/first_lines.toml the greedy story must name again what the line
names (hero and thing). Without --program the file's dequantised weights run in JAX.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from evaluate import ask_program, load_weights
from export import FILE
from facts import HERE
from model import Params, Shape
from scoring import best_tokens
from tokenizer import END_ID, PAD_ID, ChatTokenizer

ROW_TOKENS = 192


def greedy(params: Params, prompts: list[list[int]], tokenizer: ChatTokenizer) -> list[str]:
    """The likeliest continuation of each prompt, all rows together and without a cache."""
    rows = np.full((len(prompts), ROW_TOKENS), PAD_ID, np.int32)
    lengths = [len(prompt) for prompt in prompts]
    for row, prompt in zip(rows, prompts, strict=True):
        row[: len(prompt)] = prompt
    ended = [False] * len(prompts)
    while not all(ended):
        best = np.asarray(best_tokens(params, jnp.asarray(rows), Shape()))
        for at, length in enumerate(lengths):
            token = best[at, length - 1]
            ended[at] = ended[at] or token == END_ID or length == ROW_TOKENS
            if not ended[at]:
                rows[at, length] = token
                lengths[at] += 1
    spans = zip(rows, prompts, lengths, strict=True)
    return [tokenizer.decode(row[len(prompt) : end].tolist()) for row, prompt, end in spans]


def main() -> None:
    """Read the command line, tell the stories and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=FILE)
    parser.add_argument("--program", type=Path, help="the promptstick program; else JAX")
    parser.add_argument("--verbose", action="store_true", help="print the stories")
    arguments = parser.parse_args()
    lines = tomllib.loads((HERE / "phrasings" / "first_lines.toml").read_text("utf-8"))["line"]
    texts = [line["text"] for line in lines]
    if arguments.program:
        stories = [ask_program(arguments.program, arguments.model, text, None) for text in texts]
    else:
        tokenizer = ChatTokenizer()
        prompts = [tokenizer.prompt(text) for text in texts]
        stories = greedy(load_weights(arguments.model), prompts, tokenizer)
    kept = 0
    for line, story in zip(lines, stories, strict=True):
        missing = [word for word in line["words"] if word not in story]
        kept += not missing
        if arguments.verbose:
            print(f"{line['text']}\n  {story}" + (f"\n  MISSING: {missing}" if missing else ""))
    print(f"stories: {kept} of {len(lines)} keep to what their first line names")


if __name__ == "__main__":
    main()
