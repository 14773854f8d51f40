"""The driver: run a sampler on a fresh cloud, and say how it ended."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._explain import named
from probinf._particles import Particles, spawn
from probinf._primitives import Scan
from probinf._primitives._loop import Observer, Record
from probinf._primitives._resample import weight_status
from probinf._sampler import Chain, Info, Sampler
from probinf._status import Status, worst_status


class RunError(RuntimeError):
    """A run that did not end well, raised by `sample(..., throw=True)`; `status` says how it ended."""

    def __init__(self, status: Status, where: str = ""):
        super().__init__(f"{status.name}: {status.explanation}{where}")
        self.status = status


class Result(NamedTuple):
    """What a run leaves: the cloud, each stage's info, how it ended, and what `record` returned per step."""

    particles: Particles
    info: Info
    status: Status
    record: Any


def sample(
    sampler: Sampler,
    key: PRNGKeyArray,
    n: int,
    *,
    values: Any = (),
    progress: bool = False,
    record: Record | None = None,
    throw: bool = False,
) -> Result:
    """Runs a sampler on n fresh particles.

    Law: the result is properly weighted for `sampler.meaning(Measure())`, as strongly as that measure's guarantee says.
    The same key gives the same draws with and without `progress`, and a larger n keeps the keys of the first lanes.

    values: what the lanes hold at the start, with leading axis n (nothing by default). progress: a bar over the steps
    of each `Scan`. record: a function `(cloud, info) -> pytree` called after each step of the outermost scans, and for
    a filter after its first row too; a sampler without scans is one step. Hand in the same function again, since a new
    one compiles anew. A run that ends INVALID warns, and names the first step at which it became so.
    throw: raise where the status is not OK. A traceable sampler is compiled once per structure and shape.

    Raises: TypeError for a legacy key, or what is no sampler; ValueError for n < 1, or `values` of another number of
    lanes; RunError with `throw=True`.
    """
    check_key(key)
    if not isinstance(sampler, Sampler):
        raise TypeError(f"sample runs a Sampler, got {type(sampler).__name__}: wrap a distribution in Draw")
    cloud, code = spawn(n, values), None
    if record is not None:
        sampler = on_scans(sampler, record=record)
    if progress:
        from rich.progress import Progress

        with Progress(transient=True) as bar:
            cloud, info = on_scans(sampler, observer=_bar_observer(bar))(key, cloud)
    elif sampler.traceable:
        cloud, info, code = _compiled(sampler, key, cloud)
    else:
        # A call, not `consume`: the caller still holds `values`.
        cloud, info = sampler(key, cloud)
    status = run_status(cloud, info) if code is None else Status(int(code))
    where = where_invalid(sampler, info) if status is Status.INVALID else ""
    if throw and status is not Status.OK:
        raise RunError(status, where)
    if where:
        warnings.warn(f"{status.name}: {status.explanation}{where}", stacklevel=2)
    return Result(cloud, info, status, all_records(record, cloud, info))


def where_invalid(sampler: Sampler, info: Info) -> str:
    """The first stage that made a run INVALID, and its step where the stage is a scan: ` (at row 3)`."""
    stages = sampler.stages if isinstance(sampler, Chain) else (sampler,)
    parts = info if isinstance(sampler, Chain) else (info,)
    started = any(isinstance(stage, Scan) and stage.started for stage in stages)
    for stage, part in zip(stages, parts, strict=True):
        if int(worst_status(part)) < Status.INVALID:
            continue
        if isinstance(stage, Scan):
            at = np.flatnonzero(np.asarray(jax.vmap(worst_status)(part.stages)) == Status.INVALID)
            if at.size:
                more = f" and {at.size - 1} later ones" if at.size > 1 else ""
                return f" (at {'row' if stage.started else 'step'} {at[0] + stage.started}{more})"
        return " (at row 0)" if started else f" (in {named(stage)})"
    return ""


def run_status(cloud: Particles, info: Info) -> Status:
    """How a finished run ended: the worst status of its stages and of the weights it left.

    Those are DEGENERATE for a cloud without mass, COLLAPSED where one of many lanes holds nearly all of it, and INVALID
    where they are NaN or +inf.
    """
    return Status(int(status_code(cloud, info)))


def status_code(cloud: Particles, info: Info) -> Int[Array, ""]:
    """The status of a finished run as an array, for compiled code."""
    left = jnp.where(cloud.log_z > -jnp.inf, weight_status(cloud.log_weights), jnp.int32(Status.DEGENERATE))
    left = jnp.where(jnp.isnan(cloud.log_z) | (cloud.log_z == jnp.inf), jnp.int32(Status.INVALID), left)
    return jnp.maximum(worst_status(info), left)


@eqx.filter_jit
def _compiled(sampler: Sampler, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info, Int[Array, ""]]:
    cloud, info = sampler(key, cloud)
    # One program more for the status would cost a short run as much as its steps.
    return cloud, info, status_code(cloud, info)


def on_scans(sampler: Sampler, **fields: Any) -> Sampler:
    """The same composition with fields of its outermost scans set."""
    if isinstance(sampler, Chain):
        return Chain(tuple(on_scans(stage, **fields) for stage in sampler.stages))
    return dataclasses.replace(sampler, **fields) if isinstance(sampler, Scan) else sampler


def _bar_observer(bar: Any) -> Observer:
    task = bar.add_task("sampling", total=None)

    def observe(step: int, steps: int, cloud: Particles) -> None:
        del cloud
        bar.update(task, completed=step, total=steps)

    return observe


def records_of(info: Info) -> Any:
    """The records of the outermost scans, in order; a single one bare."""
    stages = info if isinstance(info, tuple) and not hasattr(info, "_fields") else (info,)
    found = [record for record in (getattr(stage, "record", None) for stage in stages) if record is not None]
    return found[0] if len(found) == 1 else (tuple(found) or None)


def all_records(record: Record | None, cloud: Particles, info: Info) -> Any:
    """The records of a run; a sampler without scans is one step, recorded where it ended."""
    found = records_of(info)
    if record is None or found is not None:
        return found
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], record(cloud, info))
