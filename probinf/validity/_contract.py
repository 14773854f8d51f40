"""Contracts: what no law sees, because a sampler that breaks them may still mean the right measure.

A ladder of temperatures whose steps are twice too small costs twice the work and is no less consistent; a run that
stops below temperature 1 is properly weighted, for another target. So they are checked on runs, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy import stats

from probinf._arguments import alike, floating, real, whole
from probinf._choice import check_key
from probinf._particles import Particles, spawn
from probinf._sampler import Info, Sampler

# Rounding of a sum of float32 weights.
_ROUNDING = 1e-3


class ContractReport(NamedTuple):
    """How far a run is from each promise; zero where it is kept, None where the run shows nothing of the kind.

    ess: largest distance of an effective sample size from the target at any rung but the last, as a fraction of N.
    overshoot: by how much the last rung's falls below the target. climb: by how much the temperatures fail to increase;
    a step of zero counts as 1. end: distance of the last temperature from exactly 1. weights: distance of the sum of
    the normalized weights from 1. ancestors: how many are no lane. heirs: offspring of lanes of weight zero.
    """

    ess: float | None = None
    overshoot: float | None = None
    climb: float | None = None
    end: float | None = None
    weights: float | None = None
    ancestors: float | None = None
    heirs: float | None = None

    def violations(self, tolerance: float = 0.02) -> dict[str, float]:
        """The promises that are broken, and by how much; `tolerance` is what the effective sample sizes may be off."""
        allowed = {"ess": tolerance, "overshoot": tolerance, "weights": _ROUNDING}
        found = {name: value for name, value in self._asdict().items() if value is not None}
        # Written so that NaN is a violation.
        return {name: value for name, value in found.items() if not value <= allowed.get(name, 0.0)}

    @property
    def worst(self) -> str:
        """The name of the largest violation, or `none`."""
        broken = self.violations()
        return max(broken, key=lambda name: math.inf if math.isnan(broken[name]) else broken[name], default="none")

    def joined(self, other: ContractReport) -> ContractReport:
        """The worse of the two, promise by promise."""
        pairs = zip(self, other, strict=True)
        return ContractReport(*(b if a is None else a if b is None else max(a, b) for a, b in pairs))


class Contract(NamedTuple):
    """What a sampler that adapts promises of its runs on `n` particles, for `check_case`.

    ess: the target of the effective sample size, as a fraction. tolerance: how far a rung may miss it. bias: how far
    from the truth an expectation may be at n particles, relative to the largest of those tested. runs: how many runs
    the check of that averages.
    """

    ess: float
    n: int = 1024
    tolerance: float = 0.02
    bias: float = 0.01
    runs: int = 64


def check_contract(sampler: Sampler, n: int, key: PRNGKeyArray, *, ess: float) -> ContractReport:
    """Runs a sampler on n fresh particles and reports how its run keeps its promises.

    It reads the cloud's weights, and the parts of the run's info that have the fields `temperatures`, `ess` and
    `rungs`, or `ancestors` (which a `Scan` keeps only where it records them). Nothing is raised for a broken promise:
    see `violations` and `worst`.

    Raises: TypeError for a legacy key.
    """
    check_key(key)
    cloud, info = _run(sampler, key, n)
    report = check_weights(cloud)
    for part in _parts(info):
        if hasattr(part, "temperatures"):
            rungs = int(part.rungs)
            report = report.joined(
                check_ladder(np.asarray(part.temperatures)[:rungs], np.asarray(part.ess)[:rungs], target=ess)
            )
        elif getattr(part, "ancestors", None) is not None:
            ancestors = np.asarray(part.ancestors)
            strays = float(np.sum((ancestors < 0) | (ancestors >= ancestors.shape[-1])))
            report = report.joined(ContractReport(ancestors=strays))
    return report


def check_ladder(
    temperatures: Float[np.ndarray, " rungs"] | Float[Array, " rungs"],
    ess: Float[np.ndarray, " rungs"] | Float[Array, " rungs"],
    *,
    target: float,
) -> ContractReport:
    """Checks the inverse temperatures of an adaptive run, and the effective sample size as a fraction at each.

    Promised: they increase strictly from above 0 and end at exactly 1; every rung but the last hits the target, and the
    last stays above it. A ladder without rungs ends at 0.
    """
    # Looked at as JAX arrays, read in full precision below.
    alike(temperatures=floating("temperatures", temperatures, "rungs"), ess=floating("ess", ess, "rungs"))
    real("target", target, "", low=0, high=1)
    betas = np.concatenate([[0.0], np.asarray(temperatures, np.float64)])
    sizes = np.asarray(ess, np.float64)
    steps = np.diff(betas)
    falls = np.where(steps == 0, 1.0, np.maximum(-steps, 0.0))
    return ContractReport(
        ess=float(np.max(np.abs(sizes[:-1] - target), initial=0.0)),
        overshoot=float(np.max(target - sizes[-1:], initial=0.0)),
        climb=float(np.max(falls, initial=0.0)),
        end=float(abs(betas[-1] - 1.0)),
    )


def check_weights(cloud: Particles) -> ContractReport:
    """Checks that the normalized weights sum to one; those of a dead cloud are all zero, which is kept too."""
    floating("log_weights", cloud.log_weights, "lanes")
    total = float(np.sum(np.asarray(cloud.normalized_weights, np.float64)))
    dead = total == 0.0 and not bool(cloud.log_z > -np.inf)
    return ContractReport(weights=0.0 if dead else abs(total - 1.0))


def check_ancestors(
    log_weights: Float[np.ndarray, " N"] | Float[Array, " N"], ancestors: Int[np.ndarray, " M"] | Int[Array, " M"]
) -> ContractReport:
    """Checks that all ancestors are lanes, and that none of weight zero has offspring; a dead cloud may keep itself."""
    log_weights = np.asarray(floating("log_weights", log_weights, "lanes"))
    ancestors = np.asarray(whole("ancestors", ancestors, "lanes"))
    inside = (ancestors >= 0) & (ancestors < len(log_weights))
    alive = bool(np.any(log_weights > -np.inf))
    heirs = float(np.sum(log_weights[ancestors[inside]] == -np.inf)) if alive else 0.0
    return ContractReport(ancestors=float(np.sum(~inside)), heirs=heirs)


def consistency_p_value(
    sampler: Sampler,
    contract: Contract,
    tests: Callable[[Any], Float[Array, " K"]],
    expected: Float[np.ndarray, " K"],
    key: PRNGKeyArray,
) -> float:
    """Tests that runs on many particles find the evidence and the self-normalized means, up to the bias allowed.

    `tests` and `expected` are as in `check_means`: unnormalized, the first one the constant one. The evidence relative
    to the truth and each self-normalized mean get a two-sided t-test over independent runs, after `contract.bias` was
    granted; the p-value is Bonferroni's over all, so for estimates near normal whose bias is below the bound the
    false-alarm rate is at most the threshold that it is compared with.
    """
    clouds = (_run(sampler, run_key, contract.n)[0] for run_key in jax.random.split(key, contract.runs))
    x = np.stack([np.asarray(_estimates(cloud, tests), np.float64) for cloud in clouds])
    truth = np.asarray(expected, np.float64) / expected[0]
    x[:, 0] /= expected[0]
    error = x.std(axis=0, ddof=1) / np.sqrt(len(x))
    beyond = np.maximum(np.abs(x.mean(axis=0) - truth) - contract.bias * np.abs(truth).max(), 0.0)
    p = 2.0 * stats.t.sf(beyond / np.maximum(error, np.finfo(np.float64).tiny), len(x) - 1)
    return float(min(1.0, len(p) * p.min()))


@eqx.filter_jit
def _run(sampler: Sampler, key: PRNGKeyArray, n: int) -> tuple[Particles, Info]:
    return sampler(key, spawn(n))


@eqx.filter_jit
def _estimates(cloud: Particles, tests: Callable) -> Float[Array, " K"]:
    """The evidence, then the self-normalized mean of each test but the first."""
    means = cloud.normalized_weights @ jax.vmap(tests, axis_size=cloud.n)(cloud.values)
    return means.at[0].set(jnp.exp(cloud.log_z))


def _parts(info: Info) -> Iterator[Any]:
    """The reports in a nested info that say something a contract is about."""
    if isinstance(info, tuple):
        yield info
        for part in info:
            yield from _parts(part)
