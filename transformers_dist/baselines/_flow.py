"""Neural posterior estimation: a conditional normalizing flow, by flowjax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.transformers_dist.baselines._amortized import Density


class Flow(Density):
    """A masked autoregressive flow of rational-quadratic splines, conditioned on `size` numbers.

    Law: a density on R^D; outside of [-5, 5] each spline is the identity.

    Raises: ImportError without the extra `plots`, which brings flowjax.

    Source: NPE as in arXiv 1905.07488; the flow is flowjax's, splines of arXiv 1906.04032.
    """

    flow: Any

    def __init__(self, key: PRNGKeyArray, dimension: int, *, condition: int = 32, layers: int = 3, knots: int = 8):
        try:
            from flowjax.bijections import RationalQuadraticSpline
            from flowjax.distributions import Normal
            from flowjax.flows import masked_autoregressive_flow
        except ImportError as error:
            raise ImportError("the flow is flowjax's: pip install 'probinf[plots]'") from error
        self.size = condition
        # flowjax lets ranks be promoted, here and below.
        with jax.numpy_rank_promotion("allow"):
            self.flow = masked_autoregressive_flow(
                key,
                base_dist=Normal(jnp.zeros(dimension)),
                transformer=RationalQuadraticSpline(knots=knots, interval=5.0),
                cond_dim=condition,
                flow_layers=layers,
                nn_width=32,
            )

    def log_density(self, x: Float[Array, " D"], numbers: Float[Array, " size"]) -> Float[Array, ""]:
        """Log-density at a point, in nats."""
        with jax.numpy_rank_promotion("allow"):
            return self.flow.log_prob(x, condition=numbers)

    def sample(self, key: PRNGKeyArray, numbers: Float[Array, " size"]) -> Float[Array, " D"]:
        """A draw."""
        with jax.numpy_rank_promotion("allow"):
            return self.flow.sample(key, condition=numbers)
