"""Byte-level BPE as GPT-2 does it, so that llama.cpp's `gpt-2` pre-tokenizer gives the same tokens.

Any UTF-8 text can be encoded, because each byte has a token. Control tokens come first; the chat
template is ChatML. Used by examples.py, evaluate.py and export.py.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (PAD, START, END)  # ids 0, 1, 2
ROLES = ("system", "user", "assistant")
PAD_ID, START_ID, END_ID = 0, 1, 2
FRAY = 0.12  # share of words that fraying cuts in two
SPACE = "\u0120"  # in GPT-2's byte alphabet
FILE = Path(__file__).parent / "tokenizer.json"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train_tokenizer(texts: list[str], vocab_size: int) -> None:
    """Learn the merges from texts and write tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(FILE))


class ChatTokenizer:
    """Encodes chats as llama.cpp does after applying the chat template."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_file(str(FILE))
        self.newline = self.text("\n")
        self.roles = {role: self.text(role + "\n") for role in ROLES}

    @property
    def vocab(self) -> list[str]:
        """Token texts in the order of their ids, in GPT-2's byte alphabet."""
        ids = self.tokenizer.get_vocab()
        return sorted(ids, key=ids.__getitem__)

    @property
    def folds(self) -> list[int]:
        """For each token the number of its group: those alike but for case and a space before."""
        groups: dict[str, int] = {}
        names = [token.removeprefix(SPACE).lower() or token for token in self.vocab]
        return [groups.setdefault(name, len(groups)) for name in names]

    @property
    def merges(self) -> list[str]:
        """Merges, strongest first, as "left right"."""
        merges = json.loads(FILE.read_text("utf-8"))["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]

    def text(self, text: str) -> list[int]:
        """Tokens of plain text."""
        return self.tokenizer.encode(text).ids

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens of plain text and the characters (start, end) that each covers."""
        encoded = self.tokenizer.encode(text)
        return encoded.ids, encoded.offsets

    def prompt(self, user: str, system: str | None = None) -> list[int]:
        """Tokens of a chat up to where the assistant begins."""
        return self.prompt_and_ends(user, system)[0]

    def prompt_and_ends(
        self, user: str, system: str | None = None, fray: random.Random | None = None
    ) -> tuple[list[int], list[int]]:
        """Tokens of a chat up to where the assistant begins, and how many characters of the
        user's text each completes; `fray` cuts some of its words, as misspelt ones would be.
        """
        before = [] if system is None else self._turn(self.text(f"system\n{system}"))
        words, ends = self._frayed(f"user\n{user}", fray)
        after = [START_ID, *self.roles["assistant"]]
        ids = [*before, *self._turn(words), *after]
        done = [max(0, end - len("user\n")) for end in ends]
        done = [0] * (len(before) + 1) + done
        return ids, done + [len(user)] * (len(ids) - len(done))

    def _turn(self, words: list[int]) -> list[int]:
        return [START_ID, *words, END_ID, *self.newline]

    def _frayed(self, text: str, fray: random.Random | None) -> tuple[list[int], list[int]]:
        ids, ends, start = [], [], 0
        words = re.finditer(r"\w{3,}", text) if fray else ()
        cuts = [
            fray.randrange(word.start() + 1, word.end()) for word in words if fray.random() < FRAY
        ]
        for cut in [*cuts, len(text)]:
            encoded = self.tokenizer.encode(text[start:cut])
            ids += encoded.ids
            ends += [start + end for _, end in encoded.offsets]
            start = cut
        return ids, ends

    def decode(self, ids: list[int]) -> str:
        """Text of tokens, without the control tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)
