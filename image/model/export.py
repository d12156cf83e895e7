"""Write the trained model as GGUF in Q8_0: `python export.py --work DIR`.

Matrices become Q8_0 blocks, norms stay F32. The output matrix is the embedding, so it is stored
once. Tensor names and metadata are those of llama.cpp's `llama` architecture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import jax.numpy as jnp
import numpy as np

from model import Params, Shape, merged, tensor_shapes
from tokenizer import CHAT_TEMPLATE, CONTROL_TOKENS, END_ID, PAD_ID, START_ID, ChatTokenizer
from train import restore

FILE = Path(__file__).parent / "promptstick-demo-q8_0.gguf"
LIMIT_BYTES = 4_000_000
NAME = "promptstick demonstration model"
LICENCE = "MIT OR Apache-2.0"
ABOUT = (
    "A demonstration: answers questions about the promptstick and continues short stories. "
    "Trained from generated text by the scripts beside it; it knows nothing else."
)
QUANTISED = gguf.GGMLQuantizationType.Q8_0


def add_metadata(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """What the model is and how it is shaped."""
    writer.add_name(NAME)
    writer.add_description(ABOUT)
    writer.add_license(LICENCE)
    writer.add_author("the promptstick project")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: ChatTokenizer, shape: Shape) -> None:
    """Vocabulary, merges, control tokens and the chat template."""
    vocab = tokenizer.vocab
    if len(vocab) != shape.vocab:
        raise ValueError(f"the tokenizer has {len(vocab)} tokens, the model {shape.vocab}")
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocab)
    writer.add_token_types([control if token in CONTROL_TOKENS else normal for token in vocab])
    writer.add_token_merges(tokenizer.merges)
    writer.add_bos_token_id(START_ID)
    writer.add_eos_token_id(END_ID)
    writer.add_eot_token_id(END_ID)
    writer.add_pad_token_id(PAD_ID)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def export(params: Params, path: Path) -> int:
    """Write the file; returns its length in bytes."""
    shape = Shape()
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer, shape)
    add_tokenizer(writer, ChatTokenizer(), shape)
    for name in tensor_shapes(shape):
        weights = np.asarray(params[name], np.float32)
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
        else:
            blocks = gguf.quants.quantize(weights, QUANTISED)
            writer.add_tensor(name, blocks, raw_dtype=QUANTISED)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.stat().st_size


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder with checkpoints")
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    state, steps = restore(arguments.work / "checkpoint.npz")
    params = merged(state["params"], jnp.asarray(ChatTokenizer().folds))
    size_bytes = export(params, arguments.output)
    print(f"{arguments.output.name}: {size_bytes:,} bytes after {steps} steps")
    if size_bytes > LIMIT_BYTES:
        raise SystemExit(f"the file is larger than {LIMIT_BYTES:,} bytes")


if __name__ == "__main__":
    main()
