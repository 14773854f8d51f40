"""Worlds with a known truth for every input, in which a small network must underfit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

_GRID = 16384
_CELLS = 4096


@dataclass(frozen=True)
class World:
    """Inputs uniform on [0, 1), and the truth p(y | x) of each class."""

    classes: int
    truth: Callable[[Float[Array, ""]], Float[Array, " K"]]

    def draw(self, key: PRNGKeyArray, responses: int) -> tuple[Float[Array, " 1"], Int[Array, " k"]]:
        """An input, as a network sees it, and independent responses to it."""
        x_key, y_key = jax.random.split(key)
        x = jax.random.uniform(x_key)
        return seen(x), jax.random.categorical(y_key, jnp.log(self.truth(x)), shape=(responses,))


def seen(x: Float[Array, ""]) -> Float[Array, " 1"]:
    """What a network sees of an input."""
    return (4 * x - 2)[None]


def grid() -> Float[np.ndarray, " X"]:
    """Inputs over which everything is measured."""
    return (np.arange(_GRID) + 0.5) / _GRID


def _chirp(x: Array) -> Array:
    p = 0.5 + 0.42 * jnp.sin(2 * jnp.pi * (1.2 * x + 60 * x**6))
    return jnp.stack([1 - p, p])


def _content_and_style(x: Array) -> Array:
    """Four contents in two styles: a staircase, and then what a small network cannot learn.

    The second half is a fixed table, in no order, of 4096 cells over the whole.
    """
    table = jnp.asarray(np.random.default_rng(0).integers(0, 4, size=_CELLS))
    content = jnp.where(x < 0.5, jnp.floor(8 * x).astype(int) % 4, table[jnp.floor(_CELLS * x).astype(int)])
    style = 0.5 + 0.3 * jnp.sin(2 * jnp.pi * x)
    return (jax.nn.one_hot(content, 4)[:, None] * jnp.stack([style, 1 - style])[None, :]).ravel()


WORLDS = {
    "chirp": World(2, _chirp),
    "style": World(8, _content_and_style),
}
