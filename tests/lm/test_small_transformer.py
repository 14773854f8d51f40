"""The small decoder against the network read at once, alone, under vmap, and after resampling; and reading along."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf.arithmetic._network import Network, NetworkConfig
from probinf.arithmetic._weights import decoder_of
from probinf.lm import Continue, Prompt, ReadAlong, StateReward, start_generation

CONFIG = NetworkConfig(
    dimension=80, layers=2, heads=2, hidden_dimension=24, prompt_slots=6, slots=7, vocabulary_size=28
)
PROBLEMS, LANES = 3, 4


def random_network(seed):
    network = Network(CONFIG, nnx.Rngs(seed))
    graph, weights = nnx.split(network)
    # Larger than at the start of training, so that attention is far from uniform.
    larger = jax.tree.map(lambda leaf: leaf + 0.12 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), weights)
    return nnx.merge(graph, larger)


@pytest.fixture(scope="module")
def network():
    return random_network(0)


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.integers(0, 28, (PROBLEMS, 6)), jnp.int32),
        jnp.asarray([3, 6, 4], jnp.int32),
        jnp.asarray(rng.integers(0, 28, (PROBLEMS, LANES, 7)), jnp.int32),
        # Resampled after three tokens: some lanes die, and the number of lanes stays.
        jnp.asarray(rng.integers(0, LANES, (PROBLEMS, LANES)), jnp.int32),
    )


@jax.jit
def decode(lm, prompts, lengths, tokens, ancestors):
    def one(prompt, length, tokens, ancestors):
        state = lm.start(prompt, LANES, 7, length)
        logits = [lm.logits(state)]
        for i in range(7):
            # In between, lanes that idle must not change.
            state = lm.advance(state, tokens[:, (i + 1) % 7], jnp.zeros(LANES, bool))
            state = lm.advance(state, tokens[:, i], jnp.ones(LANES, bool))
            if i == 2:
                state = state.take(ancestors)
            logits.append(lm.logits(state))
        return jnp.stack(logits, axis=1)

    return jax.vmap(one)(prompts, lengths, tokens, ancestors)


def full(network, prompts, lengths, tokens, ancestors):
    def one(prompt, length, tokens, ancestors):
        inherited = jnp.concatenate([tokens[ancestors, :3], tokens[:, 3:]], axis=1)
        rows = lambda tokens: network.logits(  # noqa: E731
            jnp.broadcast_to(prompt, (LANES, 6)), jnp.broadcast_to(length, (LANES,)), tokens
        )
        return jnp.concatenate([rows(tokens)[:, :3], rows(inherited)[:, 3:]], axis=1)

    return jnp.stack([one(*row) for row in zip(prompts, lengths, tokens, ancestors, strict=True)])


def test_decoder_equals_the_network_read_at_once(network, texts):
    prompts, lengths, tokens, ancestors = texts
    expected = full(network, *texts)
    actual = decode(decoder_of(network), *texts)
    np.testing.assert_allclose(actual, expected, atol=1e-5, rtol=1e-5)
    # The comparison can fail: the same without the resampling is far off.
    assert np.abs(decode(decoder_of(network), prompts, lengths, tokens, ancestors * 0) - expected).max() > 0.1


def test_a_reader_follows_the_texts_of_the_writer(network):
    writer, reader = decoder_of(network), decoder_of(random_network(1))
    head = jax.random.normal(jax.random.key(2), (80,))
    both = ReadAlong(writer, reader)
    key = jax.random.key(3)
    alone = Continue(writer, 5).sample_lanes(key, start_generation(Prompt(writer, [25, 1, 2], 7), LANES), LANES)
    together = Continue(both, 5).sample_lanes(key, start_generation(Prompt(both, [25, 1, 2], 7), LANES), LANES)
    np.testing.assert_array_equal(alone.tokens, together.tokens)
    reward = StateReward(jax.tree_util.Partial(lambda head, state: state.reader.hidden @ head, head))
    prompts = jnp.broadcast_to(jnp.array([25, 1, 2, 0, 0, 0]), (LANES, 6))
    hidden = random_network(1).hidden(prompts, jnp.full(LANES, 3), together.tokens)
    expected = hidden[jnp.arange(LANES), together.length] @ head
    np.testing.assert_allclose(reward.log_odds(together, LANES), expected, atol=1e-5, rtol=1e-5)


def test_too_many_tokens_are_refused(network):
    with pytest.raises(ValueError, match="writes at most 7 tokens"):
        decoder_of(network).start(jnp.zeros(6, jnp.int32), 1, 8)
    # The context as a whole would have room for them.
    with pytest.raises(ValueError, match="at most 6 tokens, got 8"):
        Prompt(decoder_of(network), [0] * 8, 5).sample_lanes(jax.random.key(0), (), 1)
