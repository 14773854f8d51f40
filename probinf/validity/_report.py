"""One row per claim: what was claimed, which checks were possible, what they found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from scipy.stats import chi2

from probinf._measure import Guarantee, MeaningError, Measure
from probinf._sampler import Kernel, Sampler
from probinf.validity._contract import Contract, check_contract, consistency_p_value
from probinf.validity._errors import KeyReuseError, NotEnumerable, TooManyWorlds
from probinf.validity._finite import FiniteMeasure
from probinf.validity._kernel_matrix import invariance_error, kernel_matrix
from probinf.validity._program import promote
from probinf.validity._proper import check_proper_weighting
from probinf.validity._statistical import check_means

# An exact check fails above this; float64 sums over 10^5 worlds stay below 1e-12.
EXACT_TOLERANCE = 1e-10
# A statistical check fails below this: its false-alarm rate per row.
FALSE_ALARM_RATE = 1e-6
# Atoms whose masses the statistical check tests one by one.
_TESTED_ATOMS = 16


class SamplerCase(NamedTuple):
    """A sampler small enough to check. `expectations` replaces the exact target where draws are continuous.

    End the sampler with a `Map` where only part of a value should be compared. `grid` = B reads every uniform of
    `jax.random` on B points, as in `enumerate_law`; then `target` is needed, on the same points, and there is no
    statistical check: the compiled sampler draws other values.

    A sampler that claims nothing (HEURISTIC) is held to `target`, the exact law of its output, if there is one.

    `contract` is what a sampler promises that is only CONSISTENT: its runs are held to it, and the evidence and the
    self-normalized means to `expectations`, at many particles.
    """

    name: str
    sampler: Sampler
    n: int = 2
    expectations: tuple[Callable[[Any], Float[Array, " K"]], Float[np.ndarray, " K"]] | None = None
    target: FiniteMeasure | None = None
    grid: int = 0
    contract: Contract | None = None


class KernelCase(NamedTuple):
    """A Markov kernel on finitely many states (leading axis S), and the log-density it claims to keep on them.

    `grid` = B reads every uniform of `jax.random` on B points, as in `enumerate_law`; then there is no statistical
    check: the compiled kernel leaves the listed states.
    """

    name: str
    kernel: Kernel
    states: Any
    log_target: Float[np.ndarray, " S"]
    grid: int = 0


class Row(NamedTuple):
    """One line of the report; None is a check that was not possible. `caught_by` names the check that failed."""

    name: str
    law: str
    guarantee: str
    exact_error: float | None
    p_value: float | None
    verdict: str
    caught_by: str | None
    worlds: int | None


def check_case(case: SamplerCase | KernelCase, key: PRNGKeyArray, *, replicates: int = 16384) -> Row:
    """Runs every check that the case allows: symbolic, exact, statistical (on `replicates` runs; none if zero).

    The verdict is `flagged` if any check fails, `pass` if at least one was possible and none failed, else `unchecked`:
    a claim that nothing could test has not passed. A sampler that claims only to be CONSISTENT is held to its contract
    instead, and to the truth within a stated bias. Exact checks fail above 1e-10 relative error, statistical ones have
    a false-alarm rate of 1e-6 each.
    """
    if isinstance(case, KernelCase):
        return _check_kernel(case, key, replicates)
    return _check_sampler(case, key, replicates)


def _check_sampler(case: SamplerCase, key: PRNGKeyArray, replicates: int) -> Row:
    try:
        meaning = case.sampler.meaning(Measure())
    except MeaningError as error:
        return Row(case.name, str(error), "none", None, None, "flagged", "symbolic", None)
    row = Row(case.name, meaning.name, meaning.guarantee.value, None, None, "unchecked", None, None)
    if meaning.guarantee is Guarantee.CONSISTENT and case.contract is not None:
        return _check_promises(case, case.contract, row, key, replicates)
    # What claims no law can still be held to one that is given.
    if meaning.guarantee is Guarantee.CONSISTENT or (meaning.guarantee is Guarantee.HEURISTIC and case.target is None):
        return row
    expectations = case.expectations
    if expectations is None:
        try:
            exact = check_proper_weighting(case.sampler, case.n, target=case.target, grid=case.grid)
        except KeyReuseError as error:
            return row._replace(law=str(error), verdict="flagged", caught_by="key reuse")
        except (NotEnumerable, TooManyWorlds):
            return row
        row = row._replace(exact_error=exact.error, worlds=exact.worlds)
        expectations = _atom_tests(exact.target)
    if replicates and not case.grid:
        means = check_means(case.sampler, case.n, *expectations, key, replicates=replicates)
        row = row._replace(p_value=means.p_value)
    return _judged(row)


def _check_promises(case: SamplerCase, contract: Contract, row: Row, key: PRNGKeyArray, replicates: int) -> Row:
    """A claim for many particles only: one run against its contract, several against the truth."""
    report = check_contract(case.sampler, contract.n, key, ess=contract.ess)
    if report.violations(contract.tolerance):
        return row._replace(law=f"{row.law}, contract: {report.worst}", verdict="flagged", caught_by="contract")
    if not replicates or case.expectations is None:
        return row
    return _judged(row._replace(p_value=consistency_p_value(case.sampler, contract, *case.expectations, key)))


def _check_kernel(case: KernelCase, key: PRNGKeyArray, replicates: int) -> Row:
    invariant = case.kernel.invariant
    row = Row(
        case.name,
        f"{invariant.name} K = same",
        Guarantee.INVARIANT.value,
        None,
        None,
        "unchecked",
        None,
        None,
    )
    log_target = np.asarray(case.log_target, np.float64)
    try:
        with jax.enable_x64(True):
            matrix = kernel_matrix(promote(_Transition(case.kernel)), promote(case.states), grid=case.grid)
        row = row._replace(exact_error=float(invariance_error(matrix, log_target)))
    except KeyReuseError as error:
        return row._replace(law=str(error), verdict="flagged", caught_by="key reuse")
    except (NotEnumerable, TooManyWorlds):
        pass
    if not replicates or case.grid:
        return _judged(row)
    states = jax.tree.map(jnp.asarray, case.states)
    visits = _visits(_Transition(case.kernel), states, jnp.asarray(log_target, jnp.float32), key, replicates)
    counts = np.asarray(visits)
    expected = np.exp(log_target - np.logaddexp.reduce(log_target)) * replicates
    tested = expected > 5
    statistic = np.sum((counts[tested] - expected[tested]) ** 2 / expected[tested])
    return _judged(row._replace(p_value=float(chi2.sf(statistic, max(1, tested.sum() - 1)))))


def _judged(row: Row) -> Row:
    if row.exact_error is not None and not row.exact_error <= EXACT_TOLERANCE:
        return row._replace(verdict="flagged", caught_by="exact")
    if row.p_value is not None and not row.p_value >= FALSE_ALARM_RATE:
        return row._replace(verdict="flagged", caught_by="statistical")
    checked = row.exact_error is not None or row.p_value is not None
    return row._replace(verdict="pass" if checked else "unchecked")


class _Transition(eqx.Module):
    """A kernel without its info."""

    kernel: Kernel

    def __call__(self, key: PRNGKeyArray, x: Any) -> Any:
        return self.kernel(key, x)[0]


class _Atoms(eqx.Module):
    """The constant one, and the indicator of each of some atoms."""

    atoms: Any

    def __call__(self, x: Any) -> Float[Array, " K"]:
        return jnp.concatenate([jnp.ones(1), _matches(self.atoms, x).astype(jnp.float32)])


def _matches(states: Any, x: Any) -> Bool[Array, " S"]:
    """Which of the stacked states equals x, to the precision of float32."""
    pairs = zip(jax.tree.leaves(states), jax.tree.leaves(x), strict=True)
    same = [
        jnp.isclose(s.astype(float), v.astype(float)[None], atol=1e-5).reshape(len(s), -1).all(axis=1) for s, v in pairs
    ]
    return jnp.all(jnp.stack(same), axis=0)


def _atom_tests(target: FiniteMeasure) -> tuple[_Atoms, Float[np.ndarray, " K"]]:
    heaviest = np.argsort(-target.log_mass)[:_TESTED_ATOMS]
    atoms = jax.tree.map(lambda leaf: jnp.asarray(leaf[heaviest]), target.values)
    return _Atoms(atoms), np.concatenate([[target.total], np.exp(target.log_mass[heaviest])])


@eqx.filter_jit
def _visits(
    transition: _Transition, states: Any, log_target: Float[Array, " S"], key: PRNGKeyArray, replicates: int
) -> Int[Array, " S"]:
    """Where one transition from the target lands, counted over replicates."""
    start_key, move_key = jax.random.split(key)
    start = jax.random.categorical(start_key, log_target, shape=(replicates,))
    ends = jax.vmap(transition)(jax.random.split(move_key, replicates), jax.tree.map(lambda leaf: leaf[start], states))
    return jnp.sum(jax.vmap(lambda x: _matches(states, x))(ends), axis=0)
