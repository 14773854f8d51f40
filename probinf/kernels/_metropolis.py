"""Metropolis-Hastings."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._choice import check_key, flip
from probinf._measure import Factor, Measure, as_factor, as_measure
from probinf._sampler import Info, Kernel, redefines, repeated
from probinf.kernels._accept import log_accept_ratio, select
from probinf.kernels._proposal import Proposal, as_proposal


class MetropolisInfo(NamedTuple):
    """`log_ratio`: log of the acceptance ratio before it is cut at one; -inf for a proposal of density
    zero."""

    accepted: Bool[Array, ""]
    log_ratio: Float[Array, ""]


class MetropolisHastings(Kernel):
    """Proposes a value and accepts it with probability min(1, target(y) q(y -> x) / (target(x) q(x -> y))).

    Law: reversible for `target`, hence keeps it. A proposal of density zero, NaN or +inf is never accepted;
    from a value of density zero any other value is. `target` is a factor, a measure or a function that
    returns a log-density.

    Source: Hastings, Biometrika 57 (1970).

    Raises: TypeError for a target that runs on the host, or a proposal that is none.
    """

    target: Factor = eqx.field(converter=as_factor)
    proposal: Proposal = eqx.field(converter=as_proposal)

    def __check_init__(self):
        """Rejects what cannot be compiled."""
        if not self.target.traceable:
            raise TypeError(
                f"MetropolisHastings is compiled, but '{self.target.name}' runs on the host: Reweight by it"
            )

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, MetropolisInfo]:
        """One proposal, accepted or not."""
        check_key(key)
        propose_key, accept_key = jax.random.split(key)
        y = self.proposal.sample(propose_key, x)
        log_ratio = log_accept_ratio(
            self.target.log_density(x), self.target.log_density(y), self.proposal.log_ratio(x, y)
        )
        accepted = flip(accept_key, log_ratio)
        return select(accepted, y, x), MetropolisInfo(accepted, log_ratio)

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        """The same for n lanes: one draw of proposals and one of accept bits, and each density evaluated once."""
        if redefines(self, MetropolisHastings, "__call__"):
            return super().move_lanes(key, values, n, times)

        def transition(state: tuple, key: PRNGKeyArray) -> tuple[tuple, MetropolisInfo]:
            x, log_x = state
            propose_key, accept_key = jax.random.split(key)
            y = self.proposal.sample_lanes(propose_key, x, n)
            log_y = self.target.log_density_lanes(y, n)
            log_ratio = jax.vmap(log_accept_ratio)(log_x, log_y, jax.vmap(self.proposal.log_ratio)(x, y))
            accepted = flip(accept_key, log_ratio)
            return jax.vmap(select)(accepted, (y, log_y), (x, log_x)), MetropolisInfo(accepted, log_ratio)

        state, info = repeated(transition, key, (values, self.target.log_density_lanes(values, n)), times)
        return state[0], info

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)
