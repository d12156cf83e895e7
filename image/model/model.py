"""The network: a small Llama (RMSNorm, rotary positions, SwiGLU, grouped heads, tied embeddings).

Rotary positions turn neighbouring pairs (x0, x1), (x2, x3), … as llama.cpp does for the `llama`
architecture, so the weights need no permutation on export. Used by train.py, evaluate.py and
export.py; the parameters are a flat dictionary whose keys are the tensor names of GGUF.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]
EMBEDDING = "token_embd.weight"
INIT_STD = 0.02
DROPPED_SHARE = 0.1
MASKED = -1e9


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. Every row length is a multiple of 32, as Q8_0 blocks need."""

    vocab: int = 3072
    dim: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 2
    ffn: int = 512
    context: int = 512
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Values in one attention head."""
        return self.dim // self.heads


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names and sizes of all tensors; matrices are (outputs, inputs) as in GGUF."""
    kv_dim = shape.kv_heads * shape.head_dim
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.vocab, shape.dim)}
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        shapes |= {
            block + "attn_norm.weight": (shape.dim,),
            block + "attn_q.weight": (shape.dim, shape.dim),
            block + "attn_k.weight": (kv_dim, shape.dim),
            block + "attn_v.weight": (kv_dim, shape.dim),
            block + "attn_output.weight": (shape.dim, shape.dim),
            block + "ffn_norm.weight": (shape.dim,),
            block + "ffn_gate.weight": (shape.ffn, shape.dim),
            block + "ffn_up.weight": (shape.ffn, shape.dim),
            block + "ffn_down.weight": (shape.dim, shape.ffn),
        }
    shapes["output_norm.weight"] = (shape.dim,)
    return shapes


def init_params(shape: Shape, seed: int) -> Params:
    """Random start: normal weights, smaller where a block adds to the residual; norms are one."""
    rng = np.random.default_rng(seed)
    params = {}
    for name, size in tensor_shapes(shape).items():
        if name.endswith("norm.weight"):
            value = np.ones(size)
        else:
            std = INIT_STD
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                std /= (2 * shape.layers) ** 0.5
            value = rng.normal(0.0, std, size)
        params[name] = jnp.asarray(value, jnp.float32)
    return params


def count_params(params: Params) -> int:
    """Number of weights."""
    return sum(int(value.size) for value in params.values())


def rms_norm(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    """Root-mean-square normalisation over the last axis."""
    scale = jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon)
    return x * scale * weight


def rope_tables(positions: jax.Array, shape: Shape) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines, (batch, length, 1, head_dim / 2), for the positions given."""
    exponent = jnp.arange(0, shape.head_dim, 2) / shape.head_dim
    angles = positions[..., None] * shape.rope_base**-exponent
    return jnp.cos(angles)[:, :, None, :], jnp.sin(angles)[:, :, None, :]


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Turn each neighbouring pair of values by its angle."""
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return turned.reshape(x.shape)


def attention(
    params: Params, block: str, x: jax.Array, rope: tuple, mask: jax.Array, shape: Shape
) -> jax.Array:
    """Causal self-attention in which several query heads share a key and value head."""
    batch, length, _ = x.shape
    groups = shape.heads // shape.kv_heads
    q = (x @ params[block + "attn_q.weight"].T).reshape(batch, length, shape.heads, -1)
    k = (x @ params[block + "attn_k.weight"].T).reshape(batch, length, shape.kv_heads, -1)
    v = (x @ params[block + "attn_v.weight"].T).reshape(batch, length, shape.kv_heads, -1)
    q = rotate(q, *rope).reshape(batch, length, shape.kv_heads, groups, -1)
    k = rotate(k, *rope)
    scores = jnp.einsum("bqkgd,bskd->bkgqs", q, k) * shape.head_dim**-0.5
    weights = jax.nn.softmax(scores + mask[:, None, None], axis=-1)
    mixed = jnp.einsum("bkgqs,bskd->bqkgd", weights, v).reshape(batch, length, shape.dim)
    return mixed @ params[block + "attn_output.weight"].T


def feed_forward(params: Params, block: str, x: jax.Array) -> jax.Array:
    """SwiGLU."""
    gate = jax.nn.silu(x @ params[block + "ffn_gate.weight"].T)
    return (gate * (x @ params[block + "ffn_up.weight"].T)) @ params[block + "ffn_down.weight"].T


def dropped(x: jax.Array, share: float, key: jax.Array | None) -> jax.Array:
    """Dropout (Srivastava et al., 2014): a share of the values is 0; with no key, nothing is."""
    if key is None:
        return x
    kept = jax.random.bernoulli(key, 1 - share, x.shape)
    return jnp.where(kept, x / (1 - share), 0.0)


def logits_of(params: Params, last: jax.Array) -> jax.Array:
    """Logits (…, vocab) of the last states that `hidden` gives, (…, dim)."""
    return last @ params[EMBEDDING].T


def hidden(
    params: Params,
    tokens: jax.Array,
    positions: jax.Array,
    segments: jax.Array,
    shape: Shape,
    key: jax.Array | None = None,
) -> list[jax.Array]:
    """The embeddings and what each block leaves, (batch, length, dim); the last is normalised.

    Tokens see only earlier ones of the same segment. With a key, values are dropped as in
    training.
    """
    sites = 1 + 2 * shape.layers
    keys = [None] * sites if key is None else list(jax.random.split(key, sites))
    length = tokens.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    seen = causal[None] & (segments[:, :, None] == segments[:, None, :])
    mask = jnp.where(seen, 0.0, MASKED)
    rope = rope_tables(positions.astype(jnp.float32), shape)
    x = dropped(params[EMBEDDING][tokens], DROPPED_SHARE, keys.pop())
    states = [x]
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        normed = rms_norm(x, params[block + "attn_norm.weight"], shape.norm_epsilon)
        mixed = attention(params, block, normed, rope, mask, shape)
        x = x + dropped(mixed, DROPPED_SHARE, keys.pop())
        normed = rms_norm(x, params[block + "ffn_norm.weight"], shape.norm_epsilon)
        x = x + dropped(feed_forward(params, block, normed), DROPPED_SHARE, keys.pop())
        states.append(x)
    states[-1] = rms_norm(x, params["output_norm.weight"], shape.norm_epsilon)
    return states
