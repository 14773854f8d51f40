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
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf._arguments import floating, is_count
from probinf._measure import Distribution, Factor, Measure, as_distribution, as_factor
from probinf._primitives import Draw, Move, Resample, Reweight, Scan
from probinf._sampler import Kernel, Sampler
from probinf.samplers._tuned_hmc import TunedHMC, TunedSettings

# Systematic resampling at every rung.
_SYSTEMATIC = Resample()


class Rung(NamedTuple):
    """Inverse temperatures before and after a stage, and the settings of its moves where they were found before."""

    before: Float[Array, "..."]
    after: Float[Array, "..."]
    settings: Any = ()


class TemperStage(eqx.Module):
    """One rung: weigh by the likelihood's increment, resample, move `moves` times by a kernel for the new temperature.

    Raises: ValueError for fewer than one move.
    """

    prior: Distribution
    likelihood: Factor
    make_kernel: Callable[[Measure], Kernel] | TunedHMC
    resample: Sampler
    moves: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a stage without moves."""
        check_moves(self.moves)

    def __call__(self, rung: Rung) -> Sampler:
        """The stage for this rung."""
        target = self.prior * self.likelihood**rung.after
        increment = Reweight(self.likelihood ** (rung.after - rung.before))
        if isinstance(self.make_kernel, TunedHMC):
            return increment >> self.resample >> self.make_kernel.move(target, rung.settings)
        return increment >> self.resample >> Move(self.make_kernel(target), self.moves)


def tempered_smc(
    prior: Any,
    likelihood: Any,
    make_kernel: Callable[[Measure], Kernel] | TunedHMC,
    betas: Sequence[float] | Float[np.ndarray, " rungs"] | Float[Array, " rungs"],
    *,
    moves: int = 1,
    resample: Sampler = _SYSTEMATIC,
    settings: TunedSettings | tuple[()] = (),
) -> Sampler:
    """Draws from the prior and brings the likelihood in step by step, at inverse temperatures `betas`.

    `make_kernel` maps a measure to a kernel that keeps it; make it a Module or a partial application such as
    `eqx.Partial(MetropolisHastings, proposal=random_walk(0.5))`. After each resampling a lane makes `moves`
    transitions. The ladder is data: another of the same length does not compile anew. With `TunedHMC` as `make_kernel`
    the particles tune their moves (then the law is CONSISTENT), or `settings` from `settings_of` an earlier run say
    them for each rung, and `moves` is not used.

    Law: m -> m * prior * likelihood (PROPER).

    Raises: ValueError where `betas` is not an increasing sequence of positive numbers that ends at 1, `moves` is below
    one, or `settings` are not one row a rung for a `TunedHMC`.
    """
    prior, rungs = as_distribution(prior), as_rungs(betas)
    rows = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(settings)}
    if rows and (rows != {rungs.after.shape} or not isinstance(make_kernel, TunedHMC)):
        raise ValueError(f"settings are one row for each of {len(rungs.after)} rungs and for TunedHMC only, got {rows}")
    stage = TemperStage(prior, as_factor(likelihood), make_kernel, resample, moves)
    return Draw(prior) >> Scan(stage, rungs._replace(settings=jax.tree.map(jnp.asarray, settings)))


def as_rungs(betas: Sequence[float] | Float[np.ndarray, " rungs"] | Float[Array, " rungs"]) -> Rung:
    """The steps of a ladder that starts at 0, one a row.

    Raises: ValueError where `betas` is not an increasing sequence of positive numbers that ends at 1.
    """
    floating("betas", betas)
    # By NumPy: what JAX makes of known numbers inside a trace can no longer be looked at.
    ladder = np.asarray(betas, float)
    if ladder.ndim != 1 or not ladder.size or not np.all(np.diff(ladder, prepend=0.0) > 0) or ladder[-1] != 1.0:
        raise ValueError(f"betas must increase from above 0 to exactly 1, got {ladder}")
    after = jnp.asarray(ladder)
    return Rung(jnp.concatenate([jnp.zeros(1), after[:-1]]), after)


def check_moves(moves: int) -> None:
    """Raises: ValueError for fewer than one move a rung."""
    if not is_count(moves):
        raise ValueError(f"a cloud needs at least one move a rung, or its copies stay equal; got moves={moves}")
