"""Sequential Monte Carlo along a ladder of tempered likelihoods.

Law: from nothing to prior * likelihood (PROPER), for every number of particles and every ladder given
beforehand: Z-hat is unbiased for the evidence.

Source: Neal, Statistics and Computing 11 (2001), arXiv physics/9803008 (annealed importance sampling); Del
Moral, Doucet and Jasra, Journal of the Royal Statistical Society B 68 (2006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf._measure import Distribution, Factor, Measure, as_distribution, as_factor
from probinf._primitives import Draw, Move, Resample, Reweight, Scan
from probinf._sampler import Kernel, Sampler

# Systematic resampling at every rung.
_SYSTEMATIC = Resample()


class Rung(NamedTuple):
    """Inverse temperatures before and after a stage."""

    before: Float[Array, "..."]
    after: Float[Array, "..."]


class TemperStage(eqx.Module):
    """One rung: weigh by the likelihood's increment, resample, move `moves` times by a kernel for the new temperature.

    Raises: ValueError for fewer than one move.
    """

    prior: Distribution
    likelihood: Factor
    make_kernel: Callable[[Measure], Kernel]
    resample: Sampler
    moves: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a stage without moves."""
        check_moves(self.moves)

    def __call__(self, rung: Rung) -> Sampler:
        """The stage for this rung."""
        kernel = self.make_kernel(self.prior * self.likelihood**rung.after)
        increment = Reweight(self.likelihood ** (rung.after - rung.before))
        return increment >> self.resample >> Move(kernel, self.moves)


def tempered_smc(
    prior: Any,
    likelihood: Any,
    make_kernel: Callable[[Measure], Kernel],
    betas: Sequence[float] | Float[np.ndarray, " rungs"] | Float[Array, " rungs"],
    *,
    moves: int = 1,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Draws from the prior and brings the likelihood in step by step, at inverse temperatures `betas`.

    `make_kernel` maps a measure to a kernel that keeps it; make it a Module or a partial application such as
    `eqx.Partial(MetropolisHastings, proposal=random_walk(0.5))`. After each resampling a lane makes `moves`
    transitions. The ladder is data: another of the same length does not compile anew.

    Law: m -> m * prior * likelihood (PROPER).

    Raises: ValueError where `betas` is not an increasing sequence of positive numbers that ends at 1, or `moves` is
    below one.
    """
    prior = as_distribution(prior)
    stage = TemperStage(prior, as_factor(likelihood), make_kernel, resample, moves)
    return Draw(prior) >> Scan(stage, as_rungs(betas))


def as_rungs(betas: Sequence[float] | Float[np.ndarray, " rungs"] | Float[Array, " rungs"]) -> Rung:
    """The steps of a ladder that starts at 0, one a row.

    Raises: ValueError where `betas` is not an increasing sequence of positive numbers that ends at 1.
    """
    ladder = np.asarray(betas, float)
    if ladder.ndim != 1 or not ladder.size or not np.all(np.diff(ladder, prepend=0.0) > 0) or ladder[-1] != 1.0:
        raise ValueError(f"betas must increase from above 0 to exactly 1, got {ladder}")
    after = jnp.asarray(ladder)
    return Rung(jnp.concatenate([jnp.zeros(1), after[:-1]]), after)


def check_moves(moves: int) -> None:
    """Raises: ValueError for fewer than one move a rung."""
    if moves < 1:
        raise ValueError(f"a cloud needs at least one move a rung, or its copies stay equal; got moves={moves}")
