"""Schemes under jit and vmap, on clouds of one lane, dead clouds and broken weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.resampling import Killing, Multinomial, Residual, Settled, Stratified, Systematic

SCHEMES = [Multinomial(), Stratified(), Systematic(), Residual(), Killing(), Settled(Systematic())]
every_draw = pytest.mark.parametrize(
    "draw",
    [d for s in SCHEMES for d in (s, s.conditional)],
    ids=[f"{s}{c}" for s in SCHEMES for c in ("", "-twin")],
)
DEAD = -jnp.inf
KEY = jax.random.key(0)


@every_draw
def test_clouds_without_a_choice_keep_their_lanes(draw):
    draw = jax.jit(draw)
    assert np.array_equal(draw(KEY, jnp.asarray([-3.0])), [0])
    assert np.array_equal(draw(KEY, jnp.asarray([DEAD])), [0])
    assert np.array_equal(draw(KEY, jnp.full(5, DEAD)), np.arange(5))
    assert np.array_equal(draw(KEY, jnp.full(5, jnp.nan)), np.arange(5))


@every_draw
def test_broken_weights_have_no_offspring(draw):
    rows = jnp.asarray([[0.0, jnp.nan, -1.0, jnp.nan, DEAD], [jnp.inf, 0.0, jnp.nan, jnp.inf, 3.0]])
    keys = jax.random.split(KEY, 200)
    for row, alive in zip(rows, ({0, 2}, {0, 3}), strict=True):
        ancestors = np.asarray(jax.jit(jax.vmap(draw, in_axes=(0, None)))(keys, row))
        assert set(np.unique(ancestors).tolist()) == alive


@every_draw
def test_compiled_batched_and_eager_agree_without_new_traces(draw):
    rows = jax.random.normal(KEY, (6, 9))
    keys = jax.random.split(KEY, 6)
    once = jax.jit(chex.assert_max_traces(lambda key, row: draw(key, row), n=1))
    one_by_one = np.stack([once(key, row) for key, row in zip(keys, rows, strict=True)])
    assert np.array_equal(jax.jit(jax.vmap(draw))(keys, rows), one_by_one)
    assert np.array_equal(draw(keys[0], rows[0]), one_by_one[0])
    chex.clear_trace_counter()


@every_draw
def test_no_derivative_flows_through_ancestors(draw):
    weights = jax.random.normal(KEY, (9,))
    slope = jax.grad(lambda x: jnp.sum(jnp.take(jnp.arange(9.0), draw(KEY, x))))(weights)
    assert np.array_equal(slope, np.zeros(9))


@pytest.mark.parametrize("scheme", [Stratified(), Systematic()], ids=str)
@pytest.mark.parametrize("conditional", [False, True])
def test_memory_is_linear_in_the_number_of_lanes(scheme, conditional):
    n = 100_000
    draw = scheme.conditional if conditional else scheme
    program = jax.jit(draw).lower(KEY, jax.ShapeDtypeStruct((n,), jnp.float32)).compile()
    memory = program.memory_analysis()
    assert memory is not None and memory.temp_size_in_bytes < 200 * n


@pytest.mark.parametrize("n", [100_000])
def test_uncompiled_stratified_draws_are_linear_too(n):
    """The table of breaks would need 40 GB."""
    assert Stratified()(KEY, jnp.zeros(n)).shape == (n,)
