"""Compiled programs are dropped before their memory maps end the process."""

import jax
import jax.numpy as jnp
import pytest

from probinf._maps import _LIMIT, _MAPS, release_programs

pytestmark = pytest.mark.skipif(not (_MAPS.exists() and _LIMIT.exists()), reason="only Linux counts memory maps")


def test_programs_are_dropped_only_near_the_limit():
    traces = []

    @jax.jit
    def f(x):
        traces.append(1)
        return x + 1

    f(jnp.ones(3))
    assert not release_programs(1.0)
    f(jnp.ones(3))
    assert len(traces) == 1
    assert release_programs(0.0)
    f(jnp.ones(3))
    assert len(traces) == 2


def test_maps_go_back_when_programs_are_dropped():
    # Programs of one module-level function stay for as long as JAX caches them, whatever becomes of their arguments.
    count = lambda: _MAPS.read_bytes().count(b"\n")  # noqa: E731
    f = jax.jit(lambda x, n: jnp.sort(x) * n, static_argnums=1)
    release_programs(0.0)
    before = count()
    for n in range(40):
        f(jnp.ones(n + 1), n)
    grown = count()
    release_programs(0.0)
    assert grown >= before + 20
    assert count() < before + (grown - before) / 2
