"""What kernels that follow a gradient share: trees of floating-point arrays, and scales for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from probinf._arguments import floating
from probinf._measure import Factor


def as_positive(scale: Any) -> PyTree:
    """Positive numbers as arrays, so that other numbers do not compile anew.

    Raises: ValueError where one is not positive and finite; TypeError for complex numbers and text.
    """
    for leaf in jax.tree.leaves(scale):
        floating("a step size or a scale", leaf)
        if not isinstance(leaf, Tracer) and not np.all((np.asarray(leaf) > 0) & np.isfinite(np.asarray(leaf))):
            raise ValueError(f"a step size or a scale must be positive, got {leaf}: take a finite number")
    # A number as float; its type must not depend on how it was written.
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf, float)), scale)


def spread(scale: PyTree, x: PyTree) -> PyTree:
    """The scale for every entry of x: one number for all leaves, or a tree of x's structure.

    Raises: TypeError where x holds anything but floating-point arrays.
    """
    leaves, structure = jax.tree.flatten(x)
    for leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(
                f"a gradient moves floating-point values, got {jnp.result_type(leaf)}: update that part by another "
                "kernel with Block"
            )
    scales = jax.tree.leaves(scale)
    scales = scales * len(leaves) if len(scales) == 1 else structure.flatten_up_to(scale)
    return structure.unflatten(
        jnp.broadcast_to(jnp.asarray(s, jnp.result_type(leaf)), jnp.shape(leaf))
        for s, leaf in zip(scales, leaves, strict=True)
    )


def gaussian_like(key: PRNGKeyArray, x: PyTree) -> PyTree:
    """A standard Gaussian for every entry of x."""
    leaves, structure = jax.tree.flatten(x)
    keys = jax.random.split(key, len(leaves))
    draws = [jax.random.normal(k, jnp.shape(leaf), jnp.result_type(leaf)) for k, leaf in zip(keys, leaves, strict=True)]
    return structure.unflatten(draws)


def density_and_gradient(target: Factor, x: PyTree) -> tuple[Float[Array, ""], PyTree]:
    """Log-density and its gradient."""
    return jax.value_and_grad(target.log_density)(x)


def total(tree: PyTree) -> Float[Array, ""]:
    """Sum of all entries of all leaves."""
    return sum((jnp.sum(leaf) for leaf in jax.tree.leaves(tree)), start=jnp.zeros(()))
