"""What a sampler's claim implies beyond one exact comparison, checked one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PRNGKeyArray

from probinf._measure import Density, Distribution, Factor, Guarantee, MeaningError, Measure
from probinf._particles import Particles, spawn
from probinf._primitives import Draw, Map, Nested, Scan, Verified, While
from probinf._sampler import Sampler, redefines
from probinf._signed import Signed
from probinf.kernels import conditional_smc
from probinf.validity._atoms import atom_codes
from probinf.validity._case import SamplerCase
from probinf.validity._cells import check_positions
from probinf.validity._errors import KeyReuseError, NotEnumerable, TooManyWorlds
from probinf.validity._finding import Finding
from probinf.validity._finite import FiniteMeasure, largest_difference
from probinf.validity._kernel_matrix import ergodicity_failure, invariance_error, kernel_matrix
from probinf.validity._law import EnumeratedLaw, read_law
from probinf.validity._parts import atoms_of, density_gap, log_densities, part_findings
from probinf.validity._program import Program, promote
from probinf.validity._proper import (
    Incoming,
    compared,
    dead,
    dying,
    fresh,
    log_masses,
    measure_of,
    program_of,
    weighed,
)

# Worlds of the other numbers of particles: more are not worth their time.
_FEW_WORLDS = 20_000
# Other numbers of particles, beside the one that was asked for.
_SIZES = (1, 2, 3, 4)
# What float32 may be off: its sums, and the rounding of log-weights of some size.
_SINGLE = 2e-4
# Stated densities and masses may differ by the rounding of float32 tables.
_STATED = 1e-5
# Log-probability of worlds that rounding makes possible, and states of a kernel that are worth a matrix.
_NEGLIGIBLE = np.log(1e-12)
_MOST_STATES = 64
# A place in the cells of a grid that is not their middle.
_OFF_THE_GRID = 0.237
# Keys of the runs that are compared between forms; two must differ, since one may by rounding at a threshold.
_KEYS = 6


def look_again(case: SamplerCase, target: FiniteMeasure, law: EnumeratedLaw) -> Iterator[Finding]:
    """What can be checked with the program that was compiled for the exact check."""
    meaning = _meaning(case.sampler)
    yield from _symbolic(case.sampler, meaning)
    # On a grid masses are those of its points, and densities are not.
    if meaning is not None and not case.grid:
        yield from _stated_density(case.sampler, meaning, target)
    yield _support(law, target)
    if meaning is not None and meaning.guarantee is Guarantee.EXACT:
        yield _exact_lanes(law, target)
    with jax.enable_x64(True):
        program = program_of(case.sampler, fresh(case.n), grid=case.grid)
        check_positions(program, grid=not case.lattice and bool(case.grid) and _discrete(program, target))
    # The target of what claims no measure is the law of its output from a fresh cloud; and weights that come in need
    # not lie on a grid.
    if meaning is not None and meaning.guarantee is not Guarantee.HEURISTIC and not case.grid:
        for what, cloud in (("weighed cloud", weighed), ("cloud with a dead lane", dying), ("dead cloud", dead)):
            yield _incoming(case.sampler, what, cloud(case.n), target)


def look_closer(case: SamplerCase, target: FiniteMeasure, law: EnumeratedLaw) -> Iterator[Finding]:
    """Every further check of a sampler that passed the exact one."""
    sampler, n = case.sampler, case.n
    yield from look_again(case, target, law)
    yield from part_findings(sampler)
    if case.grid:
        return
    yield from _conditional_form(sampler, n, target)
    meaning = _meaning(sampler)
    if meaning is not None and meaning.guarantee is not Guarantee.HEURISTIC:
        for size in _SIZES:
            if size != n:
                yield from _other_size(sampler, size, target)
    yield from _single_precision(sampler, n, target)
    yield from _forms(sampler, n)


def _meaning(sampler: Sampler) -> Measure | None:
    try:
        return sampler.meaning(Measure())
    except MeaningError:
        return None


class _Probe(eqx.Module):
    """A factor that nothing else can hold."""

    def __call__(self, x: Any) -> Array:
        del x
        return jnp.log(0.37)


def _symbolic(sampler: Sampler, meaning: Measure | None) -> Iterator[Finding]:
    """The meaning must keep the measure that comes in, and be the same whenever it is asked for."""
    if meaning is None:
        return
    probe = Density("what came in", _Probe())
    try:
        power = _power_of(sampler.meaning(Measure((probe,), (1.0,))), probe)
    except MeaningError:
        # It moves lanes by a kernel for one measure, so it is a sampler from nothing only.
        power = 1.0
    yield Finding("the claim is no stronger than what comes in", _strengthened(sampler), kind="symbolic")
    yield Finding("meaning keeps what comes in", abs(power - 1.0), kind="symbolic")
    again = sampler.meaning(Measure())
    same = again.guarantee is meaning.guarantee and again.name == meaning.name
    yield Finding("meaning is the same each time", 0.0 if same else np.inf, kind="symbolic")


def _strengthened(sampler: Sampler) -> float:
    """How many guarantees become a stronger one by a stage."""
    count = 0
    for weaker in Guarantee:
        try:
            after = sampler.meaning(Measure((), (), weaker)).guarantee
        except MeaningError:
            # It refuses what comes in.
            continue
        count += after.strength > weaker.strength
    return float(count)


def _stated_density(sampler: Sampler, meaning: Measure, target: FiniteMeasure) -> Iterator[Finding]:
    """The density of the stated product of factors, where they can be evaluated at the values that come out."""
    if meaning.guarantee is Guarantee.HEURISTIC or target.sign is not None or not meaning.traceable:
        return
    with jax.enable_x64(True):
        try:
            stated = np.asarray(log_densities(promote(meaning), target.values, len(target.log_mass)), np.float64)
        except (MeaningError, TypeError, AttributeError, IndexError):
            # A push-forward has no density, and factors of a part of the value cannot be read on another.
            return
    error = density_gap(stated, target.log_mass)
    yield Finding("the density that is stated", error, _STATED, "symbolic")
    yield Finding(
        "the stated density is zero at what is never drawn", _never_drawn(sampler, meaning, target), kind="symbolic"
    )


def _never_drawn(sampler: Sampler, meaning: Measure, target: FiniteMeasure) -> float:
    """How many values, among all that distributions used as densities would draw, it allows and no world reaches.

    What is drawn on the way may be a beginning of a value only, so those are left out.
    """
    drawn_from = [node for node in jax.tree.leaves(sampler, is_leaf=_is_draw) if _is_draw(node)]
    names = {node.distribution.name for node in drawn_from}
    count = 0
    with jax.enable_x64(True):
        meaning = promote(meaning)
        for drawn in [atoms_of(factor) for factor in meaning.factors if factor.name not in names]:
            if drawn is None or not _comparable(drawn.values, target.values):
                continue
            try:
                stated = np.asarray(log_densities(meaning, drawn.values, len(drawn.log_mass)), np.float64)
            except (MeaningError, TypeError, AttributeError, IndexError):
                continue
            known, found = atom_codes(target.values, drawn.values)
            count += int(np.sum((stated > -np.inf) & ~np.isin(found, known)))
    return float(count)


def _is_draw(node: Any) -> bool:
    return isinstance(node, Draw)


def _comparable(a: Any, b: Any) -> bool:
    """Whether two lists of values have one structure and one shape, with something in it."""
    shapes = [[np.shape(leaf)[1:] for leaf in jax.tree.leaves(tree)] for tree in (a, b)]
    return jax.tree.structure(a) == jax.tree.structure(b) and shapes[0] == shapes[1] and bool(shapes[0])


def _support(law: EnumeratedLaw, target: FiniteMeasure) -> Finding:
    """No lane weighs anything at a value outside the support of the target, however little."""
    values, log_mass = law.outputs
    if isinstance(values, Signed) or not len(target.log_mass):
        return Finding("nothing outside the support", 0.0)
    likely = law.log_prob > _NEGLIGIBLE
    flat = jax.tree.map(lambda leaf: np.asarray(leaf)[likely].reshape(-1, *np.shape(leaf)[2:]), values)
    mass = log_mass[likely].reshape(-1)
    if not jax.tree.leaves(flat):
        return Finding("nothing outside the support", 0.0)
    known, found = atom_codes(target.values, flat)
    outside = ~np.isin(found, known) & (mass > -np.inf)
    return Finding("nothing outside the support", float(np.sum(outside)))


def _power_of(measure: Any, probe: Factor) -> float:
    """The exponent of a factor anywhere within a measure, also within what a push-forward is made from."""
    if isinstance(measure, Measure):
        powers = [
            float(e) * (1.0 if f is probe else _power_of(f, probe))
            for f, e in zip(measure.factors, measure.exponents, strict=True)
        ]
        return sum(powers, 0.0)
    if isinstance(measure, Factor):
        inner = [value for value in vars(measure).values() if isinstance(value, Factor)]
        return sum((1.0 if f is probe else _power_of(f, probe) for f in inner), 0.0)
    return 0.0


def _exact_lanes(law: EnumeratedLaw, target: FiniteMeasure) -> Finding:
    """EXACT: in every world each lane has the same mass, and each lane by itself has the law of the target."""
    values, log_mass = law.outputs
    lanes = log_mass.shape[1]
    spread = float(np.max(np.abs(log_mass - (target.log_total - np.log(lanes)))))
    if not spread <= 1e-9:
        return Finding("EXACT: every weight is one", spread if np.isfinite(spread) else np.inf, 1e-9)
    errors = []
    for lane in range(lanes):
        own = jax.tree.map(lambda leaf, lane=lane: leaf[:, lane], values)
        marginal = FiniteMeasure(own, law.log_prob + target.log_total).merged()
        errors.append(largest_difference(marginal, target))
    return Finding("EXACT: each particle's own law", max(errors))


def _incoming(sampler: Sampler, what: str, incoming: Incoming, target: FiniteMeasure) -> Finding:
    """The law of a cloud that comes in with weights, twist and evidence."""
    n = len(incoming.log_weights)
    # The keys of a dead lane are those of a living one.
    alive = bool(np.all(incoming.log_weights > -np.inf))
    with jax.enable_x64(True):
        program = program_of(sampler, incoming)
        check = compared(program, read_law(program, audit=alive), target.scaled(incoming.log_mass))
    return Finding(f"{what}, n = {n}", check.error, check.tolerance, "exact", n, check.branches)


def _discrete(program: Program, target: FiniteMeasure) -> bool:
    """Whether a point of a grid stands for all of its cell: between the points no new values appear."""
    if not any(jnp.issubdtype(np.asarray(leaf).dtype, jnp.inexact) for leaf in jax.tree.leaves(target.values)):
        return True
    worlds = np.unique(np.linspace(0, program.worlds - 1, min(program.worlds, program.rows)).astype(np.int64))
    runs = program.run(program.outcomes(worlds), on_grid=_OFF_THE_GRID)
    possible = runs.log_prob > -np.inf
    values, log_mass = program.unflatten([x[possible] for x in runs.outputs])
    alive = log_mass.reshape(-1) > -np.inf
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *np.shape(leaf)[2:])[alive], values)
    known, found = atom_codes(target.values, flat)
    return bool(np.all(np.isin(found, known)))


def _conditional_form(sampler: Sampler, n: int, target: FiniteMeasure) -> Iterator[Finding]:
    """Conditional SMC on the sampler keeps its target, where every draw can be retraced from a value."""
    lanes, states = max(n, 2), target.values
    if len(target.log_mass) > _MOST_STATES or target.sign is not None or not _retraces(sampler):
        return
    try:
        kernel = conditional_smc(sampler, lanes)
        with jax.enable_x64(True):
            matrix = kernel_matrix(_FirstOfTwo(promote(kernel)), states, limit=_FEW_WORLDS * 4)
    except (MeaningError, TooManyWorlds, TypeError, IndexError, AttributeError):
        # Its values do not tell what its draws were, or there are too many.
        return
    yield Finding(f"conditional form, n = {lanes}", invariance_error(matrix, target.log_mass))
    failure = ergodicity_failure(matrix, target.log_mass)
    yield Finding(
        f"conditional form, n = {lanes}: {failure or 'ergodic'}", float(failure is not None), kind="not ergodic"
    )


class _FirstOfTwo(eqx.Module):
    """A kernel without its info."""

    kernel: Any

    def __call__(self, key: PRNGKeyArray, x: Any) -> Any:
        return self.kernel(key, x)[0]


def _retraces(sampler: Sampler) -> bool:
    """Whether a final value tells what each draw was: there is a single one, or all say what they had then."""
    nodes = jax.tree.leaves(sampler, is_leaf=lambda x: isinstance(x, Draw | Map | Nested | Verified))
    draws = [node for node in nodes if isinstance(node, Draw)]
    if any(isinstance(node, Map | Nested | Verified) for node in nodes) or not draws:
        return False
    retraced = [redefines(d.distribution, Distribution, "prefix") for d in draws]
    return len(draws) == 1 and not _holds_scan(sampler) or all(retraced)


def _holds_scan(sampler: Sampler) -> bool:
    found = jax.tree.leaves(sampler, is_leaf=lambda x: isinstance(x, Scan | While))
    return any(isinstance(node, Scan | While) for node in found)


def _other_size(sampler: Sampler, n: int, target: FiniteMeasure) -> Iterator[Finding]:
    """The law at another number of particles, where its worlds are few and the sampler takes it."""
    try:
        with jax.enable_x64(True):
            program = program_of(sampler, fresh(n), limit=_FEW_WORLDS)
    except TooManyWorlds:
        return
    except ValueError as error:
        # Islands that do not divide the cloud, and the like, are refused in a sentence.
        if isinstance(error, NotEnumerable | KeyReuseError):
            raise
        return
    with jax.enable_x64(True):
        check = compared(program, read_law(program), target)
        check_positions(program)
    yield Finding(f"fresh cloud, n = {n}", check.error, check.tolerance, "exact", n, check.branches)
    yield _incoming(sampler, "weighed cloud", weighed(n), target)


def _single_precision(sampler: Sampler, n: int, target: FiniteMeasure) -> Iterator[Finding]:
    """The same worlds in the precision of production."""
    with jax.enable_x64(False):
        law = read_law(program_of(sampler, fresh(n), double=False), audit=False)
    found = measure_of(law)
    sizes = np.abs(np.where(np.isfinite(law.outputs[1]), law.outputs[1], 0.0)).max(initial=0.0)
    tolerance = _SINGLE + 16 * float(np.finfo(np.float32).eps) * float(sizes)
    coarse = jax.tree.map(lambda leaf: _as_single(leaf), target.values)
    error = largest_difference(found, FiniteMeasure(coarse, target.log_mass, target.sign))
    yield Finding("float32", error, tolerance)


def _as_single(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf


def _forms(sampler: Sampler, n: int) -> Iterator[Finding]:
    """One key gives one result: eagerly, under vmap, and in place."""
    if not sampler.traceable:
        return
    keys = jax.random.split(jax.random.key(7), _KEYS)
    weights, twist, evidence = (jnp.asarray(x, jnp.float32) for x in weighed(n))
    incoming = spawn(n).replace(log_weights=weights, log_twist=twist, log_evidence=evidence)
    mapped = _summary_of_all(sampler, keys, spawn(n))
    called = [_summary(sampler(key, spawn(n))[0]) for key in keys]
    yield Finding("eager as under vmap", _mismatches(mapped, called), kind="forms")
    mapped = _summary_of_all(sampler, keys, incoming)
    consumed = [_summary(sampler.consume(key, incoming.replace(values=()))[0]) for key in keys]
    yield Finding("in place as by a call", _mismatches(mapped, consumed), kind="forms")


def _summary(cloud: Particles) -> Any:
    living = cloud.log_weights > -jnp.inf
    return log_masses(cloud), cloud.log_evidence, cloud.log_twist, living, cloud.values


@eqx.filter_jit
def _summary_of_all(sampler: Sampler, keys: Key[Array, " k"], cloud: Particles) -> Any:
    return jax.vmap(lambda key: _summary(sampler(key, cloud)[0]))(keys)


def _mismatches(mapped: Any, called: list[Any]) -> float:
    """The share of keys for which two forms differ beyond rounding; zero for a single one of several."""
    count = 0
    for i, one in enumerate(called):
        other = jax.tree.map(lambda leaf, i=i: leaf[i], mapped)
        count += not _agree(other, one)
    return count / len(called) if count >= min(2, len(called)) else 0.0


def _agree(a: Any, b: Any) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    living = np.asarray(a[3])
    for number, (x, y) in enumerate(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            return False
        if number >= 4 and x.shape[:1] == living.shape:
            x, y = x[living], y[living]
        if jnp.issubdtype(x.dtype, jnp.inexact):
            if not np.allclose(x.astype(np.float64), y.astype(np.float64), rtol=1e-3, atol=1e-4, equal_nan=True):
                return False
        elif not np.array_equal(x, y):
            return False
    return True


def claims_on_the_continuum(sampler: Sampler, n: int) -> Iterator[Finding]:
    """What can be looked at where draws are continuous: the meaning, and one result from one key."""
    yield from _symbolic(sampler, _meaning(sampler))
    yield from _forms(sampler, n)
