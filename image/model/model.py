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
SHARED = "shared_embd.weight"  # what tokens that differ by case have in common; in training only
INIT_STD = 0.02
DROPPED_SHARE = 0.1
MASKED = -1e9


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. Every row length is a multiple of 32, as Q8_0 blocks need."""

    vocab: int = 5120
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


def merged(params: Params, folds: jax.Array) -> Params:
    """The parameters with what each token shares with its group added to its own embedding."""
    return params | {EMBEDDING: params[EMBEDDING] + params[SHARED][folds]}


def count_params(params: Params) -> int:
    """Number of weights."""
    return sum(int(value.size) for value in params.values())


@jax.custom_vjp
def times(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """x (…, inputs) times a matrix (outputs, inputs), of values rounded to bfloat16, and so twice
    as fast on processors that have it; the sums are 32-bit.
    """
    return _rounded_dot(x, matrix, x.ndim - 1, 1)


def _times_forward(x: jax.Array, matrix: jax.Array) -> tuple[jax.Array, tuple]:
    return times(x, matrix), (x, matrix)


def _times_backward(kept: tuple, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, matrix = kept
    rows = [value.reshape(-1, value.shape[-1]) for value in (slope, x)]
    return _rounded_dot(slope, matrix, slope.ndim - 1, 0), _rounded_dot(*rows, 0, 0)


def _rounded_dot(left: jax.Array, right: jax.Array, left_axis: int, right_axis: int) -> jax.Array:
    return jax.lax.dot_general(
        left.astype(jnp.bfloat16),
        right.astype(jnp.bfloat16),
        (((left_axis,), (right_axis,)), ((), ())),
        preferred_element_type=jnp.float32,
    )


times.defvjp(_times_forward, _times_backward)


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
    q = times(x, params[block + "attn_q.weight"]).reshape(batch, length, shape.heads, -1)
    k = times(x, params[block + "attn_k.weight"]).reshape(batch, length, shape.kv_heads, -1)
    v = times(x, params[block + "attn_v.weight"]).reshape(batch, length, shape.kv_heads, -1)
    q = rotate(q, *rope).reshape(batch, length, shape.kv_heads, groups, -1)
    k = rotate(k, *rope)
    scores = jnp.einsum("bqkgd,bskd->bkgqs", q, k) * shape.head_dim**-0.5
    weights = jax.nn.softmax(scores + mask[:, None, None], axis=-1)
    mixed = jnp.einsum("bkgqs,bskd->bqkgd", weights, v).reshape(batch, length, shape.dim)
    return times(mixed, params[block + "attn_output.weight"])


def feed_forward(params: Params, block: str, x: jax.Array) -> jax.Array:
    """SwiGLU."""
    gate = jax.nn.silu(times(x, params[block + "ffn_gate.weight"]))
    raised = gate * times(x, params[block + "ffn_up.weight"])
    return times(raised, params[block + "ffn_down.weight"])


def dropped(x: jax.Array, share: float, key: jax.Array | None) -> jax.Array:
    """Dropout (Srivastava et al., 2014): a share of the values is 0; with no key, nothing is."""
    if key is None:
        return x
    kept = jax.random.bernoulli(key, 1 - share, x.shape)
    return jnp.where(kept, x / (1 - share), 0.0)


def logits_of(params: Params, last: jax.Array) -> jax.Array:
    """Logits (…, vocab) of the last states that `hidden` gives, (…, dim)."""
    return times(last, params[EMBEDDING])


def hidden(
    params: Params,
    tokens: jax.Array,
    positions: jax.Array,
    segments: jax.Array,
    shape: Shape,
    key: jax.Array | None = None,
) -> list[jax.Array]:
    """The embeddings and what each block leaves, (batch, length, dim); the last is normalised.

    Tokens see only earlier ones of the same segment. With a key, values of the embeddings
    are dropped as in training.
    """
    length = tokens.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    seen = causal[None] & (segments[:, :, None] == segments[:, None, :])
    mask = jnp.where(seen, 0.0, MASKED)
    rope = rope_tables(positions.astype(jnp.float32), shape)
    x = dropped(params[EMBEDDING][tokens], DROPPED_SHARE, key)
    states = [x]
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        normed = rms_norm(x, params[block + "attn_norm.weight"], shape.norm_epsilon)
        x = x + attention(params, block, normed, rope, mask, shape)
        normed = rms_norm(x, params[block + "ffn_norm.weight"], shape.norm_epsilon)
        x = x + feed_forward(params, block, normed)
        states.append(x)
    states[-1] = rms_norm(x, params["output_norm.weight"], shape.norm_epsilon)
    return states
