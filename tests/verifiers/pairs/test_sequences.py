"""Pairs of texts: probabilities by enumeration, padding that tells nothing, the theorems."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probinf import spawn
from probinf.verifiers.pairs import (
    PairLanguageModel,
    PairTraining,
    ScoredResponses,
    SequencePairs,
    grouped_pairs,
    ordered_loss,
    rejection_decoder,
    response_loss,
    selective_filter,
    top_admitted,
    train_pairs,
)
from tests.verifiers.pairs.worlds import moments

PAD, END, VOCABULARY, SLOTS = 0, 1, 4, 2
# All that two slots can hold of two words: nothing, a word and its end, or two words and no end.
RESPONSES = np.array([[1, 0], [2, 1], [3, 1], [2, 2], [2, 3], [3, 2], [3, 3]])
PROMPT = np.array([3, 2])


class Memory(nnx.Module):
    """A causal trunk in which everything read so far, and where, moves every later logit."""

    def __init__(self, rngs):
        positions = len(PROMPT) + 2 * SLOTS - 1
        self.table = nnx.Param(jax.random.normal(rngs.params(), (positions, VOCABULARY, 8)))
        self.out = nnx.Param(jax.random.normal(rngs.params(), (8, VOCABULARY)))

    def __call__(self, tokens):
        place = jnp.arange(len(tokens))
        return jnp.tanh(jnp.cumsum(self.table[...][place, tokens], axis=0)) @ self.out[...]


def model():
    return PairLanguageModel(Memory(nnx.Rngs(params=0)), slots=SLOTS, end=END, pad=PAD)


def by_hand(trunk, first, second):
    """Both log-probabilities, token by token, in numpy."""
    text, found = list(PROMPT), []
    for response in (first, second):
        total = 0.0
        ended = False
        for token in response:
            if ended:
                text.append(PAD)
                continue
            read = np.cumsum(np.asarray(trunk.table[...])[np.arange(len(text)), text], axis=0)
            logits = np.tanh(read[-1]) @ np.asarray(trunk.out[...])
            allowed = [v for v in range(VOCABULARY) if v != PAD]
            total += logits[token] - np.log(np.sum(np.exp(logits[allowed])))
            text.append(int(token))
            ended = token == END
        found.append(total)
    return found


def check_against_enumeration(pairs):
    """The law of `SequencePairs`: by hand, of total one, and blind to what stands after an end."""
    both = jax.jit(jax.vmap(lambda a, b: jnp.stack(pairs.log_probabilities(a, b))))
    size = len(RESPONSES)
    every = jnp.asarray(np.repeat(RESPONSES, size, axis=0)), jnp.asarray(np.tile(RESPONSES, (size, 1)))
    table = np.asarray(both(*every)).reshape(size, size, 2)
    expected = np.array([[by_hand(pairs.trunk, a, b) for b in RESPONSES] for a in RESPONSES])
    np.testing.assert_allclose(table, expected, atol=1e-12)
    np.testing.assert_allclose(np.exp(table[:, 0, 0]).sum(), 1, atol=1e-12)
    np.testing.assert_allclose(np.exp(table[:, :, 1]).sum(axis=1), 1, atol=1e-12)
    # What is said of the first response does not know the second one.
    assert np.ptp(table[:, :, 0], axis=1).max() < 1e-12
    for junk in (2, 3, 1):
        dirty = [jnp.where(rows == PAD, junk, rows) for rows in every]
        np.testing.assert_allclose(np.asarray(both(*dirty)).reshape(table.shape), expected, atol=1e-12)


def test_probabilities_are_those_of_the_tokens_and_sum_to_one(x64):
    check_against_enumeration(model()(jnp.asarray(PROMPT)))


class Bug(SequencePairs):
    """The scores, with one mistake."""

    def log_probabilities(self, first, second):
        (first, of_first), (second, of_second) = self._cleaned(first), self._cleaned(second)
        tokens, masks = self.mistake(first, second, of_first, of_second)
        logits = self.trunk(tokens[:-1])[len(self.prompt) - 1 :]
        logits = jnp.where(jnp.arange(VOCABULARY)[None, :] == self.never, -1e30, logits)
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[len(self.prompt) :][:, None], axis=1)[:, 0]
        mine, theirs = jnp.split(found, 2)
        return jnp.sum(mine * masks[0]), jnp.sum(theirs * masks[1])

    never = PAD

    def mistake(self, first, second, of_first, of_second):
        return jnp.concatenate([self.prompt, first, second]), (of_first, of_second)


class SwappedMasks(Bug):
    def mistake(self, first, second, of_first, of_second):
        return jnp.concatenate([self.prompt, first, second]), (of_second, of_first)


class SwappedOrder(Bug):
    def mistake(self, first, second, of_first, of_second):
        return jnp.concatenate([self.prompt, second, first]), (of_first, of_second)


class ScoredPadding(Bug):
    def mistake(self, first, second, of_first, of_second):
        return jnp.concatenate([self.prompt, first, second]), (of_first | True, of_second | True)


class PossiblePadding(Bug):
    never = -1


class FloatingSecond(Bug):
    """The second response begins where the first ends, so that places tell how long that was."""

    def mistake(self, first, second, of_first, of_second):
        both = jnp.concatenate([first, second])
        order = jnp.argsort(jnp.concatenate([~of_first, jnp.zeros(SLOTS, bool)]), stable=True)
        return jnp.concatenate([self.prompt, both[order]]), (of_first, of_second)


def test_the_check_passes_the_same_code_without_a_mistake(x64):
    check_against_enumeration(Bug(**vars(model()(jnp.asarray(PROMPT)))))


@pytest.mark.parametrize("bug", [SwappedMasks, SwappedOrder, ScoredPadding, PossiblePadding, FloatingSecond])
def test_a_planted_bug_is_seen(bug, x64):
    with pytest.raises(AssertionError):
        check_against_enumeration(bug(**vars(model()(jnp.asarray(PROMPT)))))


def test_the_loss_is_that_of_both_orders_and_its_mean_over_orders(x64):
    pairs = model()(jnp.asarray(PROMPT))
    a, b = RESPONSES[1], RESPONSES[4]
    orders = [-0.5 * sum(by_hand(pairs.trunk, *order)) for order in ((a, b), (b, a))]
    assert abs(orders[0] - orders[1]) > 1e-3
    both = jnp.asarray(np.stack([a, b]))
    assert float(ordered_loss(pairs, both)) == pytest.approx(orders[0], abs=1e-12)
    assert float(ordered_loss(pairs, both[::-1])) == pytest.approx(orders[1], abs=1e-12)
    assert float(response_loss(pairs, both)) == pytest.approx(np.mean(orders), abs=1e-12)


def test_confidence_and_variance_are_those_of_the_two_scores(x64):
    pairs = model()(jnp.asarray(PROMPT))
    scored = pairs.scored(jnp.asarray(RESPONSES))
    by_first = np.exp([by_hand(pairs.trunk, y, y) for y in RESPONSES])
    p, repeat = by_first[:, 0], by_first[:, 1]
    negative = repeat < p
    # A model that was not trained is not calibrated: some of each.
    assert 0 < negative.sum() < len(p)
    np.testing.assert_array_equal(scored.clipped, negative)
    np.testing.assert_allclose(scored.variance, np.maximum(p * (repeat - p), 0), atol=1e-14)
    np.testing.assert_allclose(scored.confidence, np.minimum(p / repeat, 1), atol=1e-12)
    v = np.asarray(scored.variance)
    np.testing.assert_allclose(scored.confidence, p**2 / (p**2 + v), atol=1e-12)


class Known:
    """A trunk that writes pairs by a given table of responses, token by token, behind one token of prompt."""

    def __init__(self, joint):
        self.joint = joint

    def __call__(self, tokens):
        first, rows = jnp.pad(tokens[1:], (0, 1))[:SLOTS], jnp.asarray(RESPONSES)
        told = jnp.all(rows == first[None], axis=1)
        chances = [jnp.sum(self.joint, axis=1), told @ self.joint]
        padded, found = jnp.pad(tokens[1:], (0, 1)), []
        for k, chance in enumerate(chances):
            for i in range(SLOTS):
                alike = jnp.all(rows[:, :i] == padded[None, k * SLOTS : k * SLOTS + i], axis=1)
                found.append(jnp.log(jax.ops.segment_sum(chance * alike, rows[:, i], VOCABULARY) + 1e-300))
        return jnp.stack(found)


@pytest.mark.parametrize("decoder", [selective_filter, rejection_decoder, top_admitted])
def test_a_calibrated_language_model_hallucinates_at_most_beta(decoder, x64):
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(0.3 * np.ones(len(RESPONSES)), size=200)
    truth = np.where(truth > 0.05, truth, 0)
    truth /= truth.sum(axis=1, keepdims=True)
    # Of the first group little is unknown.
    truth[:100] = truth[0]
    truth[:5] = truth[150]
    group = np.arange(200) // 100
    table = grouped_pairs(jnp.asarray(truth), jnp.asarray(group), 2)

    @jax.jit
    def scored(joint):
        return SequencePairs(Known(joint), jnp.zeros(1, int), SLOTS, END, PAD).scored(jnp.asarray(RESPONSES))

    found = jax.vmap(scored)(table.joint)
    for name in ("probabilities", "variance", "confidence"):
        got, expected = (jax.vmap(lambda t, name=name: getattr(t, name))(some) for some in (found, table))
        np.testing.assert_allclose(got, expected, atol=1e-12)
    p, _, c = (part[group] for part in moments(found))
    assert (p * (truth == 0)).sum() <= (p * (1 - c)).sum() + 1e-9
    keys = jax.random.split(jax.random.key(0), 2)
    run = jax.jit(lambda beta: jax.vmap(lambda t, key: decoder(t, beta)(key, spawn(32))[0])(found, keys))
    some = 0
    for beta in (0.1, 0.5):
        clouds = run(jnp.asarray(beta))
        answers, answered = np.asarray(clouds.values), np.asarray(clouds.log_weights) == 0
        for g in range(2):
            given = np.unique(answers[g][answered[g]])
            some += len(given)
            assert np.all((truth[group == g][:, given] == 0).mean(axis=0) <= beta + 1e-12)
    assert some


def test_what_cannot_be_said_is_not_trusted_and_nothing_is_nan():
    log_first = jnp.array([-jnp.inf, -200.0, -0.5, -1.5])
    scored = ScoredResponses(log_first, jnp.array([-jnp.inf, -197.0, -0.5, -0.6]))
    np.testing.assert_allclose(scored.confidence, [0, np.exp(-3), 1, np.exp(-0.9)], rtol=1e-5)
    assert np.all(np.isfinite(scored.variance)) and np.asarray(scored.variance)[:3].max() == 0

    def doubt(log_first):
        scored = ScoredResponses(log_first, jnp.zeros(4))
        return jnp.sum(scored.variance + scored.confidence)

    assert np.all(np.isfinite(jax.grad(doubt)(log_first)))


def two_sayings(key):
    """Prompts that cannot be told apart: in half of them a word comes up nine times in ten, in half once."""
    coin_key, toss_key = jax.random.split(key)
    chance = jnp.where(jax.random.bernoulli(coin_key), 0.9, 0.1)
    said = jax.random.bernoulli(toss_key, chance, (2,)).astype(int)
    return jnp.asarray(PROMPT), jnp.asarray(RESPONSES)[1 + said]


def sayings_network(rngs):
    """A language model for them."""
    return PairLanguageModel(Memory(rngs), slots=SLOTS, end=END, pad=PAD)


def one_saying(key):
    """A prompt to which there is but one text, of two tokens that differ."""
    del key
    return jnp.asarray(PROMPT), jnp.asarray(RESPONSES)[jnp.array([1, 1])]


def with_end(end):
    """The model's word on the prompt with another end."""
    return PairLanguageModel(Memory(nnx.Rngs(params=0)), slots=SLOTS, end=end, pad=PAD)(jnp.asarray(PROMPT))


