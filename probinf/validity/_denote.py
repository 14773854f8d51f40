"""What a composition means, computed: the measure its law sends a finite measure to.

This reads the *laws* of the primitives, not their code: nothing here resamples, and each draw is enumerated for one
lane by itself. Comparing it with what the code does on every outcome is the exact check.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinf._choice import choice
from probinf._measure import Distribution, MeaningError, Measure
from probinf._particles import take_lanes
from probinf._primitives import (
    Choose,
    Draw,
    Map,
    Move,
    Nested,
    Proportional,
    Resample,
    Reweight,
    Scan,
    Twist,
    Verified,
    While,
)
from probinf._primitives._verified import as_bool
from probinf._sampler import Chain, Sampler
from probinf.validity._finite import FiniteMeasure
from probinf.validity._law import enumerate_law
from probinf.validity._program import promote


def denote(sampler: Sampler, source: FiniteMeasure) -> FiniteMeasure:
    """The measure that `sampler` claims to turn `source` into.

    Law: the meaning function of "Denotational validation" (arXiv 1711.03219) on finite measures: a draw is the sum over
    its outcomes, a reweighting multiplies, resampling, twisting and invariant moves do nothing.

    Raises: MeaningError where a sampler states no law that can be computed; NotEnumerable for continuous draws.
    """
    with jax.enable_x64(True):
        return _denote(promote(sampler), source)


def denote_in_place(sampler: Sampler, source: FiniteMeasure) -> FiniteMeasure:
    """The same for a sampler that is in float64 already, where float64 is enabled."""
    return _denote(sampler, source).merged()


@functools.singledispatch
def _denote(sampler: Sampler, source: FiniteMeasure) -> FiniteMeasure:
    """A user's sampler that changes weights only: its meaning is the factor by which it multiplies."""
    factor = sampler.meaning(Measure())
    if any(isinstance(f, Distribution) for f in factor.factors):
        raise MeaningError(f"{type(sampler).__name__} draws values: give its exact target to the check")
    return _weighted(source, factor)


@_denote.register
def _(sampler: Chain, source: FiniteMeasure) -> FiniteMeasure:
    for stage in sampler.stages:
        source = _denote(stage, source)
    return source


@_denote.register
def _(sampler: Draw, source: FiniteMeasure) -> FiniteMeasure:
    merged = source.merged()
    if not len(merged.log_mass):
        raise MeaningError("no mass is left to draw from: the target of this composition is zero")
    law = enumerate_law(_extend, jax.random.key(0), sampler.distribution, *_padded(merged))
    values = jax.tree.map(lambda leaf: leaf[:, 0], law.outputs)
    return FiniteMeasure(values, law.log_prob + merged.log_total).merged()


def _padded(measure: FiniteMeasure) -> tuple[Any, jax.Array]:
    """Its values and log-masses, with as many atoms without mass as make the next power of two: few shapes compile."""
    count = len(measure.log_mass)
    missing = (1 << (count - 1).bit_length()) - count
    values = jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[:1], missing, axis=0)]), measure.values)
    return values, jnp.asarray(np.concatenate([measure.log_mass, np.full(missing, -np.inf)]))


def _extend(key: jax.Array, distribution: Distribution, values: Any, log_mass: jax.Array) -> Any:
    atom_key, draw_key = jax.random.split(key)
    # The atom is itself a draw, so that one program covers them all.
    atom = take_lanes(values, choice(atom_key, log_mass)[None])
    return distribution.sample_lanes(draw_key, atom, 1)


@_denote.register
def _(sampler: Reweight, source: FiniteMeasure) -> FiniteMeasure:
    return _weighted(source, sampler.potential)


@_denote.register(Resample)
@_denote.register(Twist)
@_denote.register(Move)
def _(sampler: Sampler, source: FiniteMeasure) -> FiniteMeasure:
    del sampler
    return source


@_denote.register
def _(sampler: Map, source: FiniteMeasure) -> FiniteMeasure:
    return FiniteMeasure(_host(jax.vmap(sampler.function)(_device(source.values))), source.log_mass).merged()


@_denote.register
def _(sampler: Scan, source: FiniteMeasure) -> FiniteMeasure:
    for i in range(sampler.steps):
        source = _denote(sampler.at(sampler.row(i)), source)
    return source


@_denote.register
def _(sampler: While, source: FiniteMeasure) -> FiniteMeasure:
    for _ in range(sampler.max_steps):
        source = _denote(sampler.stage, source)
    return source


@_denote.register
def _(sampler: Nested, source: FiniteMeasure) -> FiniteMeasure:
    return _denote(sampler.inner, source)


@_denote.register
def _(sampler: Choose, source: FiniteMeasure) -> FiniteMeasure:
    if not isinstance(sampler.rule, Proportional):
        raise MeaningError(f"{type(sampler.rule).__name__} claims no target")
    return source


@_denote.register
def _(sampler: Verified, source: FiniteMeasure) -> FiniteMeasure:
    parts = []
    for i in range(len(source.log_mass)):
        atom = FiniteMeasure(jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], source.values), source.log_mass[i : i + 1])
        tried = _denote(_draws_only(sampler.inner), FiniteMeasure(atom.values, np.zeros(1)))
        acceptance = float(np.sum(np.exp(tried.log_mass)[_accepted(sampler, tried)]))
        if acceptance == 0.0:
            continue
        result = _denote(sampler.inner, atom)
        in_time = -np.expm1(sampler.budget * np.log1p(-acceptance)) if acceptance < 1.0 else 1.0
        log_mass = np.where(_accepted(sampler, result), result.log_mass + np.log(in_time / acceptance), -np.inf)
        parts.append(FiniteMeasure(result.values, log_mass))
    values = jax.tree.map(lambda *leaves: np.concatenate(leaves), *[part.values for part in parts])
    return FiniteMeasure(values, np.concatenate([part.log_mass for part in parts])).merged()


def _draws_only(sampler: Sampler) -> Sampler:
    """The inner sampler without its weights: what decides how often a try is accepted."""
    stages = sampler.stages if isinstance(sampler, Chain) else (sampler,)
    if not all(isinstance(stage, Draw | Map | Reweight) for stage in stages):
        raise MeaningError("the law of Verified is computed for inner samplers made of Draw, Map and Reweight")
    return Chain(tuple(stage for stage in stages if not isinstance(stage, Reweight)))


def _accepted(sampler: Verified, measure: FiniteMeasure) -> np.ndarray:
    return np.asarray(as_bool(sampler.verify.log_density_lanes(_device(measure.values), len(measure.log_mass))))


def _weighted(source: FiniteMeasure, factor: Any) -> FiniteMeasure:
    log_g = np.asarray(factor.log_density_lanes(_device(source.values), len(source.log_mass)), np.float64)
    log_mass = np.where((source.log_mass == -np.inf) | (log_g == -np.inf), -np.inf, source.log_mass + log_g)
    return FiniteMeasure(source.values, log_mass)


def _device(values: Any) -> Any:
    return jax.tree.map(jnp.asarray, values)


def _host(values: Any) -> Any:
    return jax.tree.map(np.asarray, values)
