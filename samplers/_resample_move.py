"""Resample-move on a sequence of data: iterated batch importance sampling of static parameters.

Law: from nothing to prior * likelihood of all rows (PROPER), for every number of particles: Z-hat is unbiased for the
evidence of the data.

Source: Gilks and Berzuini, Journal of the Royal Statistical Society B 63 (2001); Chopin, Biometrika 89 (2002).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from probinf._measure import Distribution, Factor, Guarantee, Measure, as_distribution, as_factor
from probinf._primitives import Draw, Move, Resample, Reweight, Scan
from probinf._sampler import Kernel, Sampler
from probinf.samplers._tempered_smc import check_moves

# Systematic resampling at every row.
_SYSTEMATIC = Resample()


class RowsSoFar(Factor):
    """The likelihood of the first `seen` rows of data.

    Law: density prod_{t < seen} potential(rows[t])(x). All rows are evaluated and those not yet seen left out, so that
    one program serves every number of rows.
    """

    potential: Callable[[Any], Factor]
    rows: Any
    seen: Int[Array, ""]

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Which rows."""
        return "rows[:?]" if isinstance(self.seen, Tracer) else f"rows[:{int(self.seen)}]"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Sum over the rows seen, in nats."""
        log_g = jax.vmap(lambda row: as_factor(self.potential(row)).log_density(x))(self.rows)
        return jnp.sum(jnp.where(jnp.arange(log_g.shape[0]) < self.seen, log_g, 0.0))


class Observe(Reweight):
    """Weighs by the row that comes next.

    Law: m * rows[:t] -> m * rows[:t + 1] (PROPER): only row t is evaluated, and the factors telescope in the meaning.
    """

    before: RowsSoFar
    after: RowsSoFar

    def meaning(self, m: Measure) -> Measure:
        """The measure with one row more."""
        # No row at all is the constant one, which is no factor.
        first = not isinstance(self.before.seen, Tracer) and int(self.before.seen) == 0
        return (m * (self.after if first else self.after / self.before)).claiming(Guarantee.PROPER)


class RowStage(eqx.Module):
    """One row: weigh by its likelihood, resample, move `moves` times by a kernel for the prior and all rows so far.

    Raises: ValueError for fewer than one move.
    """

    prior: Distribution
    potential: Callable[[Any], Factor]
    rows: Any
    make_kernel: Callable[[Measure], Kernel]
    resample: Sampler
    moves: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a stage without moves."""
        check_moves(self.moves)

    def __call__(self, t: Int[Array, ""]) -> Sampler:
        """The stage for row t."""
        row = jax.tree.map(lambda leaf: leaf[t], self.rows)
        observe = Observe(self.potential(row), self.so_far(t), self.so_far(t + 1))
        kernel = self.make_kernel(self.prior * self.so_far(t + 1))
        return observe >> self.resample >> Move(kernel, self.moves)

    def so_far(self, seen: Int[Array, ""]) -> RowsSoFar:
        """The likelihood of the first rows."""
        return RowsSoFar(self.potential, self.rows, seen)


def resample_move(
    prior: Any,
    potential: Callable[[Any], Factor],
    rows: Any,
    make_kernel: Callable[[Measure], Kernel],
    *,
    moves: int = 1,
    resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Draws parameters from the prior, then meets the data row by row: weigh, resample, move.

    `potential` builds the likelihood of one row, a factor of the parameters: make it a Module, or a method of one.
    rows: a pytree whose leaves have the leading axis of rows. `make_kernel` maps a measure to a kernel that keeps it,
    as in `tempered_smc`. With `resample=Resample(ess=0.5)` weights are kept while they are good. A move evaluates every
    row, so a run takes O(rows^2) evaluations a particle.

    Law: m -> m * prior * prod_t potential(rows[t]) (PROPER).

    Raises: ValueError for no rows, leaves that disagree in number, or fewer than one move.
    """
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(rows)}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(f"resample_move needs rows, the same number in all leaves; got leading axes {sorted(lengths)}")
    prior, rows = as_distribution(prior), jax.tree.map(jnp.asarray, rows)
    stage = RowStage(prior, potential, rows, make_kernel, resample, moves)
    (steps,) = lengths.pop()
    return Draw(prior) >> Scan(stage, jnp.arange(steps, dtype=jnp.int32))
