"""The enumerated law is the law of what runs: frequencies of the compiled sampler against it."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from probinf._choice import choice, uniform_cells
from probinf.validity import enumerate_law

DRAWS = 200_000
FALSE_ALARM = 1e-6


def program(key, logits):
    """A draw, then by its outcome either a narrow draw or a uniform cut in three, in a scan of two turns."""

    def turn(state, key):
        first, second = jax.random.split(key)
        i = choice(first, logits)
        j = jax.lax.cond(
            i == 0,
            lambda key: choice(key, jnp.stack([logits[1], logits[0]])),
            lambda key: (2 * (uniform_cells(key, jnp.array([0.35, 0.6])) > 0.6)).astype(jnp.int32),
            second,
        )
        return 3 * state + (i + j) % 3, None

    return jax.lax.scan(turn, jnp.int32(0), jax.random.split(key, 2))[0]


def statistic(counts, probability):
    return np.sum((counts - DRAWS * probability) ** 2 / (DRAWS * probability))


def test_frequencies_of_the_compiled_sampler():
    logits = jnp.array([0.3, -0.5, 0.1])
    law = enumerate_law(program, jax.random.key(0), logits).grouped()
    probability = np.zeros(9)
    probability[law.outputs] = law.probability
    keys = jax.random.split(jax.random.key(2024), DRAWS)
    drawn = jax.jit(jax.vmap(program, in_axes=(0, None)))(keys, logits)
    counts = np.bincount(np.asarray(drawn), minlength=9)
    threshold = chi2.isf(FALSE_ALARM, df=8)
    assert statistic(counts, probability) < threshold
    # The test has the power to see a law that is off by one percentage point.
    shifted = probability + 0.01 * np.eye(9)[0] - 0.01 * np.eye(9)[1]
    assert statistic(counts, shifted) > threshold
