"""Pairs of texts: a language model that reads one response before it writes another knows what it does not know."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import floating, is_count
from probinf.verifiers.pairs._checks import check_candidates, check_log_scores, check_vocabulary
from probinf.verifiers.pairs._prediction import EpistemicPrediction

# Finite, so that a gradient through it is zero and no NaN.
_NEVER = -1e30


class ScoredResponses(EpistemicPrediction):
    """K listed responses, each scored twice: plain, and once more by a model that was told it as one expert's answer.

    `log_first` is log p(y | x) and `log_repeat` is log p(y | y, x), in nats. Responses that are not listed keep the
    rest of the probability, so the listed ones need not sum to one; decoders draw among the listed.

    Law: if the model is calibrated for pairs, probabilities and variances are second-order calibrated, and what
    `EpistemicPrediction` promises holds for every response Y and event A that depend on the prompt through the model's
    outputs alone, on average over the prompts of training. That Y is one of a list fixed beforehand is such an event.
    A model whose variance has to be clipped is not calibrated there: `clipped` says which. Such a response, for which
    log p(y | y) < log p(y), has confidence one, and decoders admit it at every beta.

    Raises: ValueError for logs above zero or not a number, and for listed probabilities that sum to more than one.

    Source: arXiv 2402.08733, section 4.1.
    """

    log_first: Float[Array, " K"] = eqx.field(converter=partial(floating, "log_first"))
    log_repeat: Float[Array, " K"] = eqx.field(converter=partial(floating, "log_repeat"))

    def __check_init__(self):
        """Rejects what are no log-probabilities of different responses."""
        check_log_scores(self.log_first, self.log_repeat)

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """p(y | x) of the listed responses."""
        return jnp.exp(self.log_first)

    @property
    def clipped(self) -> Bool[Array, " K"]:
        """Which variances came out negative: the response would be repeated less often than it was given."""
        return self.log_repeat < self.log_first

    @property
    def variance(self) -> Float[Array, " K"]:
        """p(y | x) (p(y | y, x) - p(y | x)), and zero where that is negative."""
        possible = self.log_first > -jnp.inf
        first, repeat = (jnp.where(possible, log, -1.0) for log in (self.log_first, self.log_repeat))
        # The difference by expm1, for the two are nearly equal where the model is sure.
        return jnp.where(possible, -jnp.exp(first + repeat) * jnp.expm1(jnp.minimum(first - repeat, 0.0)), 0.0)

    @property
    def confidence(self) -> Float[Array, " K"]:
        """p(y | x) / p(y | y, x), at most one; 0 where p(y | x) is."""
        possible = self.log_first > -jnp.inf
        first, repeat = (jnp.where(possible, log, -1.0) for log in (self.log_first, self.log_repeat))
        return jnp.where(possible, jnp.exp(jnp.minimum(first - repeat, 0.0)), 0.0)


@dataclasses.dataclass(frozen=True)
class SequencePairs:
    """What a language model says of two responses to one prompt.

    A response is a row of `slots` tokens: its own up to and with the first `end`, then padding. The second response
    begins at the same place however long the first was. What stands after an end is neither read nor scored.

    Law: probabilities of all rows that differ before their end sum to one, for the first response and, given any first,
    for the second; a row without an end is the event that none was written in its slots.
    """

    trunk: Callable[[Int[Array, " positions"]], Float[Array, "positions vocabulary"]]
    prompt: Int[Array, " prompt"]
    slots: int
    end: int
    pad: int

    def log_probabilities(
        self, first: Int[Array, " slots"], second: Int[Array, " slots"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Log p(first | prompt) and log p(second | first, prompt), in nats: one pass of the trunk.

        Raises: ValueError for rows of the wrong length, and tokens, an end or a padding outside of the vocabulary.
        """
        check_candidates(jnp.stack([first, second]), self.slots, self.end, self.pad)
        (first, of_first), (second, of_second) = self._cleaned(first), self._cleaned(second)
        tokens = jnp.concatenate([self.prompt, first, second])
        logits = self.trunk(tokens[:-1])[len(self.prompt) - 1 :]
        check_vocabulary(tokens[len(self.prompt) :], self.end, self.pad, logits.shape[1])
        # A pad comes after the end, of itself: it is no token that a response could hold.
        logits = jnp.where(jnp.arange(logits.shape[1])[None, :] == self.pad, _NEVER, logits)
        of_tokens = jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[len(self.prompt) :][:, None], axis=1)[:, 0]
        mine, theirs = jnp.split(of_tokens, 2)
        return jnp.sum(jnp.where(of_first, mine, 0.0)), jnp.sum(jnp.where(of_second, theirs, 0.0))

    def log_probability(self, responses: Int[Array, "k slots"]) -> Float[Array, ""]:
        """Log p(first, second | prompt), in nats; orders differ, unless the model is calibrated."""
        if responses.shape[0] != 2:
            raise ValueError(f"a model of pairs has probabilities for two responses, got {responses.shape[0]}")
        first, second = self.log_probabilities(responses[0], responses[1])
        return first + second

    def scored(self, candidates: Int[Array, "K slots"]) -> ScoredResponses:
        """Both scores of each of K different responses.

        Raises: ValueError for rows of the wrong length, padding before the end, a response that is listed twice, and
            tokens, an end or a padding outside of the trunk's vocabulary.
        """
        check_candidates(candidates, self.slots, self.end, self.pad, distinct=True)
        if not isinstance(candidates, Tracer):
            # Here, because under vmap the tokens are not seen.
            read = jnp.concatenate([self.prompt, jnp.zeros(2 * self.slots - 1, self.prompt.dtype)])
            vocabulary = jax.eval_shape(self.trunk, read).shape[1]
            check_vocabulary(self._cleaned(candidates)[0], self.end, self.pad, vocabulary)
        return ScoredResponses(*jax.vmap(lambda y: self.log_probabilities(y, y))(candidates))

    def _cleaned(
        self, response: Int[Array, "*batch slots"]
    ) -> tuple[Int[Array, "*batch slots"], Bool[Array, "*batch slots"]]:
        """The response with padding after its end, and which slots are its own."""
        ends = (response == self.end).astype(jnp.int32)
        own = jnp.cumsum(ends, axis=-1) - ends == 0
        return jnp.where(own, response, self.pad), own


