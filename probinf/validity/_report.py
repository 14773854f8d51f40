"""One row per claim: what was claimed, what was checked and what was not, and what the checks found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf._measure import Guarantee, MeaningError, Measure
from probinf._sampler import Kernel
from probinf.validity._alarm import bet_on_law, log_wealth_of_kernel
from probinf.validity._case import Case as Case
from probinf.validity._case import DistributionCase as DistributionCase
from probinf.validity._case import KernelCase as KernelCase
from probinf.validity._case import SamplerCase as SamplerCase
from probinf.validity._cells import BrokenCells
from probinf.validity._continuous import density_p_value
from probinf.validity._contract import Contract, check_contract, consistency_p_value
from probinf.validity._errors import HiddenRandomness, KeyReuseError, NotANumber, NotEnumerable, TooManyWorlds
from probinf.validity._finding import Finding
from probinf.validity._kernel_matrix import (
    LeavesStates,
    ergodicity_failure,
    invariance_error,
    kernel_matrix,
    rounding_of_invariance,
)
from probinf.validity._law import Branch, EnumeratedLaw
from probinf.validity._parts import DENSITY_TOLERANCE, distribution_findings, kernel_findings
from probinf.validity._program import promote
from probinf.validity._proper import EXACT_TOLERANCE as EXACT_TOLERANCE
from probinf.validity._proper import MARGIN, MOST_ROUNDING, exact_check
from probinf.validity._statistical import check_means
from probinf.validity._thorough import claims_on_the_continuum, look_again, look_closer

# A statistical check fails below this: its false-alarm rate per row.
FALSE_ALARM_RATE = 1e-6
# What the entries of a kernel's matrix may be off in float32.
_SINGLE = 1e-4
# Standard errors of a relative deviation that the sequential test sees in nearly every run at that rate.
_SEEN = 7.0


class Row(NamedTuple):
    """One line of the report; None is a check that was not possible.

    `caught_by` names the check that failed and `reason` says more, also why nothing could be checked. `tolerance` is
    what the exact error may be. `sizes` are the numbers of particles, `branches` how many branches of the program's
    conds some world took, and of how many; `randomness` the kinds of draws; `compared` the other things that were
    looked at (see `Finding`); `resolution` the relative bias of the evidence that the statistical part would see.
    """

    name: str
    law: str
    guarantee: str
    exact_error: float | None
    p_value: float | None
    verdict: str
    caught_by: str | None
    worlds: int | None
    tolerance: float = EXACT_TOLERANCE
    reason: str | None = None
    sizes: tuple[int, ...] = ()
    branches: tuple[int, int] | None = None
    randomness: tuple[str, ...] = ()
    compared: tuple[Finding, ...] = ()
    resolution: float | None = None


def check_case(case: Case, key: PRNGKeyArray, *, replicates: int = 16384, thorough: bool = False) -> Row:
    """Run every check that the case allows: symbolic, exact, and sequential on `replicates` runs.

    The exact check reads the case's own number of particles, on a fresh cloud and on one that comes in with weights,
    twist and evidence, and follows every key. With `thorough` it also reads other numbers of particles, float32, the
    eager, batched and in-place forms, and each distribution, factor and kernel by itself, which takes some times as
    long. A row says what was looked at.

    The verdict is `flagged` if any check fails, `pass` if at least one was possible and none failed, else `unchecked`:
    a claim that nothing could test has not passed. A sampler that claims only to be CONSISTENT is held to its contract
    instead, and to the truth within a stated bias. Exact checks fail above 1e-10 relative error (more where float32
    tables are read, see `ExactCheck`), statistical ones have a false-alarm rate of 1e-6 each; none if `replicates` is
    zero. A NaN, an overflow, a key used twice and a refused density are failures too.
    """
    try:
        if isinstance(case, DistributionCase):
            return _check_distribution(case, key, replicates)
        if isinstance(case, KernelCase):
            return _check_kernel(case, key, replicates, thorough)
        return _check_sampler(case, key, replicates, thorough)
    except KeyReuseError as error:
        return _flagged(_empty(case), "key reuse", str(error))
    except NotANumber as error:
        return _flagged(_empty(case), "not a number", str(error))
    except HiddenRandomness as error:
        return _flagged(_empty(case), "hidden randomness", str(error))
    except BrokenCells as error:
        return _flagged(_empty(case), "cells", str(error))
    except LeavesStates as error:
        return _flagged(_empty(case), "exact", str(error))


def _empty(case: Case, law: str = "", guarantee: str = "none") -> Row:
    if isinstance(case, KernelCase):
        law = f"{case.kernel.invariant.name} K = same"
        guarantee = Guarantee.INVARIANT.value if case.ergodic else "stationary"
    elif isinstance(case, DistributionCase):
        law, guarantee = case.distribution.name, Guarantee.EXACT.value
    elif not law:
        meaning = case.sampler.meaning(Measure())
        law, guarantee = meaning.name, meaning.guarantee.value
    return Row(case.name, law, guarantee, None, None, "unchecked", None, None)


def _flagged(row: Row, by: str, reason: str | None = None) -> Row:
    return row._replace(verdict="flagged", caught_by=by, reason=reason)


def _check_sampler(case: SamplerCase, key: PRNGKeyArray, replicates: int, thorough: bool) -> Row:
    try:
        meaning = case.sampler.meaning(Measure())
    except MeaningError as error:
        return _flagged(_empty(case, str(error)), "symbolic", str(error))
    row = _empty(case, meaning.name, meaning.guarantee.value)
    if meaning.guarantee is Guarantee.CONSISTENT and case.contract is not None:
        return _check_promises(case, case.contract, row, key, replicates)
    # What claims no law can still be held to one that is given.
    if meaning.guarantee is Guarantee.CONSISTENT or (meaning.guarantee is Guarantee.HEURISTIC and case.target is None):
        return row._replace(reason=f"{meaning.guarantee.value}: no law is claimed that a finite check could test")
    if case.expectations is not None:
        return _check_expectations(case, row, key, replicates, thorough)
    try:
        check, law = exact_check(case.sampler, case.n, case.target, grid=case.grid)
    except (NotANumber, HiddenRandomness):
        raise
    except (NotEnumerable, TooManyWorlds) as error:
        return row._replace(reason=str(error))
    except MeaningError as error:
        # It states a product of factors of which no finite measure can be made.
        return row._replace(reason=f"no exact target: {error}")
    row = _with_law(row, law, check.error, check.tolerance)._replace(sizes=(case.n,))
    if not check.passed:
        return _flagged(row, "exact", _sentence(f"fresh cloud, n = {case.n}", check.error, check.tolerance))
    closer = look_closer if thorough else look_again
    row = _with_findings(row, closer(case, check.target, law))
    if row.verdict == "flagged" or not replicates or case.grid:
        return _judged(row)
    wealth = np.asarray(bet_on_law(case.sampler, case.n, check.target, law, samples=replicates)(key))
    return _judged(row._replace(p_value=_p_value(wealth), resolution=_resolution(law, replicates)))


def _check_expectations(case: SamplerCase, row: Row, key: PRNGKeyArray, replicates: int, thorough: bool) -> Row:
    """Means only: the draws are continuous."""
    assert case.expectations is not None
    if not replicates:
        return row
    means = check_means(case.sampler, case.n, *case.expectations, key, replicates=replicates)
    relative = float(means.errors[0] / abs(means.means[0])) if means.means[0] else math.inf
    row = row._replace(p_value=means.p_value, resolution=_SEEN * relative, sizes=(case.n,), randomness=("continuous",))
    if not thorough or row.p_value is None or not row.p_value >= FALSE_ALARM_RATE:
        return _judged(row)
    return _judged(_with_findings(row, claims_on_the_continuum(case.sampler, case.n)))


def _check_promises(case: SamplerCase, contract: Contract, row: Row, key: PRNGKeyArray, replicates: int) -> Row:
    """A claim for many particles only: one run against its contract, several against the truth."""
    report = check_contract(case.sampler, contract.n, key, ess=contract.ess)
    if report.violations(contract.tolerance):
        return _flagged(row, "contract", f"the run breaks its promise on: {report.worst}")
    if not replicates or case.expectations is None:
        return row
    return _judged(row._replace(p_value=consistency_p_value(case.sampler, contract, *case.expectations, key)))


def _check_kernel(case: KernelCase, key: PRNGKeyArray, replicates: int, thorough: bool) -> Row:
    row = _empty(case)
    log_target = np.asarray(case.log_target, np.float64)
    if np.any(np.isnan(log_target)) or not np.any(np.isfinite(log_target)):
        return _flagged(row, "not a number", "the log-density of the states holds NaN, or is -inf throughout")
    transition = _Transition(case.kernel)
    try:
        with jax.enable_x64(True):
            matrix = kernel_matrix(transition, promote(case.states), grid=case.grid)
    except (NotANumber, HiddenRandomness):
        raise
    except (NotEnumerable, TooManyWorlds) as error:
        row = row._replace(reason=str(error))
    else:
        error, tolerance = invariance_error(matrix, log_target), EXACT_TOLERANCE
        if tolerance < error <= MOST_ROUNDING:
            moved = rounding_of_invariance(transition, case.states, log_target, grid=case.grid)
            tolerance = max(tolerance, MARGIN * min(moved, MOST_ROUNDING))
        row = row._replace(exact_error=error, tolerance=tolerance, randomness=("discrete",))
        if not error <= tolerance:
            return _flagged(row, "exact", _sentence("one transition from the target", error, tolerance))
        failure = ergodicity_failure(matrix, log_target) if case.ergodic else None
        if failure is not None:
            return _flagged(row, "not ergodic", failure)
        row = _with_findings(row, _kernel_forms(case, log_target, thorough))
        if row.verdict == "flagged":
            return row
    if not replicates or case.grid:
        return _judged(row)
    wealth = np.asarray(log_wealth_of_kernel(case.kernel, case.states, log_target, key, samples=replicates))
    return _judged(row._replace(p_value=_p_value(wealth)))


def _kernel_forms(case: KernelCase, log_target: np.ndarray, thorough: bool) -> Iterator[Finding]:
    """The density that the kernel says it keeps, its batched form, and its matrix in production precision."""
    with jax.enable_x64(True):
        kernel, states = promote(case.kernel), promote(jax.tree.map(jnp.asarray, case.states))
        claimed = _claimed_density(kernel, states)
        if claimed is not None:
            gap = _gap_up_to_a_constant(claimed, log_target)
            yield Finding("the measure it says it keeps", gap, DENSITY_TOLERANCE)
        if thorough:
            try:
                yield from kernel_findings(kernel, states)
            except TooManyWorlds:
                # Pairs of lanes have the square of the worlds of one.
                pass
    if thorough and not case.grid:
        with jax.enable_x64(False):
            single = jax.tree.map(_as_single, case.states)
            matrix = kernel_matrix(_Transition(case.kernel), single, double=False)
        yield Finding("float32", invariance_error(matrix, log_target), _SINGLE, "precision")


def _as_single(leaf: Any) -> np.ndarray:
    leaf = np.asarray(leaf)
    return leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf


def _check_distribution(case: DistributionCase, key: PRNGKeyArray, replicates: int) -> Row:
    row = _empty(case)
    try:
        with jax.enable_x64(True):
            inputs = promote(jax.tree.map(jnp.asarray, case.inputs))
            row = _with_findings(row, distribution_findings(promote(case.distribution), inputs))
    except (NotANumber, HiddenRandomness):
        raise
    except TooManyWorlds as error:
        return row._replace(reason=str(error))
    except NotEnumerable as error:
        if not replicates:
            return row._replace(reason=str(error))
        p_value = density_p_value(case.distribution, case.inputs, key, draws=replicates)
        return _judged(row._replace(p_value=p_value, randomness=("continuous",)))
    if not row.compared:
        return row._replace(reason="its density cannot be computed at what it draws")
    if row.verdict == "flagged":
        return row
    return row._replace(verdict="pass", exact_error=max(f.error for f in row.compared), randomness=("discrete",))


def _claimed_density(kernel: Kernel, states: Any) -> np.ndarray | None:
    """Log-density of the declared measure at the states, where they are values of it."""
    try:
        return np.asarray(jax.vmap(kernel.invariant.log_density)(states), np.float64)
    except (MeaningError, TypeError, AttributeError, IndexError):
        # Kernels on more than the value (an estimate beside it) keep a measure of the value.
        return None


def _gap_up_to_a_constant(claimed: np.ndarray, log_target: np.ndarray) -> float:
    if np.any(np.isnan(claimed)) or not np.array_equal(np.isfinite(claimed), np.isfinite(log_target)):
        return math.inf
    gap = (claimed - log_target)[np.isfinite(log_target)]
    return float(np.max(gap) - np.min(gap))


def _with_law(row: Row, law: EnumeratedLaw, error: float, tolerance: float) -> Row:
    taken, total = _reached(law.branches)
    return row._replace(
        exact_error=error,
        tolerance=tolerance,
        worlds=law.worlds,
        branches=(taken, total) if total else None,
        randomness=tuple(sorted({site.name for site in law.sites})),
    )


def _reached(branches: tuple[Branch, ...]) -> tuple[int, int]:
    return sum(len(branch.taken) for branch in branches), sum(branch.branches for branch in branches)


def _with_findings(row: Row, findings: Iterator[Finding]) -> Row:
    """The row after looking at everything, or up to the first thing that fails."""
    for finding in findings:
        row = row._replace(compared=(*row.compared, finding))
        if finding.size is not None and finding.size not in row.sizes:
            row = row._replace(sizes=tuple(sorted((*row.sizes, finding.size))))
        if finding.branches:
            taken, total = _reached(finding.branches)
            before = row.branches or (0, total)
            row = row._replace(branches=(max(taken, before[0]), max(total, before[1])) if total else None)
        if not finding.passed:
            reason = _sentence(finding.what, finding.error, finding.tolerance)
            return _flagged(row._replace(exact_error=finding.error), finding.kind, reason)
    return row


def _sentence(what: str, error: float, tolerance: float) -> str:
    return f"{what}: off by {error:.3g}, may be {tolerance:.1g}"


def _judged(row: Row) -> Row:
    if row.verdict == "flagged":
        return row
    if row.exact_error is not None and not row.exact_error <= row.tolerance:
        return _flagged(row, "exact")
    if row.p_value is not None and not row.p_value >= FALSE_ALARM_RATE:
        return _flagged(row, "statistical", f"independent runs contradict the claim: p = {row.p_value:.2g}")
    checked = row.exact_error is not None or row.p_value is not None
    return row._replace(verdict="pass" if checked else "unchecked")


def _p_value(log_wealth: np.ndarray) -> float:
    """What a wealth is worth as a p-value: P(it ever reaches 1/p) <= p. NaN is worth nothing less than an alarm."""
    if np.any(np.isnan(log_wealth)):
        return 0.0
    return float(np.exp(-max(0.0, float(np.max(log_wealth)))))


def _resolution(law: EnumeratedLaw, replicates: int) -> float:
    """Seven standard errors of the evidence relative to itself, from its exact variance."""
    log_mass = np.logaddexp.reduce(law.outputs[1], axis=1)
    top = float(np.max(log_mass))
    if not np.isfinite(top):
        return math.inf
    mass, p = np.exp(log_mass - top), law.probability
    mean = float(np.sum(p * mass))
    variance = max(0.0, float(np.sum(p * (mass - mean) ** 2)))
    return _SEEN * math.sqrt(variance / replicates) / mean


class _Transition(eqx.Module):
    """A kernel without its info."""

    kernel: Kernel

    def __call__(self, key: PRNGKeyArray, x: Any) -> Any:
        return self.kernel(key, x)[0]
