"""Scan and While: a stage applied again and again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Measure
from probinf._particles import Particles, copied, own
from probinf._sampler import Info, Sampler
from probinf._status import Status, status_if

Record = Callable[[Particles, Info], Any]
Observer = Callable[[int, int, Particles], None]


class ScanInfo(NamedTuple):
    """`stages`: the stage's info with a leading time axis; `record`: what `record` returned at each step, or None.

    Ancestors are left out (None), since all of them take as much memory as all clouds: `record` sees them.
    """

    status: Int[Array, ""]
    stages: Info
    record: Any


class WhileInfo(NamedTuple):
    """`steps`: how many times the stage ran; `last`: its info the last time (zeros if it never ran)."""

    status: Int[Array, ""]
    steps: Int[Array, ""]
    last: Info


class Scan(Sampler):
    """Applies a stage once per row of `xs`, or `length` times.

    Law: the fold of the stage's law over the rows. `stage` is a Sampler, or a callable that builds one from a row; make
    it a Module whose fields hold what varies, since every new closure is compiled anew; so is `record`. Runs as
    `lax.scan`, or as a Python loop where the stage is not traceable or an `observer` wants to see each step; both use
    the same keys. An observer may look at the cloud, but not keep it: the next step uses it up. With `started` the
    cloud that comes in is step 0 (a filter's first row): it is recorded too, with an info of zeros in which every lane
    is its own ancestor, since no stage ran.

    Raises: ValueError where neither or both of `xs` and `length` are given, rows disagree in number, or there are none.
    """

    stage: Sampler | Callable[[Any], Sampler]
    xs: Any = None
    length: int | None = eqx.field(static=True, default=None)
    record: Record | None = eqx.field(static=True, default=None)
    observer: Observer | None = eqx.field(static=True, default=None)
    started: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        """Rejects a scan of unknown length."""
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(self.xs)]
        if () in shapes:
            raise ValueError("Scan takes one row of xs per step: pass an array, jnp.asarray(xs), or length=")
        lengths = {shape[0] for shape in shapes}
        if (self.length is None) == (not lengths) or len(lengths) > 1:
            raise ValueError(
                f"Scan needs either xs, with one leading axis for all leaves, or length; got xs of lengths "
                f"{sorted(lengths)} and length={self.length}"
            )
        if not is_count(self.steps):
            raise ValueError(f"Scan needs at least one step, got {self.steps}")

    @property
    def steps(self) -> int:
        """How many times the stage is applied."""
        return self.length if self.length is not None else jax.tree.leaves(self.xs)[0].shape[0]

    def at(self, x: Any) -> Sampler:
        """The stage for one row."""
        return self.stage if isinstance(self.stage, Sampler) else self.stage(x)

    def row(self, i: int) -> Any:
        """Row i of `xs`."""
        return jax.tree.map(lambda leaf: leaf[i], self.xs)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ScanInfo]:
        """Runs all steps."""
        return self.consume(key, cloud.replace(values=own(cloud.values)))

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, ScanInfo]:
        """Runs all steps, in place."""
        return self._fold(key, cloud, _Free())

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, ScanInfo]:
        """Runs all steps in their conditional form."""
        return self._fold(key, cloud, _Held(reference))

    def _fold(self, key: PRNGKeyArray, cloud: Particles, run: Callable) -> tuple[Particles, ScanInfo]:
        check_key(key)
        keys = jax.random.split(key, self.steps)
        start = self._record_start(keys[0], cloud)
        if self.traceable and self.observer is None:
            cloud, (infos, record) = _compiled_scan(self, run, cloud, keys)
        else:
            # Without its observer the scan is data and structure, so one program serves every step and every run.
            unseen = dataclasses.replace(self, observer=None)
            step = _compiled_step if self.traceable else _step
            rows = []
            for i in range(self.steps):
                cloud, (info, record) = step(unseen, run, cloud, keys[i], self.row(i))
                # The next step may use up what the record took from the cloud.
                rows.append((info, copied(record)))
                if self.observer is not None:
                    self.observer(i + 1, self.steps, cloud)
            infos, record = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
        if start is not None:
            record = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later]), start, record)
        return cloud, ScanInfo(status_if(False, Status.OK), infos, record)

    def _record_start(self, key: PRNGKeyArray, cloud: Particles) -> Any:
        """The record of the cloud that comes in, or None."""
        if self.record is None or not self.started:
            return None
        info = _idle(jax.eval_shape(self.at(self.row(0)), key, cloud)[1]) if self.traceable else ()
        # The first step may use up what the record took from the cloud.
        return copied(jax.tree.map(jnp.asarray, self.record(cloud, info)))

    def meaning(self, m: Measure) -> Measure:
        """The fold of the stage's meaning over the rows."""
        for i in range(self.steps):
            m = self.at(self.row(i)).meaning(m)
        return m

    @property
    def traceable(self) -> bool:
        """Whether the stage is."""
        return self.at(self.row(0)).traceable

    @property
    def lanewise(self) -> bool:
        """Whether the stage is."""
        return self.at(self.row(0)).lanewise


class _Free(eqx.Module):
    """A step on a cloud that nobody else holds."""

    def __call__(self, stage: Sampler, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return stage.consume(key, cloud)


class _Held(eqx.Module):
    """A step with lane 0 held to a reference."""

    reference: Any

    def __call__(self, stage: Sampler, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        return stage.conditional(key, cloud, self.reference)


def _step(scan: Scan, run: Callable, cloud: Particles, key: PRNGKeyArray, x: Any) -> tuple[Particles, tuple[Info, Any]]:
    cloud, info = run(scan.at(x), key, cloud)
    return cloud, (_without_ancestors(info), None if scan.record is None else scan.record(cloud, info))


def _without_ancestors(info: Info) -> Info:
    """The info with every field `ancestors` set to None."""
    if not isinstance(info, tuple):
        return info
    parts = [_without_ancestors(part) for part in info]
    if not hasattr(info, "_fields"):
        return tuple(parts)
    kept = type(info)(*parts)
    return kept._replace(ancestors=None) if "ancestors" in info._fields else kept  # pyright: ignore[reportAttributeAccessIssue]


def _idle(info: Info) -> Info:
    """The info of a stage that did nothing: zeros, and every lane its own ancestor."""
    if not isinstance(info, tuple):
        return jnp.zeros(info.shape, info.dtype)
    names = getattr(info, "_fields", (None,) * len(info))
    parts = [
        jnp.arange(part.shape[0], dtype=part.dtype) if name == "ancestors" and hasattr(part, "shape") else _idle(part)
        for name, part in zip(names, info, strict=True)
    ]
    return type(info)(*parts) if hasattr(info, "_fields") else tuple(parts)


_compiled_step = eqx.filter_jit(_step)


# In a chain that the host drives the scan stands outside any trace: it too should be compiled only once.
@eqx.filter_jit
def _compiled_scan(
    scan: Scan, run: Callable, cloud: Particles, keys: Key[Array, " steps"]
) -> tuple[Particles, tuple[Info, Any]]:
    return jax.lax.scan(lambda c, row: _step(scan, run, c, *row), cloud, (keys, scan.xs))


class While(Sampler):
    """Applies a stage while a condition on the cloud holds, at most `max_steps` times.

    Law: the `max_steps`-fold law of the stage. The condition may turn false only once a further step would be the
    identity (all lanes finished): then stopping early changes nothing but the time it takes. Status BUDGET if the
    condition still holds at the end.

    Raises: ValueError for a budget below one.
    """

    stage: Sampler
    condition: Callable[[Particles], Bool[Array, ""]]
    max_steps: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects an empty budget."""
        if not is_count(self.max_steps):
            raise ValueError(f"While needs max_steps >= 1, got {self.max_steps}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, WhileInfo]:
        """Runs until the condition fails or the budget is spent."""
        return self.consume(key, cloud.replace(values=own(cloud.values)))

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, WhileInfo]:
        """Runs until the condition fails or the budget is spent, in place."""
        check_key(key)
        keys = jax.random.split(key, self.max_steps)
        if self.traceable:
            cloud, steps, last = _compiled_while(self, cloud, keys)
        else:
            steps, last = jnp.int32(0), None
            for step_key in keys:
                if not bool(self.condition(cloud)):
                    break
                cloud, last = self.stage.consume(step_key, cloud)
                steps = steps + 1
        return cloud, WhileInfo(status_if(self.condition(cloud), Status.BUDGET), steps, last)

    def meaning(self, m: Measure) -> Measure:
        """The `max_steps`-fold meaning of the stage."""
        for _ in range(self.max_steps):
            m = self.stage.meaning(m)
        return m

    @property
    def traceable(self) -> bool:
        """Whether the stage is."""
        return self.stage.traceable

    @property
    def lanewise(self) -> bool:
        """False: the condition looks at the whole cloud."""
        return False


@eqx.filter_jit
def _compiled_while(
    loop: While, cloud: Particles, keys: Key[Array, " steps"]
) -> tuple[Particles, Int[Array, ""], Info]:
    """A scan of conds, not a while loop: every random choice stays enumerable, and skipping costs nothing."""
    info = jax.eval_shape(loop.stage, keys[0], cloud)[1]
    never = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), info)

    def step(carry: tuple, step_key: PRNGKeyArray) -> tuple[tuple, None]:
        def advance(carry: tuple) -> tuple:
            new_cloud, info = loop.stage(step_key, carry[0])
            return new_cloud, carry[1] + 1, info

        return jax.lax.cond(loop.condition(carry[0]), advance, lambda carry: carry, carry), None

    return jax.lax.scan(step, (cloud, jnp.int32(0), never), keys)[0]
