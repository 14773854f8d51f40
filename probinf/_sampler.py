"""The verb and the glue: samplers transform clouds, `>>` composes them."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from probinf._choice import check_key
from probinf._explain import explain
from probinf._measure import MeaningError, Measure
from probinf._particles import Particles, own

In = TypeVar("In")
Out = TypeVar("Out")

# A fixed NamedTuple per sampler, nested like the composition.
Info = Any


class Sampler(eqx.Module, Generic[In, Out]):
    """A transformation of weighted clouds that states what it does to the measure they carry.

    Law: if `cloud` is properly weighted for m, the result is properly weighted for `self.meaning(m)`, with the
    strength that its `guarantee` states.
    """

    def __init_subclass__(cls, **options: Any):
        """A class with a call of its own does not inherit another class's way to do it in place."""
        super().__init_subclass__(**options)
        if "__call__" in vars(cls) and "consume" not in vars(cls):
            cls.consume = Sampler.consume

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, cloud: Particles[In]) -> tuple[Particles[Out], Info]:
        """Transforms the cloud, and reports what happened."""

    @abc.abstractmethod
    def meaning(self, m: Measure) -> Measure:
        """The measure of the result, given that of the input.

        Raises: MeaningError where the composition is invalid.
        """

    def consume(self, key: PRNGKeyArray, cloud: Particles[In]) -> tuple[Particles[Out], Info]:
        """The same as a call, but gives up the input: large lane states are changed in place, not copied.

        Compositions use it on the clouds between their stages, which nobody else holds.
        """
        return self(key, cloud)

    @property
    def traceable(self) -> bool:
        """False for a sampler that runs Python on concrete values (text verifiers, servers)."""
        return True

    @property
    def lanewise(self) -> bool:
        """Whether lanes never look at each other (no resampling inside)."""
        return True

    def conditional(self, key: PRNGKeyArray, cloud: Particles[In], reference: Any) -> tuple[Particles[Out], Info]:
        """The same step with lane 0 held to `reference`, the building block of conditional SMC.

        Raises: MeaningError where a sampler has no conditional form.
        """
        del key, cloud, reference
        raise MeaningError(f"{type(self).__name__} has no conditional form, so it cannot be part of conditional SMC")

    def _repr_html_(self) -> str:
        return explain(self)._repr_html_()

    def __rshift__(self, after: Sampler) -> Chain:
        """`self`, then `after`."""
        if not isinstance(after, Sampler):
            raise TypeError(f">> joins samplers, got {type(after).__name__}: wrap it in Draw, Reweight or Map")
        return Chain(_stages(self) + _stages(after))


class Chain(Sampler):
    """One sampler after the other.

    Law: the composition of the stages' laws; its guarantee is the weakest. The key is split once per stage.

    Raises: ValueError for no stages.
    """

    stages: tuple[Sampler, ...]

    def __check_init__(self):
        """Rejects a chain of nothing."""
        if not self.stages:
            raise ValueError("a Chain needs at least one stage")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple[Info, ...]]:
        """Runs the stages in order."""
        # A stage may hand on the very values it got, so the caller's lane states are safe only as a copy.
        return self.consume(key, cloud.replace(values=own(cloud.values)))

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple[Info, ...]]:
        """Runs the stages in order, in place."""
        return _in_order([stage.consume for stage in self.stages], key, cloud)

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, tuple[Info, ...]]:
        """Runs the stages in order, each in its conditional form."""
        runs = [functools.partial(_hold, stage, reference) for stage in self.stages]
        return _in_order(runs, key, cloud)

    def meaning(self, m: Measure) -> Measure:
        """Folds the stages' meanings."""
        for stage in self.stages:
            m = stage.meaning(m)
        return m

    @property
    def traceable(self) -> bool:
        """Whether every stage is."""
        return all(stage.traceable for stage in self.stages)

    @property
    def lanewise(self) -> bool:
        """Whether every stage is."""
        return all(stage.lanewise for stage in self.stages)


class Kernel(eqx.Module):
    """A Markov kernel on one value that states the measure it leaves invariant.

    Law: if x ~ `invariant` then `kernel(key, x)` ~ `invariant`.
    """

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """One transition."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        """Moves each of n lanes `times` times; the info is that of the last transition, one entry per lane.

        Law: lanes are independent, and each moves as by `times` calls. Override to draw for all lanes at once, or to
        carry from one transition to the next what was computed at the value.
        """

        def transition(values: Any, key: PRNGKeyArray) -> tuple[Any, Info]:
            return jax.vmap(self)(jax.random.split(key, n), values)

        return repeated(transition, key, values, times)

    @property
    @abc.abstractmethod
    def invariant(self) -> Measure:
        """The (unnormalised) measure that the kernel keeps."""

    def _repr_html_(self) -> str:
        return explain(self)._repr_html_()


def repeated(
    transition: Callable[[Any, PRNGKeyArray], tuple[Any, Info]], key: PRNGKeyArray, state: Any, times: int
) -> tuple[Any, Info]:
    """The state after `times` transitions, and the info of the last; a single one uses the key itself."""
    if times == 1:
        return transition(state, key)
    # The info is carried, not stacked: all but the last would only be dropped.
    info = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(transition, state, key)[1])
    carry = (state, info)
    return jax.lax.scan(lambda carry, k: (transition(carry[0], k), None), carry, jax.random.split(key, times))[0]


def redefines(instance: object, base: type, method: str) -> bool:
    """Whether a subclass has a method of its own, so that a shortcut which `base` takes around it would be wrong."""
    return getattr(type(instance), method) is not getattr(base, method)


def _in_order(runs: list[Callable], key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple[Info, ...]]:
    check_key(key)
    infos = []
    for run, stage_key in zip(runs, jax.random.split(key, len(runs)), strict=True):
        cloud, info = run(stage_key, cloud)
        infos.append(info)
    return cloud, tuple(infos)


def _hold(stage: Sampler, reference: Any, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
    return stage.conditional(key, cloud, reference)


def _stages(sampler: Sampler) -> tuple[Sampler, ...]:
    return sampler.stages if isinstance(sampler, Chain) else (sampler,)
