"""What answer a sample gives: integers that samples are counted by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

Answer = Callable[[Any], Int[Array, ""] | int]


def answers_of(answer: Answer, values: Any, n: int) -> Int[Array, " n"]:
    """The answers of all lanes."""
    return jnp.asarray(jax.vmap(answer, axis_size=n)(values))
