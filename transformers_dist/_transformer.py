"""The Distribution Transformer: a prior and data in, a posterior out, in one forward pass."""

from __future__ import annotations

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import real
from probinf._measure import Distribution
from probinf.distributions import GMM
from probinf.transformers_dist._frame import identity_frame
from probinf.transformers_dist._network import Network, NetworkConfig
from probinf.transformers_dist._view import View


class DistributionTransformer(eqx.Module):
    """A trained network with its view: `dt(prior, data)` is an approximate posterior, a mixture of Gaussians.

    A pure function under jit and vmap; prior and data change without compiling anew. The posterior of a problem with a
    mixture prior may be the prior of the next.

    Law: changes target: the forward Kullback-Leibler divergence from the posterior is what training made small, on
    average over the meta-prior. `corrected` makes it exact.

    Raises: ValueError where prior or data cannot be seen through the view, with what to change; nothing inside a trace.

    Source: arXiv 2502.02463, section 3.
    """

    graph: Any = eqx.field(static=True)
    config: NetworkConfig = eqx.field(static=True)
    weights: Any
    view: View

    def __call__(self, prior: Any, data: Any) -> GMM:
        """The approximate posterior, in the space R^D of the mixture (`view.outward` maps points to the unknown)."""
        if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((prior, data, self.weights))):
            self.view.check(prior, data)
            return _compiled(self, prior, data)[1]
        return self.forward(prior, data)[1]

    @staticmethod
    def load(name: str) -> DistributionTransformer:
        """A shipped transformer, by its name in `probinf.transformers_dist.RECIPES`.

        Raises: ValueError for an unknown name.
        """
        # The recipes know the families, which know this class.
        from probinf.transformers_dist._shipped import load

        return cast(DistributionTransformer, load(name))

    def forward(self, prior: Any, data: Any) -> tuple[GMM, GMM]:
        """What the network makes of the prior alone, and the approximate posterior."""
        frame = self.view.frame(prior) if self.config.normalize else identity_frame(self.view.dimension)
        before, after = nnx.merge(self.graph, self.weights)(self.view.look(prior, data, frame))
        return frame.outward_mixture(before), frame.outward_mixture(after).renamed("transformer")


@eqx.filter_jit
def _compiled(dt: DistributionTransformer, prior: Any, data: Any) -> tuple[GMM, GMM]:
    return dt.forward(prior, data)


def untrained(key: PRNGKeyArray, view: View, config: NetworkConfig) -> DistributionTransformer:
    """A transformer with random weights, to be trained."""
    return eqx.tree_at(lambda dt: dt.weights, blank(view, config), _draw_weights(key, view, config))


# One compiled call, where each layer's numbers would be one.
@eqx.filter_jit
def _draw_weights(key: PRNGKeyArray, view: View, config: NetworkConfig) -> Any:
    return nnx.to_pure_dict(nnx.state(Network(config, view, nnx.Rngs(params=key))))


def blank(view: View, config: NetworkConfig) -> DistributionTransformer:
    """A transformer of the right shapes whose weights are zero, for weights that come from elsewhere."""
    network = nnx.eval_shape(lambda: Network(config, view, nnx.Rngs(params=0)))
    graph, state = nnx.split(network)
    weights = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nnx.to_pure_dict(state))
    return DistributionTransformer(graph, config, weights, view)


class Pushed(Distribution):
    """The law of `view.outward(u)` where u follows a mixture: an approximate posterior in the user's own space.

    Law: that of the mixture under the view's bijection; its density includes the Jacobian.
    """

    base: GMM
    view: View
    name: str = eqx.field(static=True, default="transformer")  # pyright: ignore[reportIncompatibleMethodOverride]

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, " D"]:
        """A draw of the mixture, mapped."""
        return self.view.outward(self.base.sample(key, x))

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density at a point of the user's space, in nats."""
        u = self.view.inward(x)
        return self.base.log_density(u) - self.view.log_jacobian(u)


def log_loss(q: Distribution, points: Float[Array, "S D"], log_weights: Float[Array, " S"]) -> Float[Array, ""]:
    """Cross-entropy of weighted points under an approximation, in nats.

    Raises: ValueError for points [S, D] and log-weights [S] that do not fit or hold NaN, unless traced.
    """
    points, log_weights = real("points", points, "points coordinates"), real("log_weights", log_weights, "points")
    if points.shape[:1] != log_weights.shape:
        raise ValueError(f"{points.shape[0]} points need as many log-weights, got {log_weights.shape[0]}")
    return -jnp.sum(jnp.exp(log_weights) * jax.vmap(q.log_density)(points))
