"""Posterior, refit, prior: the chain of Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import sample_chains
from probinf._arguments import is_count, real
from probinf._measure import Factor
from probinf.distributions import GMM, fit_gmm
from probinf.kernels import hmc
from probinf.transformers_dist._frame import Frame, frame_of


class HamiltonianChain(eqx.Module):
    """Takes in the data of a task by HMC on prior times likelihood, and fits a mixture to the draws.

    `likelihood(data)` is a factor of the unknown [D]. Chains start from draws of the prior and run in the frame in
    which the prior is standard; the first half of each is dropped.

    Law: changes target, by the refit (and by chains of finite length): one run on all data says how much.

    Raises: ValueError for fewer than one component, chain, draw or step.
    """

    likelihood: Callable[[Any], Factor]
    components: int = eqx.field(static=True, default=1)
    chains: int = eqx.field(static=True, default=4)
    draws: int = eqx.field(static=True, default=500)
    steps: int = eqx.field(static=True, default=16)
    step_size: float = 0.1

    def __check_init__(self):
        """Rejects empty runs."""
        real("step_size", self.step_size, "", low=0, finite=True)
        if not all(map(is_count, (self.components, self.chains, self.draws, self.steps))):
            raise ValueError("components, chains, draws and steps must be at least 1")

    def samples(self, key: PRNGKeyArray, prior: Any, data: Any) -> Float[Array, "N D"]:
        """Draws of the posterior, all chains together."""
        start_key, run_key = jax.random.split(key)
        frame = frame_of(prior)
        target = _Framed(prior, self.likelihood(data), frame)
        starts = jax.vmap(lambda k: frame.inward(prior.sample(k, ())))(jax.random.split(start_key, self.chains))
        run = sample_chains(hmc(target, self.step_size, self.steps), run_key, starts, self.draws)
        kept = run.values[:, self.draws // 2 :]
        return jax.vmap(frame.outward)(kept.reshape(-1, kept.shape[-1]))

    def __call__(self, key: PRNGKeyArray, prior: GMM, data: Any) -> GMM:
        """The fitted posterior, which may be the next prior."""
        draw_key, fit_key = jax.random.split(key)
        fitted, _ = _fit(fit_key, self.samples(draw_key, prior, data), self.components)
        return fitted.renamed(prior.name)


@eqx.filter_jit
def _fit(key: PRNGKeyArray, samples: Float[Array, "N D"], components: int) -> Any:
    return fit_gmm(key, samples, components)


class _Framed(Factor):
    """Prior times likelihood, as a density of the coordinates of a frame."""

    prior: GMM
    likelihood: Factor
    frame: Frame
    name: str = eqx.field(static=True, default="posterior")

    def log_density(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """Log-density but for a constant."""
        outside = self.frame.outward(x)
        return self.prior.log_density(outside) + self.likelihood.log_density(outside)
