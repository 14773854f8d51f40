"""The parts of a sampler by themselves: what a composition and its claim both read, so that a lie in it cancels.

A proposal whose density is not that of its draws, a factor whose batched value differs from the single one, a kernel
whose batched transition is another: the run and the meaning use the same part, and agree on what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from probinf._choice import choice
from probinf._measure import Distribution, Factor, MeaningError, Measure
from probinf._primitives import Draw, Move, Nested, Reweight, Scan, Twist, Verified, While
from probinf._sampler import Chain, Kernel, Sampler
from probinf.validity._atoms import atom_codes
from probinf.validity._denote import denote_in_place
from probinf.validity._errors import NotEnumerable, TooManyWorlds
from probinf.validity._finding import Finding
from probinf.validity._finite import FiniteMeasure, largest_difference
from probinf.validity._law import EnumeratedLaw, enumerate_law
from probinf.validity._program import promote

# Values at which a part is looked at: the heaviest atoms.
_MOST_ATOMS = 12
# Scripts of a part; parts that draw more are left to the check of the whole. Several lanes have a power of the worlds
# of one: they are looked at where that is quickly read.
_MOST_WORLDS = 200_000
_MOST_JOINT = 20_000
# Lanes that are read together, the most first; two are always read.
_LANES = (4, 3, 2)
# Log-densities may be off by the rounding of tables that were written in float32.
DENSITY_TOLERANCE = 1e-6
# Keys with which a longer cloud is compared with a shorter one.
_KEYS = 4


def part_findings(sampler: Sampler) -> Iterator[Finding]:
    """Look at each distribution, factor and kernel of a composition at the values that reach it."""
    with jax.enable_x64(True):
        try:
            yield from _walk(promote(sampler), FiniteMeasure((), np.zeros(1)))
        except (MeaningError, NotEnumerable, TooManyWorlds):
            # From a stage on whose law nothing computes, no values are known.
            return


def distribution_findings(distribution: Distribution, inputs: Any) -> Iterator[Finding]:
    """Compare the draws of a distribution with its density, and its forms with one another, at each of some inputs.

    Args:
        distribution: one whose randomness is discrete; promoted to float64 by the caller.
        inputs: values so far, with a leading axis on every leaf; `()` is the start.
    """
    name = distribution.name
    batched = _redefined(distribution, "sample_lanes")
    try:
        law = enumerate_law(_sample_at, jax.random.key(0), distribution, inputs, limit=_MOST_WORLDS)
    except TypeError:
        # Some distributions draw whole clouds only.
        law = enumerate_law(_sample_lanes_at, jax.random.key(0), distribution, inputs, limit=_MOST_WORLDS)
    place, drawn = law.outputs
    given = np.log(np.bincount(place, weights=law.probability))[place] if len(place) else law.log_prob
    conditional = FiniteMeasure((place, drawn), law.log_prob - given).merged()
    yield from _density_findings(distribution, conditional)
    if batched:
        yield from _lanes_findings(distribution, inputs, law, name)
    if _redefined(distribution, "retrace_lanes"):
        yield _retrace_finding(distribution, inputs, law, name)


def _density_findings(distribution: Distribution, conditional: FiniteMeasure) -> Iterator[Finding]:
    _, drawn = conditional.values
    count = len(conditional.log_mass)
    name = distribution.name
    try:
        log_density = np.asarray(log_densities(distribution, _device(drawn), count), np.float64)
    except MeaningError:
        return
    gap = density_gap(np.broadcast_to(log_density, (count,)), conditional.log_mass)
    yield Finding(f"{name}: log-density of what it draws", gap, DENSITY_TOLERANCE)
    yield from factor_findings(distribution, drawn, count)


def factor_findings(factor: Factor, values: Any, count: int) -> Iterator[Finding]:
    """Compare the batched log-density of a factor with the single one, at values with a leading axis of `count`."""
    values = _device(values)
    try:
        single = np.asarray(log_densities(factor, values, count))
        one = np.asarray(_log_density(factor, jax.tree.map(lambda leaf: leaf[0], values)))
    except MeaningError:
        return
    if np.iscomplexobj(single):
        yield Finding(f"{factor.name}: a log-density is a real number", np.inf)
        return
    if np.any(np.isnan(single)):
        yield Finding(f"{factor.name}: log-density is NaN", np.inf)
        return
    gap = density_gap(np.atleast_1d(one), single[:1])
    yield Finding(f"{factor.name}: log-density outside vmap", gap, DENSITY_TOLERANCE)
    if _redefined(factor, "log_density_lanes"):
        for lanes in dict.fromkeys((count, 1, 2, 3, 4)):
            # Each value once in each lane, so that a lane that is treated otherwise shows; and equal lanes.
            for first in (*range(min(count, lanes)), None):
                chosen = np.zeros(lanes, np.int64) if first is None else (first + np.arange(lanes)) % count
                some = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], values)
                batched = np.broadcast_to(np.asarray(_log_density_lanes(factor, some, lanes), np.float64), (lanes,))
                gap = density_gap(batched, single[chosen])
                yield Finding(f"{factor.name}: log-density of {lanes} lanes", gap, DENSITY_TOLERANCE)


@eqx.filter_jit
def log_densities(factor: Factor, values: Any, count: int) -> Array:
    """The log-density at each of `count` values."""
    return jax.vmap(factor.log_density, axis_size=count)(values)


@eqx.filter_jit
def _log_density(factor: Factor, x: Any) -> Array:
    return jnp.asarray(factor.log_density(x))


@eqx.filter_jit
def _log_density_lanes(factor: Factor, values: Any, count: int) -> Array:
    return jnp.asarray(factor.log_density_lanes(values, count))


def kernel_findings(kernel: Kernel, states: Any) -> Iterator[Finding]:
    """Compare the batched transition of a kernel with the single one: of a lane, of several, and of several steps."""
    if not _redefined(kernel, "move_lanes"):
        return
    name = type(kernel).__name__
    once = enumerate_law(_move_once, jax.random.key(0), kernel, states, limit=_MOST_WORLDS)
    lanes = enumerate_law(_move_lanes, jax.random.key(0), kernel, states, limit=_MOST_WORLDS)
    yield Finding(f"{name}: transition of lanes", largest_difference(_as_measure(lanes), _as_measure(once)))
    worlds = _worlds_of_one(once, states)
    yield from _independent(f"{name}: %s lanes move independently", once, states, worlds, _MoveLanes, kernel)
    rows = _lanes(states)
    for times in (2, 3, 4):
        lanes = next((lanes for lanes in (2, 1) if worlds ** (lanes * times) <= _MOST_JOINT), 0)
        lanes = max(lanes, int(times == 2))
        for places in dict.fromkeys(((0, rows - 1)[:lanes], (0,) * lanes)) if lanes else ():
            single = [_as_measure(_law(_MoveCalls(times), kernel, _rows(states, [place]))) for place in places]
            found = _law(_MoveLanes(lanes, times), kernel, _rows(states, places))
            error = largest_difference(_as_measure(found), _product(*single))
            yield Finding(f"{name}: {times} transitions of {lanes} lanes", error)


def _independent(
    what: str, once: EnumeratedLaw, inputs: Any, worlds: int, kind: Callable[[int], Any], part: Any
) -> Iterator[Finding]:
    """The joint law of several lanes, and that of equal ones, is the product of the laws of each."""
    rows = _lanes(inputs)
    lanes = next((lanes for lanes in _LANES if worlds**lanes <= _MOST_JOINT), 2)
    for places in dict.fromkeys(((*range(lanes - 1), rows - 1), (0,) * lanes)):
        places = tuple(place % rows for place in places)
        joint = _law(kind(lanes), part, _rows(inputs, places))
        error = largest_difference(_as_measure(joint), _product(*[_given(once, place) for place in places]))
        yield Finding(what % lanes, error)


def _worlds_of_one(once: EnumeratedLaw, inputs: Any) -> int:
    """Scripts of one lane that starts at a known input."""
    return max(1, once.worlds // _lanes(inputs))


def _law(f: Any, part: Any, inputs: Any) -> EnumeratedLaw:
    return enumerate_law(f, jax.random.key(0), part, inputs, limit=_MOST_WORLDS)


def _rows(inputs: Any, places: Sequence[int]) -> Any:
    chosen = np.asarray(places, np.int64)
    return jax.tree.map(lambda leaf: leaf[chosen], inputs)


class _MoveLanes(NamedTuple):
    """Several transitions of several lanes."""

    lanes: int
    times: int = 1

    def __call__(self, key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
        # One transition is what a call without a number does.
        how = () if self.times == 1 else (self.times,)
        return kernel.move_lanes(key, states, self.lanes, *how)[0]


class _MoveCalls(NamedTuple):
    """Calls of a kernel one after the other, from one state."""

    times: int

    def __call__(self, key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
        x = _only_lane(states)
        for call in jax.random.split(key, self.times):
            x = kernel(call, x)[0]
        return x


class _SampleLanes(NamedTuple):
    """Draws of several lanes."""

    lanes: int

    def __call__(self, key: PRNGKeyArray, distribution: Distribution, values: Any) -> Any:
        return distribution.sample_lanes(key, values, self.lanes)


def _walk(sampler: Sampler, source: FiniteMeasure) -> Iterator[Finding]:
    """Each stage at the values that reach it; the walk goes on with what the stage means."""
    if isinstance(sampler, Chain):
        for stage in sampler.stages:
            yield from _walk(stage, source)
            source = denote_in_place(stage, source)
        return
    if isinstance(sampler, Scan):
        for i in range(sampler.steps):
            stage = sampler.at(sampler.row(i))
            # Between the first row and the last, the same stage reads other data.
            if i in (0, sampler.steps - 1):
                yield from _walk(stage, source)
            source = denote_in_place(stage, source)
        return
    if isinstance(sampler, While):
        yield from _walk(sampler.stage, source)
        return
    if isinstance(sampler, Nested | Verified):
        yield from _walk(sampler.inner, source)
        return
    inputs = _heaviest(source)
    if isinstance(sampler, Draw):
        if sampler.traceable:
            yield from distribution_findings(sampler.distribution, inputs)
    elif isinstance(sampler, Reweight | Twist) or hasattr(sampler, "potential"):
        factor = sampler.potential if isinstance(sampler, Reweight) else getattr(sampler, "potential", None)
        for part in _factors(factor):
            if part.traceable:
                yield from factor_findings(part, inputs, len(_heaviest_mass(source)))
                yield from _support_findings(part, inputs, len(_heaviest_mass(source)))
    elif isinstance(sampler, Move):
        yield from kernel_findings(sampler.kernel, inputs)


def _support_findings(factor: Factor, values: Any, count: int) -> Iterator[Finding]:
    """A distribution that is used as a density, where it can draw by itself: zero at what it never draws."""
    drawn = atoms_of(factor)
    if drawn is None or jax.tree.structure(drawn.values) != jax.tree.structure(values) or not jax.tree.leaves(values):
        return
    found, known = atom_codes(values, drawn.values)
    never = ~np.isin(found, known)
    log_density = np.broadcast_to(np.asarray(log_densities(factor, _device(values), count)), (count,))
    positive = np.sum(never & (log_density > -np.inf))
    yield Finding(f"{factor.name}: no density where it never draws", float(positive))


def atoms_of(factor: Any) -> FiniteMeasure | None:
    """What a distribution draws from the start, with its probabilities; None where that cannot be known."""
    if not isinstance(factor, Distribution) or not factor.traceable:
        return None
    try:
        law = enumerate_law(_sample_at, jax.random.key(0), factor, (), limit=_MOST_WORLDS)
    except (TypeError, IndexError, AttributeError, ValueError):
        # It draws from the value so far, or continuously, or a NaN stands in it: the check of the whole says so.
        return None
    return FiniteMeasure(law.outputs[1], law.log_prob).merged()


def _factors(factor: Any) -> list[Factor]:
    if isinstance(factor, Measure):
        return [part for one in factor.factors for part in _factors(one)]
    return [factor] if isinstance(factor, Factor) else []


def _heaviest_mass(source: FiniteMeasure) -> np.ndarray:
    return np.argsort(-source.log_mass, kind="stable")[:_MOST_ATOMS]


def _heaviest(source: FiniteMeasure) -> Any:
    chosen = _heaviest_mass(source)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[chosen]), source.values)


def _redefined(part: Any, method: str) -> bool:
    """Whether a class has a form that is not the one made from the single one."""
    owner = next(cls for cls in type(part).__mro__ if method in vars(cls))
    base = {"move_lanes": Kernel, "log_density_lanes": Factor}.get(method, Distribution)
    return owner is not base


def _device(values: Any) -> Any:
    return jax.tree.map(jnp.asarray, values)


def density_gap(found: np.ndarray, right: np.ndarray) -> float:
    """Largest difference of two log-densities; zero for equal infinities, infinite for NaN or one of them alone."""
    with np.errstate(invalid="ignore"):
        gap = np.where(found == right, 0.0, np.abs(found - right))
    return float(np.max(np.where(np.isnan(gap), np.inf, gap), initial=0.0))


def _lanes(inputs: Any) -> int:
    leaves = jax.tree.leaves(inputs)
    return len(leaves[0]) if leaves else 1


def _place(key: PRNGKeyArray, inputs: Any) -> Array:
    return choice(key, jnp.zeros(_lanes(inputs)))


def _at(inputs: Any, place: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[place], inputs)


def _sample_at(key: PRNGKeyArray, distribution: Distribution, inputs: Any) -> Any:
    place_key, draw_key = jax.random.split(key)
    place = _place(place_key, inputs)
    return place, distribution.sample(draw_key, _at(inputs, place))


def _sample_lanes_at(key: PRNGKeyArray, distribution: Distribution, inputs: Any) -> Any:
    place_key, draw_key = jax.random.split(key)
    place = _place(place_key, inputs)
    lanes = jax.tree.map(lambda leaf: leaf[place][None], inputs)
    return place, _only_lane(distribution.sample_lanes(draw_key, lanes, 1))


def _only_lane(values: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], values)


def _retrace_pair(key: PRNGKeyArray, distribution: Distribution, pair: Any, reference: Any) -> Any:
    return distribution.retrace_lanes(key, pair, 2, reference)


def _move_once(key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
    place_key, move_key = jax.random.split(key)
    place = _place(place_key, states)
    return place, kernel(move_key, _at(states, place))[0]


def _move_lanes(key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
    place_key, move_key = jax.random.split(key)
    place = _place(place_key, states)
    lanes = jax.tree.map(lambda leaf: leaf[place][None], states)
    return place, _only_lane(kernel.move_lanes(move_key, lanes, 1)[0])


def _as_measure(law: EnumeratedLaw) -> FiniteMeasure:
    return FiniteMeasure(law.outputs, law.log_prob).merged()


def _given(law: EnumeratedLaw, place: int) -> FiniteMeasure:
    """The law of the second output given that the first is `place`."""
    places, values = law.outputs
    here = places == place
    log_prob = law.log_prob[here]
    return FiniteMeasure(
        jax.tree.map(lambda leaf: leaf[here], values), log_prob - np.logaddexp.reduce(log_prob)
    ).merged()


def _product(*laws: FiniteMeasure) -> FiniteMeasure:
    """The law of independent values, stacked as lanes."""
    places = np.indices([len(law.log_mass) for law in laws]).reshape(len(laws), -1)
    values = jax.tree.map(
        lambda *leaves: np.stack([leaf[i] for leaf, i in zip(leaves, places, strict=True)], axis=1),
        *[law.values for law in laws],
    )
    log_mass = sum((law.log_mass[i] for law, i in zip(laws, places, strict=True)), np.zeros(places.shape[1]))
    return FiniteMeasure(values, log_mass)


def _lanes_findings(distribution: Distribution, inputs: Any, law: EnumeratedLaw, name: str) -> Iterator[Finding]:
    lanes = enumerate_law(_sample_lanes_at, jax.random.key(0), distribution, inputs, limit=_MOST_WORLDS)
    yield Finding(f"{name}: draws of lanes", largest_difference(_as_measure(lanes), _as_measure(law)))
    what = f"{name}: %s lanes draw independently"
    yield from _independent(what, law, inputs, _worlds_of_one(law, inputs), _SampleLanes, distribution)
    yield Finding(f"{name}: a longer cloud keeps the first draws", _kept(distribution, inputs))


def _kept(distribution: Distribution, inputs: Any) -> float:
    """The share of keys for which the first lanes of a longer cloud draw something else."""
    rows = _lanes(inputs)
    four = _rows(inputs, [i % rows for i in range(4)])
    differ = 0
    for key in jax.random.split(jax.random.key(11), _KEYS):
        longer = _drawn(distribution, key, four, 4)
        shorter = _drawn(distribution, key, _rows(four, range(2)), 2)
        codes = atom_codes(jax.tree.map(lambda leaf: np.asarray(leaf)[:2], longer), shorter)
        differ += not bool(np.all(codes[0] == codes[1]))
    # A single one may differ by rounding at a threshold.
    return differ / _KEYS if differ > 1 else 0.0


@eqx.filter_jit
def _drawn(distribution: Distribution, key: PRNGKeyArray, values: Any, lanes: int) -> Any:
    return distribution.sample_lanes(key, values, lanes)


def _retrace_finding(distribution: Distribution, inputs: Any, law: EnumeratedLaw, name: str) -> Finding:
    """Lane 0 takes the way of the reference, and the other draws as ever."""
    place, drawn = law.outputs
    row = int(np.argmax(np.where(place == 0, law.log_prob, -np.inf)))
    reference = jax.tree.map(lambda leaf: jnp.asarray(leaf[row]), drawn)
    last = _lanes(inputs) - 1
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf[0], leaf[last]]), inputs)
    found = enumerate_law(_retrace_pair, jax.random.key(0), distribution, pair, reference, limit=_MOST_WORLDS)
    held = FiniteMeasure(jax.tree.map(lambda leaf: np.asarray(leaf)[None], distribution.prefix(reference)), np.zeros(1))
    error = largest_difference(_as_measure(found), _product(held, _given(law, last)))
    return Finding(f"{name}: lanes of which one is held", error)
