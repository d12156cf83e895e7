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
PAD_ID, START_ID, END_ID = 0, 1, 2
FRAY = 0.12  # share of words that fraying cuts in two
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
        self.roles = {role: self.text(role + "\n") for role in ("system", "user", "assistant")}

    @property
    def vocab(self) -> list[str]:
        """Token texts in the order of their ids, in GPT-2's byte alphabet."""
        ids = self.tokenizer.get_vocab()
        return sorted(ids, key=ids.__getitem__)

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

    def frayed(self, text: str, rng: random.Random) -> list[int]:
        """Tokens of plain text in which some words are cut, as a misspelt or rare word would be."""
        ids, start = [], 0
        for word in re.finditer(r"\w{3,}", text):
            if rng.random() < FRAY:
                cut = rng.randrange(word.start() + 1, word.end())
                ids += self.text(text[start:cut])
                start = cut
        return ids + self.text(text[start:])

    def prompt(
        self, user: str, system: str | None = None, fray: random.Random | None = None
    ) -> list[int]:
        """Tokens of a chat up to where the assistant begins; `fray` frays the user's text."""
        ids = []
        if system is not None:
            ids += self._turn("system", system)
        ids += self._turn("user", user, fray)
        return ids + [START_ID, *self.roles["assistant"]]

    def question_start(self, system: str | None) -> int:
        """Where the user's turn begins in the tokens of a chat."""
        return 0 if system is None else len(self._turn("system", system))

    def _turn(self, role: str, content: str, fray: random.Random | None = None) -> list[int]:
        text = f"{role}\n{content}"
        words = self.frayed(text, fray) if fray else self.text(text)
        return [START_ID, *words, END_ID, *self.newline]

    def decode(self, ids: list[int]) -> str:
        """Text of tokens, without the control tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)
