"""Layers that all parts of the network share."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Bool, Float


def mlp(inputs: int, hidden: int, outputs: int, rngs: nnx.Rngs, *, zero: bool = False) -> nnx.Sequential:
    """One hidden layer with GELU; `zero` makes the untrained output zero."""
    last = nnx.initializers.zeros if zero else nnx.initializers.lecun_normal()
    return nnx.Sequential(
        nnx.Linear(inputs, hidden, rngs=rngs), jax.nn.gelu, nnx.Linear(hidden, outputs, kernel_init=last, rngs=rngs)
    )


class Block(nnx.Module):
    """A decoder layer: components attend to one another, then to the data, then each thinks for itself.

    The norm stands before each part (`pre_norm`) or, as in the paper, after it. No positions: order means nothing.
    """

    def __init__(self, config: Any, rngs: nnx.Rngs) -> None:
        width = config.width
        zeros = nnx.initializers.zeros
        attention = lambda **more: nnx.MultiHeadAttention(config.heads, width, decode=False, rngs=rngs, **more)  # noqa: E731
        self.pre_norm = config.pre_norm
        self.components = attention(out_kernel_init=zeros)
        self.data = attention()
        self.think = mlp(width, config.feed_forward, width, rngs, zero=True)
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(3)])

    def __call__(
        self,
        tokens: Float[Array, "K width"],
        memory: Float[Array, "M width"],
        present: Bool[Array, " K"],
        held: Bool[Array, " M"],
    ) -> Float[Array, "K width"]:
        """The tokens after the layer; absent components and padding are not attended to."""
        parts = (
            lambda x: self.components(x, x, x, mask=present[None, None, :]),
            lambda x: self.data(x, memory, memory, mask=held[None, None, :]),
            self.think,
        )
        for norm, part in zip(self.norms, parts, strict=True):
            tokens = tokens + part(norm(tokens)) if self.pre_norm else norm(tokens + part(tokens))
        return tokens
