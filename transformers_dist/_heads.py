"""From tokens to a mixture: outright, as changes to the prior, or by conditioning on translated data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from probinf.distributions import GMM, condition_components
from probinf.transformers_dist._layers import mlp

# Keeps scales away from zero, as in the paper.
_JITTER = 1e-5


class MixtureHead(nnx.Module):
    """What makes the posterior from the prior's mixture and the tokens that have seen the data."""

    def __call__(
        self,
        base: GMM,
        tokens: Float[Array, "K width"],
        data: Float[Array, "N width"],
        rows: Float[Array, "N F"],
        present: Bool[Array, " N"],
    ) -> GMM:
        """The posterior's mixture."""
        raise NotImplementedError


class DirectHead(MixtureHead):
    """The paper's: weights by a softmax, means and log-diagonals outright.

    Source: arXiv 2502.02463, appendix D.
    """

    def __init__(self, config: Any, dimension: int, rngs: nnx.Rngs, *, row_size: int = 0) -> None:
        del row_size
        self.dimension = dimension
        size = 1 + dimension + dimension * (dimension + 1) // 2
        self.output = mlp(config.width, config.embedding, size, rngs)

    def __call__(self, base: GMM, tokens: Array, data: Array, rows: Array, present: Array) -> GMM:
        """The mixture that the tokens spell."""
        del data, rows, present
        return self.mixture(tokens, base.present)

    def mixture(self, tokens: Float[Array, "K width"], present: Bool[Array, " K"]) -> GMM:
        """The mixture that the tokens spell; absent components stay absent."""
        logits, means, scales = unpack(self.output(tokens), self.dimension)
        diagonal = jnp.eye(self.dimension, dtype=scales.dtype) * _JITTER
        return GMM(jax.nn.log_softmax(jnp.where(present, logits, -jnp.inf)), means, scales + diagonal[None])


class ResidualHead(MixtureHead):
    """Changes to the components of the prior, in the units of each: no change before training.

    Law: component k becomes mean + scale @ move, scale @ stretch, with its log-weight moved.
    """

    def __init__(self, config: Any, dimension: int, rngs: nnx.Rngs, *, row_size: int = 0) -> None:
        del row_size
        self.dimension = dimension
        size = 1 + dimension + dimension * (dimension + 1) // 2
        self.output = mlp(config.width, config.embedding, size, rngs, zero=True)

    def __call__(self, base: GMM, tokens: Array, data: Array, rows: Array, present: Array) -> GMM:
        """The changed mixture."""
        del data, rows, present
        return self.changed(base, tokens)

    def changed(self, base: GMM, tokens: Float[Array, "K width"]) -> GMM:
        """The changed mixture."""
        logits, moves, stretches = unpack(self.output(tokens), self.dimension)
        log_weights = jax.nn.log_softmax(base.log_weights + logits)
        means = base.held_means + jnp.einsum("kij,kj->ki", base.held_scales, moves)
        return GMM(log_weights, means, base.held_scales @ stretches)


class SiteHead(ResidualHead):
    """Each datum is translated, for each component, into an observation `value = row @ x + N(0, 1)`.

    Conditioning on all of them is exact and in closed form, so information adds up over the data as it should, and
    what is left is changed as by the residual head. The translation sees the datum itself beside what attention made
    of it: where the data are linear and Gaussian it is a linear map, which training has to find.

    Law: with no data, the prior's mixture changed by the residual.
    """

    def __init__(self, config: Any, dimension: int, rngs: nnx.Rngs, *, row_size: int = 0) -> None:
        super().__init__(config, dimension, rngs)
        # Small, so that training starts near the prior and not at a posterior that is sure of the wrong thing.
        small = nnx.initializers.normal(0.1)
        self.from_row = nnx.Linear(row_size, dimension + 1, use_bias=False, kernel_init=small, rngs=rngs)
        self.from_tokens = nnx.Linear(config.width, config.width, rngs=rngs)
        self.from_data = nnx.Linear(config.width, config.width, use_bias=False, rngs=rngs)
        self.site = nnx.Linear(config.width, dimension + 2, kernel_init=nnx.initializers.normal(0.02), rngs=rngs)

    def __call__(self, base: GMM, tokens: Array, data: Array, rows: Array, present: Array) -> GMM:
        """The mixture given the translated data, then changed."""
        both = jax.nn.gelu(self.from_tokens(tokens)[:, None, :] + self.from_data(data)[None, :, :])
        learned = self.site(both)
        # One more number than the linear map has: how much the observation counts, which is 1 before training.
        observation = learned[..., :-1] + self.from_row(rows)[None, :, :]
        strength = jnp.where(present, jnp.exp(0.5 * learned[..., -1]), 0.0)[..., None]
        held = jnp.where(present[None, :, None], observation, 0.0) * strength
        conditioned, _ = condition_components(base, held[..., :-1], held[..., -1])
        return self.changed(conditioned, tokens)


def component_features(gmm: GMM) -> Float[Array, "K features"]:
    """Log-weight, mean, log-diagonal, the rest of the scale in units of its rows, and the log of how many there are."""
    d = gmm.dimension
    lower = np.tril_indices(d, -1)
    diagonal = jnp.diagonal(gmm.held_scales, axis1=-2, axis2=-1)
    relative = gmm.held_scales / diagonal[..., :, None]
    count = jnp.log(jnp.sum(gmm.present, dtype=gmm.means.dtype))
    return jnp.concatenate(
        [
            jnp.where(gmm.present, gmm.log_weights, 0.0)[:, None],
            jnp.broadcast_to(count, (gmm.components, 1)),
            jnp.arcsinh(gmm.held_means),
            jnp.log(diagonal),
            jnp.arcsinh(relative[:, lower[0], lower[1]]),
        ],
        axis=1,
    )


def expand_components(gmm: GMM, times: int) -> GMM:
    """The same density with every component written `times` times."""
    repeat = lambda leaf: jnp.repeat(leaf, times, axis=0)  # noqa: E731
    log_times = jnp.log(jnp.asarray(times, gmm.log_weights.dtype))
    return GMM(repeat(gmm.log_weights - log_times), repeat(gmm.held_means), repeat(gmm.held_scales), gmm.name)


def unpack(output: Float[Array, "K size"], dimension: int) -> tuple[Array, Array, Array]:
    """A logit, a vector and a lower triangular matrix with positive diagonal from one row of numbers each."""
    d = dimension
    lower = np.tril_indices(d, -1)
    logits, vectors, log_diagonal = output[:, 0], output[:, 1 : 1 + d], output[:, 1 + d : 1 + 2 * d]
    matrix = jnp.zeros((output.shape[0], d, d), output.dtype).at[:, lower[0], lower[1]].set(output[:, 1 + 2 * d :])
    return logits, vectors, matrix + jax.vmap(jnp.diag)(jnp.exp(log_diagonal))