@pytest.mark.parametrize("loss", [response_loss, ordered_loss])
def test_training_on_pairs_finds_the_variance_of_what_cannot_be_told_apart(loss):
    config = PairTraining(steps=250, batch=256, learning_rate=3e-2)
    trained, losses = train_pairs(jax.random.key(0), sayings_network, two_sayings, config, loss)
    found = trained(jnp.asarray(PROMPT)).scored(jnp.asarray(RESPONSES[:3]))
    # The truth: .5 and .4^2, and nothing is said without a word. Batches of 256 leave errors of about .01 in either.
    np.testing.assert_allclose(found.probabilities, [0, 0.5, 0.5], atol=0.05)
    np.testing.assert_allclose(found.variance, [0, 0.16, 0.16], atol=0.03)
    assert losses.shape == (250,)


def test_new_prompts_and_weights_do_not_retrace():
    traces = []
    graph, weights = nnx.split(model())

    @eqx.filter_jit
    def confidence(weights, prompt):
        traces.append(1)
        return nnx.merge(graph, weights)(prompt).scored(jnp.asarray(RESPONSES)).confidence

    before = confidence(weights, jnp.asarray(PROMPT))
    after = confidence(jax.tree.map(lambda leaf: 0.5 * leaf, weights), jnp.asarray(PROMPT[::-1].copy()))
    assert len(traces) == 1 and float(jnp.max(jnp.abs(before - after))) > 1e-3


