"""Variational inference and Hamiltonian Monte Carlo by numpyro, for one problem at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoMultivariateNormal
from numpyro.infer.initialization import init_to_value
from numpyro.optim import Adam

from probinf.distributions import GMM
from probinf.distributions._small_matrices import lower_root

LogDensity = Callable[..., Float[Array, ""]]


def variational(
    key: PRNGKeyArray,
    log_density: LogDensity,
    dimension: int,
    *args: Any,
    start: Float[Array, " D"] | None = None,
    steps: int = 100,
    learning_rate: float = 0.1,
) -> GMM:
    """The full-rank Gaussian that numpyro's SVI finds for `log_density(x, *args)`, which need not be normalized.

    By default with the paper's settings: Adam at 0.1, 100 steps. Works under jit and vmap; other `args` of the same
    shapes do not compile anew.

    Law: changes target: a local minimum of KL(Gaussian || posterior), approximately.

    Source: settings of arXiv 2502.02463, table 8.
    """

    def model() -> None:
        x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (dimension,)))
        numpyro.factor("density", log_density(x, *args))

    where = jnp.zeros(dimension) if start is None else start
    guide = AutoMultivariateNormal(model, init_loc_fn=init_to_value(values={"x": where}))
    svi = SVI(model, guide, Adam(learning_rate), Trace_ELBO())
    state, _ = jax.lax.scan(lambda state, _: svi.update(state), svi.init(key), length=steps)
    params = svi.get_params(state)
    return GMM(jnp.zeros(1), params["auto_loc"][None], lower_root(params["auto_scale_tril"][None]), "variational")


def nuts(
    key: PRNGKeyArray,
    log_density: LogDensity,
    dimension: int,
    *args: Any,
    start: Float[Array, " D"] | None = None,
    draws: int = 1000,
    warm_up: int = 500,
) -> Float[Array, "draws D"]:
    """Draws of one chain of numpyro's NUTS for `log_density(x, *args)`, which need not be normalized.

    Works under jit; other `args` of the same shapes do not compile anew.

    Law: invariant for the density.
    """
    kernel = NUTS(potential_fn=lambda x: -log_density(x, *args))
    sampler = MCMC(kernel, num_warmup=warm_up, num_samples=draws, progress_bar=False)
    sampler.run(key, init_params=jnp.zeros(dimension) if start is None else start)
    return sampler.get_samples()
