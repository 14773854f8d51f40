"""The driver for several devices: the run that `sample` would make on one.

Law: that of `sample`, whose outcome for the same key this is.
"""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf._particles import Particles, spawn
from probinf._primitives._loop import Record
from probinf._run import Result, RunError, all_records, on_scans, status_code
from probinf._sampler import Info, Sampler
from probinf._status import Status
from probinf.scale._lanes import Layout
from probinf.scale._sharded import shard


def sample_sharded(
    sampler: Sampler,
    key: PRNGKeyArray,
    n: int,
    mesh: Mesh,
    *,
    axis: str | None = None,
    values: Any = (),
    record: Record | None = None,
    throw: bool = False,
) -> Result:
    """Runs a sampler on n fresh particles that lie in equal blocks on the devices of a mesh.

    Law: that of `sample`. The same key gives the same draws on any number of devices, and so the same outcome, up to
    how the compiler rounds the sampler's own arithmetic (see docs/scale.md). Values, weights and infos of the result
    stay on the devices, in blocks along `axis` (the mesh's only one by default); `fetch` brings them together. What the
    sampler holds (models, data) is copied to every device.

    values, record, throw: as for `sample`. A run over several hosts calls this on all of them with the same arguments.

    Raises: TypeError for what cannot be sharded (what runs on the host, lane states, what looks across lanes in a way
    of its own); ValueError where n is no multiple of the number of devices, for keys whose draws depend on the number
    of devices, and for an axis that the mesh does not have; RunError with `throw=True`.
    """
    check_key(key)
    if not isinstance(sampler, Sampler):
        raise TypeError(f"sample_sharded runs a Sampler, got {type(sampler).__name__}: wrap a distribution in Draw")
    layout = Layout(mesh, axis)
    _check_draws(key)
    if n % layout.devices:
        raise ValueError(f"{n} particles do not divide among {layout.devices} devices: take {_near(n, layout.devices)}")
    if isinstance(values, list):
        raise TypeError("a list of values is on the host and cannot be sharded: stack it into an array")
    # Refused here, where the numbers are named, before the values are laid out.
    jax.eval_shape(functools.partial(spawn, n), values)
    if record is not None:
        sampler = on_scans(sampler, record=record)
    sampler, key = _placed((shard(sampler, layout), key), layout.sharding(layout.whole))
    cloud, info, ended = _compiled(sampler, key, _placed(values, layout.sharding(layout.split)), n, layout)
    status = Status(int(ended))
    if throw and status is not Status.OK:
        raise RunError(status)
    return Result(cloud, info, status, all_records(record, cloud, info))


def fetch(tree: Any) -> Any:
    """The same tree with each array whole on the first device, gathered from all devices and all hosts.

    Law: none; numbers are moved. What is computed from a fetched cloud, such as `log_z` or a weighted mean, adds in the
    order of one device; computed from blocks, sums may round differently. Over several hosts all must call it.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(_whole(leaf)) if isinstance(leaf, jax.Array) else leaf, tree)


@eqx.filter_jit
def _compiled(
    sampler: Sampler, key: PRNGKeyArray, values: Any, n: int, layout: Layout
) -> tuple[Particles, Info, Int[Array, ""]]:
    cloud, info = sampler(key, layout.pin_cloud(spawn(n, values)))
    # Read here, so that on several hosts all agree without computing on what they cannot see.
    return cloud, info, status_code(cloud, info)


def _whole(x: Array) -> Any:
    if x.is_fully_addressable or x.is_fully_replicated:
        return jax.device_get(x)
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(x, tiled=True)


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: _place(leaf, sharding) if isinstance(leaf, (jax.Array, np.ndarray)) else leaf, tree
    )


def _place(x: Array | np.ndarray, sharding: NamedSharding) -> Array:
    """The array laid out so; one that spans several hosts is left as it lies."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return x
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_place(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x))
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _near(n: int, devices: int) -> str:
    below, above = n // devices * devices, -(-n // devices) * devices
    return f"{above}" if below == 0 else f"{below} or {above}"


def _check_draws(key: PRNGKeyArray) -> None:
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    if str(jax.random.key_impl(key)) != "threefry2x32" or not partitionable:
        raise ValueError(
            "draws that do not depend on the number of devices need threefry keys and jax_threefry_partitionable: use "
            "jax.random.key(seed, impl='threefry2x32') and leave the option on"
        )