class PairLanguageModel(nnx.Module):
    """A decoder of texts as a model of pairs: it reads the prompt, a first response, and then a second one.

    `trunk` maps the ids of a text to the logits of the next token after each, and looks at no later ones. It must have
    positions for the prompt and twice the slots, less one.

    Law: trained to calibration on independent pairs, it is second-order calibrated (arXiv 2402.08733, section 3).

    Raises: ValueError for no slots, and where end and padding are one token or below zero.
    """

    def __init__(
        self,
        trunk: Callable[[Int[Array, " positions"]], Float[Array, "positions vocabulary"]],
        *,
        slots: int,
        end: int,
        pad: int,
    ) -> None:
        if not is_count(slots) or end == pad:
            raise ValueError(f"a response needs a slot, and an end ({end}) that is not the padding ({pad})")
        if min(end, pad) < 0:
            raise ValueError(f"tokens are numbered from 0: neither the end ({end}) nor the padding ({pad}) is below")
        self.trunk, self.slots, self.end, self.pad = trunk, slots, end, pad

    def __call__(self, prompt: Int[Array, " prompt"]) -> SequencePairs:
        """What it says of pairs of responses to a prompt; prompts of one compiled program have one length."""
        return SequencePairs(self.trunk, prompt, self.slots, self.end, self.pad)


def ordered_loss(pairs: SequencePairs, responses: Int[Array, "k slots"]) -> Float[Array, ""]:
    """Minus the log-probability of two responses in the order given, in nats a response: half the work of both orders.

    Law: its mean over a random order is `response_loss`. Independent draws are in random order as they come; where a
    data set lists pairs, draw the order too.
    """
    return -0.5 * pairs.log_probability(responses)
