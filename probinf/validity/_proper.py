"""The exact check of a sampler: the measure it produces on every outcome against the measure it means."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._maps import release_programs
from probinf._particles import Particles, add_log, spawn
from probinf._sampler import Sampler
from probinf._signed import Signed
from probinf.validity._denote import denote
from probinf.validity._finite import FiniteMeasure, largest_difference, smallest_ratio
from probinf.validity._kernel_matrix import ROUNDINGS
from probinf.validity._law import Branch, EnumeratedLaw, read_law
from probinf.validity._program import Program

# An exact check fails above this; float64 sums over 10^5 worlds stay below 1e-12.
EXACT_TOLERANCE = 1e-10
# How much larger than the largest move of the measure by the rounding of float32 tables an error may be, and the
# largest error that rounding can explain.
MARGIN = 8.0
MOST_ROUNDING = 1e-4
# An atom that has less than this share of its mass is lost, which no rounding explains.
_LOST = 0.99


class ExactCheck(NamedTuple):
    """`error`: see `largest_difference`; `worlds`: how many were read.

    `tolerance` is what rounding explains: 1e-10, and more where float32 tables are read, by how much the measure moves
    if each of their numbers is moved by half a unit. `branches` are the conds of the program and what was taken of
    them, and `findings` what `thorough` found besides.
    """

    error: float
    worlds: int
    found: FiniteMeasure
    target: FiniteMeasure
    tolerance: float = EXACT_TOLERANCE
    branches: tuple[Branch, ...] = ()
    findings: tuple[Any, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the measure is the one that is meant, and nothing else was found."""
        return self.error <= self.tolerance and all(finding.passed for finding in self.findings)


class Incoming(NamedTuple):
    """What a cloud carries before a sampler runs: log-weights and log-twist of each lane, and log-evidence."""

    log_weights: Any
    log_twist: Any
    log_evidence: Any

    @property
    def log_mass(self) -> float:
        """Logarithm of the total mass."""
        weights = np.asarray(self.log_weights, np.float64)
        return float(np.logaddexp.reduce(weights) - np.log(len(weights)) + float(self.log_evidence))


def fresh(n: int) -> Incoming:
    """Unit mass, as `spawn` gives."""
    return Incoming(np.zeros(n), np.zeros(n), np.float64(0.0))


def weighed(n: int) -> Incoming:
    """Weights, twists and evidence with nothing equal: what a stage must neither forget nor overwrite."""
    lanes = np.arange(n)
    return Incoming(np.log(0.4 + 0.37 * lanes % 1.3), 0.6 * np.cos(1.0 + 2.0 * lanes), np.float64(-0.83))


def dying(n: int) -> Incoming:
    """A cloud whose first lane is dead, of several, and whose evidence is large: what a stage must not bring back."""
    weights = np.where((np.arange(n) == 0) & (n > 1), -np.inf, weighed(n).log_weights)
    return Incoming(weights, np.zeros(n), np.float64(35.0))


def dead(n: int) -> Incoming:
    """No mass at all, which nothing may bring back; its lanes still hold values."""
    return Incoming(np.full(n, -np.inf), np.zeros(n), np.float64(0.0))


class _Run(NamedTuple):
    """Runs a sampler on a cloud that comes in with weights, twist and evidence."""

    n: int

    def __call__(self, key: PRNGKeyArray, sampler: Sampler, incoming: Incoming) -> tuple[Any, Float[Array, " N"]]:
        start = spawn(self.n)
        kind = start.log_weights.dtype
        weights, twist, evidence = (jnp.asarray(x, kind) for x in incoming)
        cloud, _ = sampler(key, start.replace(log_weights=weights, log_twist=twist, log_evidence=evidence))
        # A NaN stays visible beside a weight or an evidence that is dead, and in the twist of any lane.
        undefined = jnp.isnan(cloud.log_weights) | jnp.isnan(cloud.log_evidence) | jnp.isnan(cloud.log_twist)
        return cloud.values, jnp.where(undefined, jnp.nan, log_masses(cloud))


def log_masses(cloud: Particles) -> Float[Array, " N"]:
    """Log-mass of each lane: its share of the random measure that the cloud is."""
    return add_log(cloud.log_weights, cloud.log_evidence) - jnp.log(cloud.n)


def program_of(
    sampler: Sampler,
    incoming: Incoming,
    *,
    key: PRNGKeyArray | None = None,
    limit: int = 2_000_000,
    grid: int = 0,
    double: bool = True,
) -> Program:
    """The program of a sampler on clouds of as many lanes, as `Program.of`; call it in the precision that is meant."""
    run = _Run(len(incoming.log_weights))
    key = jax.random.key(0) if key is None else key
    kind = np.float64 if double else np.float32
    arrays = Incoming(*(np.asarray(x, kind) for x in incoming))
    return Program.of(run, key, (sampler, arrays), limit, grid, double=double)


