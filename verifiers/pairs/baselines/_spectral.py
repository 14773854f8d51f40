"""Features that keep distances: layers of bounded spectral norm, and random Fourier features on top."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from probinf._arguments import real
from probinf.verifiers.pairs._fit import Fixed

_SQUARINGS = 5


def spectral_bound(kernel: Float[Array, "A B"]) -> Float[Array, ""]:
    """An upper bound on the largest singular value.

    Law: the Schatten norm of order 64: never below the value, and above it by a factor of rank^(1/64) at most, which is
    1.07 for rank 64. Power iteration, which the paper takes, comes from below and bounds nothing.

    Raises: ValueError for what is no matrix of finite numbers, unless traced.
    """
    kernel = real("kernel", kernel, "inputs outputs", finite=True)
    gram = kernel.T @ kernel if kernel.shape[0] > kernel.shape[1] else kernel @ kernel.T
    size = jnp.trace(gram)
    # A matrix of zeros stays one.
    gram, log_size = gram / jnp.where(size > 0, size, 1.0), jnp.log(size)
    for _ in range(_SQUARINGS):
        gram = gram @ gram
        size = jnp.trace(gram)
        gram, log_size = gram / jnp.where(size > 0, size, 1.0), 2 * log_size + jnp.log(size)
    return jnp.exp(log_size / 2 ** (_SQUARINGS + 1))


class SpectralPerceptron(nnx.Module):
    """A linear layer, and then residual layers x + relu(W x + b) with a spectral norm of W of at most `bound` < 1.

    Law: with L residual layers, distances of what the first layer puts out are changed by factors in
    [(1 - bound)^L, (1 + bound)^L].

    Raises: ValueError for a bound outside (0, 1).

    Source: Liu and others, arXiv 2006.10108, section 3.1, with a bound that is certain.
    """

    def __init__(self, inputs: int, width: int, layers: int, rngs: nnx.Rngs, *, bound: float = 0.95) -> None:
        if not 0 < bound < 1:
            raise ValueError(f"the bound on the spectral norm must lie in (0, 1) for distances to be kept, got {bound}")
        self.bound = bound
        self.first = nnx.Linear(inputs, width, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(layers - 1)])

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " width"]:
        """The features."""
        x = self.first(x)
        for layer in self.layers:
            kernel, bias = layer.kernel[...], layer.bias[...]  # pyright: ignore[reportOptionalSubscript]
            # As a projection after each step would do, no gradient passes through the norm.
            shrink = jnp.minimum(1.0, self.bound / jax.lax.stop_gradient(spectral_bound(kernel)))
            x = x + jax.nn.relu(x @ (shrink * kernel) + bias)
        return x


class RandomFourierFeatures(nnx.Module):
    """Features sqrt(2 / D) cos(V h + b) of a trunk's h, whose inner products approach exp(-|h - h'|^2 / (2 length^2)).

    V and b are drawn once and stay. Takes the place of a trunk: under a `MixtureHead` with one component it makes the
    network for `sngp`, under any head of pairs a model of pairs on the same features.

    Raises: ValueError for a length that is not positive.

    Source: Rahimi and Recht (2007); arXiv 2006.10108, section 3.2.
    """

    def __init__(self, trunk: nnx.Module, width: int, features: int, rngs: nnx.Rngs, *, length: float = 1.0) -> None:
        if not length > 0:
            raise ValueError(f"the length scale must be positive, got {length}")
        self.trunk = trunk
        self.frequencies = Fixed(jax.random.normal(rngs.params(), (width, features)) / length)
        self.phases = Fixed(jax.random.uniform(rngs.params(), (features,), maxval=2 * jnp.pi))

    def __call__(self, x: Array) -> Float[Array, " D"]:
        """The features."""
        h = self.trunk(x)  # pyright: ignore[reportCallIssue]
        phases = self.phases[...]
        return jnp.sqrt(2 / phases.shape[0]) * jnp.cos(h @ self.frequencies[...] + phases)
