"""Particle filtering and best-of-n on a toy model: every outcome enumerated, against the restricted model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Density, Map, Status, sample
from probinf.lm import TableLM, enumerate_sequences, stop_table
from probinf.samplers import best_of_n, particle_filtering
from probinf.validity._proper import check_proper_weighting

PROMPT, SLOTS, WANTED, DEAD, END = [0], 3, 1, 0, 2
KNOBS: dict[str, Any] = {"max_new_tokens": SLOTS, "tokens_per_step": 1}


def toy() -> TableLM:
    # Built in the test, so that its precision is the test's.
    table = jnp.asarray([[0.1, 0.4, -0.3], [0.3, 0.2, 0.5], [0.0, 0.0, 0.0]])
    return TableLM(table=table, stop_tokens=(END,))


def count(x, token):
    return jnp.sum((x.tokens == token) & (jnp.arange(x.tokens.shape[-1]) < x.length))


def accepted(x):
    """Two wanted tokens, and none after which nothing is accepted."""
    return jnp.where(x.finished & (count(x, WANTED) >= 2) & (count(x, DEAD) == 0), 0.0, -jnp.inf)


def twist(x):
    """Vanishes on prefixes that cannot be accepted any more, grows with what is wanted."""
    return jnp.where(count(x, DEAD) == 0, 1.3 * count(x, WANTED), -jnp.inf)


def text(x):
    return x.tokens, x.length


def exact_target():
    """Mass of each accepted text, from the list of all texts."""
    texts, log_prob = enumerate_sequences(toy(), np.asarray(PROMPT), SLOTS)
    return {t: p for t, p in zip(texts, np.exp(log_prob), strict=True) if t.count(WANTED) >= 2 and DEAD not in t}


def as_texts(measure):
    tokens, length = measure.values
    rows = zip(np.asarray(tokens), np.asarray(length), np.exp(measure.log_mass), strict=True)
    return {tuple(row[:size].tolist()): mass for row, size, mass in rows if mass > 0}


def law_error(sampler, n):
    return check_proper_weighting(sampler >> Map(text), n)


def assert_target(measure):
    """The measure that the check computed from the laws is the one that listing all texts gives."""
    found, target = as_texts(measure), exact_target()
    assert found.keys() == target.keys()
    np.testing.assert_allclose([found[t] for t in target], list(target.values()), rtol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ess", [None, 0.9])
def test_particle_filtering_means_the_accepted_part_of_the_model(ess):
    check = law_error(particle_filtering(toy(), PROMPT, twist=twist, accepted=accepted, ess=ess, **KNOBS), 2)
    assert check.error <= 1e-10
    assert_target(check.found)


@pytest.mark.usefixtures("x64")
def test_islands_keep_the_law():
    knobs = {"max_new_tokens": 2, "tokens_per_step": 1, "ess": 0.9, "islands": 2}
    check = law_error(particle_filtering(toy(), PROMPT, twist=twist, accepted=accepted, **knobs), 4)
    assert check.error <= 1e-10
    assert 0 < check.target.total < 1


@pytest.mark.usefixtures("x64")
def test_steps_that_end_at_a_pause_keep_the_law():
    # Token 1 ends a step, so a step of two tokens is one or two long.
    pause = stop_table([b"a", b"b", b""], [b"b"])
    knobs = {"max_new_tokens": 2, "tokens_per_step": 2, "pause": pause, "ess": None}
    check = law_error(particle_filtering(toy(), PROMPT, twist=twist, accepted=accepted, **knobs), 2)
    assert check.error <= 1e-10
    assert (WANTED, WANTED) in as_texts(check.found)


@pytest.mark.usefixtures("x64")
def test_a_twist_that_gives_up_accepted_texts_is_found():
    def hasty(x):
        return jnp.where(count(x, WANTED) > 0, 0.0, -jnp.inf)

    def two_wanted(x):
        return jnp.where(x.finished & (count(x, WANTED) == 2), 0.0, -jnp.inf)

    sampler = particle_filtering(toy(), PROMPT, twist=hasty, accepted=two_wanted, ess=None, **KNOBS)
    assert law_error(sampler, 2).error > 0.05


@pytest.mark.usefixtures("x64")
def test_best_of_n_means_the_accepted_part_of_the_model():
    check = law_error(best_of_n(toy(), PROMPT, accepted=accepted, max_new_tokens=SLOTS), 2)
    assert check.error <= 1e-10
    assert_target(check.found)


@pytest.mark.usefixtures("x64")
def test_a_stop_string_ends_the_text():
    stop = stop_table([b"a", b"b", b""], [b"ab"])
    sampler = particle_filtering(
        toy(), PROMPT, twist=lambda x: jnp.zeros(()), accepted=lambda x: jnp.zeros(()), stop=stop, **KNOBS
    )
    texts = as_texts(law_error(sampler, 1).found)
    assert (0, 1) in texts and (0, 1, 0) not in texts and (0, 1, 1) not in texts
    assert sum(texts.values()) == pytest.approx(1.0)


def test_the_host_loop_draws_what_the_compiled_one_draws():
    class OnHost(Density):
        @property
        def traceable(self):
            return False

    key = jax.random.key(3)
    knobs: dict[str, Any] = {**KNOBS, "max_new_tokens": 6, "islands": 2}
    compiled = sample(particle_filtering(toy(), PROMPT, twist=wanted_so_far, accepted=finished, **knobs), key, 8)
    on_host = OnHost("wanted", wanted_so_far)
    host = sample(particle_filtering(toy(), PROMPT, twist=on_host, accepted=finished, **knobs), key, 8)
    np.testing.assert_array_equal(compiled.particles.values.tokens, host.particles.values.tokens)
    np.testing.assert_allclose(compiled.particles.log_weights, host.particles.log_weights, rtol=1e-5)
    assert host.status is Status.OK and bool(jnp.all(host.particles.values.finished))


def wanted_so_far(x):
    return 0.7 * count(x, WANTED)


def finished(x):
    return jnp.where(x.finished, 0.0, -jnp.inf)


def test_a_cloud_in_which_nothing_is_accepted_is_degenerate_not_nan():
    sampler = particle_filtering(toy(), PROMPT, twist=never, accepted=never, **KNOBS)
    result = sample(sampler, jax.random.key(0), 4)
    assert result.status is Status.DEGENERATE
    assert float(result.particles.log_z) == -np.inf


def test_stop_and_pause_together_are_refused():
    table = stop_table([b"a", b"b", b""], [b"b"])
    with pytest.raises(ValueError, match="either stop"):
        particle_filtering(toy(), PROMPT, twist=twist, accepted=accepted, stop=table, pause=table, **KNOBS)


def never(x):
    return jnp.where(x.finished, -jnp.inf, -jnp.inf)
