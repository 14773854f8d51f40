"""The parts of a sampler by themselves: what a composition and its claim both read, so that a lie in it cancels.

A proposal whose density is not that of its draws, a factor whose batched value differs from the single one, a kernel
whose batched transition is another: the run and the meaning use the same part, and agree on what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from probinf._choice import choice
from probinf._measure import Distribution, Factor, MeaningError, Measure
from probinf._primitives import Draw, Move, Nested, Reweight, Scan, Twist, Verified, While
from probinf._sampler import Chain, Kernel, Sampler
from probinf.validity._denote import denote_in_place
from probinf.validity._errors import NotEnumerable, TooManyWorlds
from probinf.validity._finding import Finding
from probinf.validity._finite import FiniteMeasure, largest_difference
from probinf.validity._law import EnumeratedLaw, enumerate_law
from probinf.validity._program import promote

# Values at which a part is looked at: the heaviest atoms.
_MOST_ATOMS = 12
# Scripts of a part; parts that draw more are left to the check of the whole.
_MOST_WORLDS = 200_000


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
    yield Finding(
        f"{name}: log-density of what it draws",
        density_gap(np.broadcast_to(log_density, (count,)), conditional.log_mass),
    )
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
    yield Finding(f"{factor.name}: log-density outside vmap", density_gap(np.atleast_1d(one), single[:1]))
    if _redefined(factor, "log_density_lanes"):
        for lanes in dict.fromkeys((count, 1, min(2, count))):
            some = jax.tree.map(lambda leaf, lanes=lanes: leaf[:lanes], values)
            batched = np.broadcast_to(np.asarray(_log_density_lanes(factor, some, lanes), np.float64), (lanes,))
            yield Finding(f"{factor.name}: log-density of lanes", density_gap(batched, single[:lanes]))


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
    """Compare the batched transition of a kernel with the single one: of each lane, of two lanes, and of two steps."""
    if not _redefined(kernel, "move_lanes"):
        return
    name = type(kernel).__name__
    once = enumerate_law(_move_once, jax.random.key(0), kernel, states, limit=_MOST_WORLDS)
    lanes = enumerate_law(_move_lanes, jax.random.key(0), kernel, states, limit=_MOST_WORLDS)
    yield Finding(f"{name}: transition of lanes", largest_difference(_as_measure(lanes), _as_measure(once)))
    two = jax.tree.map(lambda leaf: leaf[:2], states)
    if len(jax.tree.leaves(two)[0]) < 2:
        return
    pair = enumerate_law(_move_pair, jax.random.key(0), kernel, two, limit=_MOST_WORLDS)
    single = [_given(once, i) for i in range(2)]
    yield Finding(f"{name}: lanes move independently", largest_difference(_as_measure(pair), _product(*single)))
    twice = enumerate_law(_move_calls, jax.random.key(0), kernel, two, limit=_MOST_WORLDS)
    times = enumerate_law(_move_times, jax.random.key(0), kernel, two, limit=_MOST_WORLDS)
    yield Finding(f"{name}: two transitions of lanes", largest_difference(_as_measure(times), _as_measure(twice)))


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
    elif isinstance(sampler, Move):
        yield from kernel_findings(sampler.kernel, inputs)


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


def _sample_pair(key: PRNGKeyArray, distribution: Distribution, pair: Any) -> Any:
    return distribution.sample_lanes(key, pair, 2)


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


def _move_pair(key: PRNGKeyArray, kernel: Kernel, pair: Any) -> Any:
    return kernel.move_lanes(key, pair, 2)[0]


def _move_calls(key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
    place_key, first_key, second_key = jax.random.split(key, 3)
    place = _place(place_key, states)
    return place, kernel(second_key, kernel(first_key, _at(states, place))[0])[0]


def _move_times(key: PRNGKeyArray, kernel: Kernel, states: Any) -> Any:
    place_key, move_key = jax.random.split(key)
    place = _place(place_key, states)
    lanes = jax.tree.map(lambda leaf: leaf[place][None], states)
    return place, _only_lane(kernel.move_lanes(move_key, lanes, 1, 2)[0])


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


def _product(a: FiniteMeasure, b: FiniteMeasure) -> FiniteMeasure:
    """The law of a pair of independent values, stacked as lanes."""
    i, j = (index.reshape(-1) for index in np.indices((len(a.log_mass), len(b.log_mass))))
    values = jax.tree.map(lambda x, y: np.stack([x[i], y[j]], axis=1), a.values, b.values)
    return FiniteMeasure(values, a.log_mass[i] + b.log_mass[j])


def _lanes_findings(distribution: Distribution, inputs: Any, law: EnumeratedLaw, name: str) -> Iterator[Finding]:
    lanes = enumerate_law(_sample_lanes_at, jax.random.key(0), distribution, inputs, limit=_MOST_WORLDS)
    yield Finding(f"{name}: draws of lanes", largest_difference(_as_measure(lanes), _as_measure(law)))
    count = _lanes(inputs)
    first, last = 0, count - 1
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf[first], leaf[last]]), inputs)
    joint = enumerate_law(_sample_pair, jax.random.key(0), distribution, pair, limit=_MOST_WORLDS)
    independent = _product(_given(law, first), _given(law, last))
    yield Finding(f"{name}: lanes draw independently", largest_difference(_as_measure(joint), independent))


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