@pytest.mark.parametrize(
    ("message", "act"),
    [
        ("2 slots", lambda: model()(jnp.asarray(PROMPT)).scored(jnp.array([[1, 0, 0]]))),
        ("padding .* before its end", lambda: model()(jnp.asarray(PROMPT)).scored(jnp.array([[0, 1]]))),
        ("listed twice", lambda: model()(jnp.asarray(PROMPT)).scored(jnp.array([[1, 0], [1, 2]]))),
        ("two responses", lambda: ordered_loss(model()(jnp.asarray(PROMPT)), jnp.asarray(RESPONSES[:3]))),
        ("a slot, and an end", lambda: PairLanguageModel(Memory(nnx.Rngs(params=0)), slots=2, end=0, pad=0)),
        ("numbered from 0", lambda: PairLanguageModel(Memory(nnx.Rngs(params=0)), slots=2, end=1, pad=-1)),
        ("numbered from 0", lambda: PairLanguageModel(Memory(nnx.Rngs(params=0)), slots=2, end=-1, pad=0)),
        ("logits for tokens 0 to 3", lambda: with_end(4).scored(jnp.asarray(RESPONSES[3:]))),
        ("0 to 3, got 1 to 7", lambda: model()(jnp.asarray(PROMPT)).scored(jnp.array([[2, 1], [2, 7]]))),
        ("0 to 3, got -1 to 2", lambda: model()(jnp.asarray(PROMPT)).scored(jnp.array([[2, 1], [-1, 1]]))),
        ("0 to 3, got 1 to 7", lambda: model()(jnp.asarray(PROMPT)).log_probability(jnp.array([[2, 1], [2, 7]]))),
        ("single class", lambda: train_pairs(jax.random.key(0), sayings_network, one_saying, PairTraining(steps=1))),
        ("at most zero", lambda: ScoredResponses(jnp.array([0.5]), jnp.array([-1.0]))),
        ("at most zero", lambda: ScoredResponses(jnp.array([jnp.nan]), jnp.array([-1.0]))),
        ("two scores", lambda: ScoredResponses(jnp.array([-1.0, -1.0]), jnp.array([-1.0]))),
        ("above one in all", lambda: ScoredResponses(jnp.array([-0.1, -0.1]), jnp.array([-0.1, -0.1]))),
    ],
)
def test_what_is_no_list_of_responses_is_refused(message, act):
    with pytest.raises(ValueError, match=message):
        act()
