"""How many of the held-out phrasings get exactly the right answer: `python evaluate.py`.

Without --program the file's weights, dequantised, run in JAX. With --program they run in the real
program: each question is put to `promptstick ask` with temperature 0 and no repeat penalty, and
its standard output is compared.
"""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter
from pathlib import Path

import gguf
import jax.numpy as jnp
import numpy as np

from export import FILE
from facts import load_language, load_phrasings
from holdout import producible
from model import Params, Shape
from scoring import exact_answers
from tokenizer import ChatTokenizer

SYSTEM = "You are a helpful assistant. Keep it short."
ANSWER_TOKENS = 200
PROGRAM_SECONDS = 120


def load_weights(path: Path) -> Params:
    """The tensors of a GGUF file as 32-bit floats."""
    tensors = gguf.GGUFReader(path).tensors
    return {
        tensor.name: jnp.asarray(
            gguf.quants.dequantize(np.asarray(tensor.data), tensor.tensor_type), jnp.float32
        )
        for tensor in tensors
    }


def ask_program(program: Path, model: Path, question: str, system: str | None) -> str:
    """The program's greedy answer to a question."""
    command = [program, "ask", "--model", model, "--temperature", "0", "--repeat-penalty", "1"]
    command += ["--max-tokens", str(ANSWER_TOKENS), "--threads", "1"]
    command += ["--system", system] if system else []
    done = subprocess.run(
        [*map(str, command), question],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{program} failed on {question!r}: {done.stderr.strip()}")
    return done.stdout.strip()


def report(name: str, phrasings: list[tuple[str, str]], exact: list[bool], verbose: bool) -> None:
    """Print the accuracy and, if wanted, what went wrong."""
    wrong = [pair for pair, right in zip(phrasings, exact, strict=True) if not right]
    share = 1 - len(wrong) / len(phrasings)
    print(f"{name}: {len(phrasings) - len(wrong)} of {len(phrasings)} exact, {share:.1%}")
    if verbose:
        for fact_id, question in wrong:
            print(f"  {fact_id}: {question}")
    by_fact = Counter(fact_id for fact_id, _ in wrong)
    print("  most wrong:", ", ".join(f"{key} {n}" for key, n in by_fact.most_common(5)) or "none")


def main() -> None:
    """Read the command line, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=FILE)
    parser.add_argument("--set", default="heldout", choices=("heldout", "dev", "tuning"))
    parser.add_argument("--program", type=Path, help="the promptstick program; else JAX")
    parser.add_argument("--system", nargs="?", const=SYSTEM, help="with a system prompt")
    parser.add_argument("--verbose", action="store_true", help="print what was not exact")
    arguments = parser.parse_args()
    language = load_language()
    answers = {fact.id: fact.answer for fact in language.facts}
    phrasings = load_phrasings(arguments.set)
    if arguments.set == "heldout":
        overlap = producible([question for _, question in phrasings], language)
        if overlap:
            raise SystemExit(f"the patterns can produce held-out phrasings: {sorted(overlap)}")
    if arguments.program:
        said = [
            ask_program(arguments.program, arguments.model, question, arguments.system)
            for _, question in phrasings
        ]
        exact = [
            text == answers[fact_id] for text, (fact_id, _) in zip(said, phrasings, strict=True)
        ]
    else:
        weights, tokenizer = load_weights(arguments.model), ChatTokenizer()
        exact = exact_answers(weights, Shape(), tokenizer, phrasings, answers, arguments.system)
    report(arguments.set, phrasings, exact, arguments.verbose)


if __name__ == "__main__":
    main()
