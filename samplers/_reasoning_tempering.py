"""Parallel tempering over solutions: chains whose rewards count less and less, and that exchange their solutions.

Law: keeps prod_k p_LM(x_k) * (prod_t potential_t(x_k))^beta_k; the chain at beta = 1 has the law of `reasoning_filter`.
Within a temperature a chain moves by particle Gibbs, which is told to count the rewards to the power beta.

Source: `probinf.samplers.parallel_tempering`; for reasoning: arXiv 2502.01618, algorithm 3. Its experiments run the
special case of independent chains without swaps, which here is `reasoning_filter(..., islands=M)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from probinf._measure import Measure
from probinf.lm import Reasoning
from probinf.samplers._parallel_tempering import ParallelTempering, parallel_tempering
from probinf.samplers._reasoning_gibbs import ReasoningGibbs, reasoning_gibbs
from probinf.samplers._solution_law import RewardTotal, SolutionLaw
from probinf.samplers._weight_rules import WeightRule


class GibbsAt(eqx.Module):
    """Makes the particle Gibbs kernel of one temperature: its target says how much the rewards count there."""

    writer: Reasoning
    rule: WeightRule
    n: int = eqx.field(static=True)
    ancestor_sampling: bool = eqx.field(static=True)
    keep_cloud: bool = eqx.field(static=True, default=False)

    def __call__(self, target: Measure) -> ReasoningGibbs:
        """The kernel that keeps the target."""
        pairs = zip(target.factors, target.exponents, strict=True)
        beta = next(exponent for factor, exponent in pairs if isinstance(factor, RewardTotal))
        return reasoning_gibbs(
            self.writer,
            self.rule,
            self.n,
            ancestor_sampling=self.ancestor_sampling,
            beta=beta,
            keep_cloud=self.keep_cloud,
        )


def reasoning_tempering(
    writer: Reasoning,
    rule: WeightRule,
    n: int,
    betas: Sequence[float] | Float[np.ndarray, " temperatures"] | Float[Array, " temperatures"],
    *,
    ancestor_sampling: bool = False,
    moves: int = 1,
    keep_cloud: bool = False,
) -> ParallelTempering:
    """A kernel on solutions at inverse temperatures `betas`, from hot to 1: particle Gibbs on n lanes, and swaps.

    A transition moves all temperatures, swaps the even pairs, moves again and swaps the odd ones. `init` draws a start
    from the model alone, `cold` picks the solution at beta = 1, and the info has each pair's swap and the log of its
    ratio, beside what particle Gibbs reports of each temperature at its last move (with `keep_cloud`, its clouds).

    Law: keeps prod_k p_LM(x_k) * (prod_t potential_t(x_k))^betas[k] (INVARIANT).

    Raises: ValueError where `betas` does not increase from 0 or above to exactly 1, or `moves` is below one; otherwise
    as `reasoning_gibbs` does.
    """
    kernel = GibbsAt(writer, rule, n, ancestor_sampling, keep_cloud)
    return parallel_tempering(SolutionLaw(writer), RewardTotal(rule), kernel, betas, moves=moves)
