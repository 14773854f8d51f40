"""Filtering: predict exactly, update by a network, and keep the mixture small."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._arguments import is_count, real
from probinf.distributions import GMM, merge_components, push_affine, split_components


class MixtureFilter(eqx.Module):
    """A filter for a linear motion with Gaussian noise and any observation that `update` can take in.

    The state moves by x' = transition x + N(0, noise_scale noise_scale'), which is exact for mixtures; `update(prior,
    data)` gives the posterior (a Distribution Transformer, or an exact update); the result is merged back to
    `components`.

    Law: changes target, by the update and the merging alone: with an exact update and one component it is the Kalman
    filter.

    Raises: ValueError for matrices of different sizes, or fewer than one component.

    Source: arXiv 2502.02463, section 4.3; the start and the merging are ours.
    """

    update: Callable[[GMM, Any], GMM]
    transition: Float[Array, "D D"] = eqx.field(converter=partial(real, "transition", finite=True))
    noise_scale: Float[Array, "D D"] = eqx.field(converter=partial(real, "noise_scale", finite=True))
    components: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what does not fit together."""
        if (
            self.transition.shape != self.noise_scale.shape
            or self.transition.ndim != 2
            or not is_count(self.components)
        ):
            raise ValueError(
                "a filter needs a transition [D, D], a noise scale [D, D] and at least one component, got "
                f"{self.transition.shape}, {self.noise_scale.shape} and {self.components}"
            )

    def start(self, mean: Float[Array, " D"], scale: Float[Array, "D D"]) -> GMM:
        """N(mean, scale scale') as distinct components with the same mean and covariance.

        Components that are equal stay equal, for a network that is equivariant cannot tell them apart, so a filter that
        starts from copies has one component for ever.
        """
        one = GMM(jnp.zeros(1, mean.dtype), mean[None], scale[None], "state")
        return split_components(one, self.components)

    def predict(self, state: GMM) -> GMM:
        """The law of the next state.

        Law: exact.
        """
        return push_affine(state, self.transition, noise_scale=self.noise_scale)

    def step(self, state: GMM, data: Any) -> GMM:
        """The law of the next state given its observation."""
        posterior = self.update(self.predict(state), data)
        return merge_components(posterior, min(self.components, posterior.components)).renamed("state")

    def run(self, state: GMM, stream: Any) -> GMM:
        """The laws after each observation of a stream, with a leading axis of time."""

        def one(state: GMM, data: Any) -> tuple[GMM, GMM]:
            after = self.step(state, data)
            return after, after

        return jax.lax.scan(one, state.renamed("state"), stream)[1]