def measure_of(law: EnumeratedLaw) -> FiniteMeasure:
    """The expectation of the random measures of a law of clouds."""
    values, log_mass = law.outputs
    lanes = log_mass.shape[1]
    sign = None
    if isinstance(values, Signed):
        values, sign = values.value, np.asarray(values.sign, np.float64).reshape(-1)
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(len(leaf) * lanes, *leaf.shape[2:]), values)
    dead = log_mass == -np.inf
    log_mass = np.where(dead, -np.inf, law.log_prob[:, None] + np.where(dead, 0.0, log_mass.astype(np.float64)))
    return FiniteMeasure(flat, log_mass.reshape(-1), sign).merged()


def expected_measure(
    sampler: Sampler,
    n: int,
    *,
    key: PRNGKeyArray | None = None,
    limit: int = 2_000_000,
    grid: int = 0,
) -> tuple[FiniteMeasure, int]:
    """The measure E[exp(log_evidence) / N * sum_i exp(log_weights_i) delta(values_i)] over all of a sampler's coins.

    Returns the measure and the number of worlds; `grid` as in `enumerate_law`. Values that are `Signed` count with
    their sign.

    Raises: NotEnumerable, TooManyWorlds, KeyReuseError.
    """
    release_programs()
    with jax.enable_x64(True):
        law = read_law(program_of(sampler, fresh(n), key=key, limit=limit, grid=grid))
    return measure_of(law), law.worlds


def check_proper_weighting(
    sampler: Sampler,
    n: int,
    *,
    target: FiniteMeasure | None = None,
    limit: int = 2_000_000,
    grid: int = 0,
    thorough: bool = False,
) -> ExactCheck:
    """Compare what a sampler produces, over every outcome of its own randomness, with what it means.

    Law checked: E[Z-hat * f-hat] = m(f) for every f, in float64, where m is `denote(sampler)` or the `target` given.
    `grid` = B reads every uniform of `jax.random` on the B points (i + 1/2) / B; then give the `target` on them.

    With `thorough` the findings hold what else a claim implies, each with its error: the same law at other numbers of
    particles and on clouds that come in with weights, twist and evidence; in float32; eagerly, under vmap and in place;
    of each lane, where the claim is EXACT; and the parts of the sampler by themselves, such as the density of each
    distribution against its draws. It ends with the first that fails.

    Raises: NotEnumerable where randomness is continuous; TooManyWorlds; KeyReuseError; MeaningError where no law is
    stated.
    """
    check, law = exact_check(sampler, n, target, limit=limit, grid=grid)
    if not thorough or not check.passed:
        return check
    # What it looks at uses this check too.
    from probinf.validity._case import SamplerCase
    from probinf.validity._thorough import look_closer

    findings = []
    for finding in look_closer(SamplerCase("", sampler, n, target=target, grid=grid), check.target, law):
        findings.append(finding)
        if not finding.passed:
            break
    return check._replace(findings=tuple(findings))


def exact_check(
    sampler: Sampler, n: int, target: FiniteMeasure | None, *, limit: int = 2_000_000, grid: int = 0
) -> tuple[ExactCheck, EnumeratedLaw]:
    """The comparison of the measures, and the law that it read."""
    release_programs()
    with jax.enable_x64(True):
        program = program_of(sampler, fresh(n), limit=limit, grid=grid)
        law = read_law(program)
        if target is None:
            target = denote(sampler, FiniteMeasure((), np.zeros(1))).merged()
        return compared(program, law, target), law


def compared(program: Program, law: EnumeratedLaw, target: FiniteMeasure) -> ExactCheck:
    """The measure of a law against its target, with the tolerance that the rounding of float32 tables asks for."""
    found = measure_of(law)
    error = largest_difference(found, target)
    tolerance = EXACT_TOLERANCE
    small = EXACT_TOLERANCE < error <= MOST_ROUNDING and smallest_ratio(found, target) > _LOST
    if small and program.holds_single:
        moves = [
            largest_difference(measure_of(read_law(program, rounding=seed, audit=False)), found) for seed in ROUNDINGS
        ]
        tolerance = max(EXACT_TOLERANCE, MARGIN * min(max(moves), MOST_ROUNDING))
    return ExactCheck(error, law.worlds, found, target, tolerance, law.branches)
