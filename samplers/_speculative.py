"""Speculative sampling: a small model drafts, a large one corrects, and the law is the large one's to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import alike, count, real
from probinf._choice import choice, flip
from probinf._measure import Distribution
from probinf._primitives import Draw
from probinf._sampler import Sampler
from probinf.lm import Continue, Generation, LanguageModel, Prompt
from probinf.samplers._model_pair import ModelPair


class Speculated(NamedTuple):
    """An outcome, and whether it is the draft's."""

    index: Int[Array, "..."]
    accepted: Bool[Array, "..."]


def speculative_choice(
    key: PRNGKeyArray, log_target: Float[Array, "*lanes outcomes"], log_draft: Float[Array, "*lanes outcomes"]
) -> Speculated:
    """Draws from the draft, accepts with chance min(1, p / q), and otherwise draws from what is left of the target.

    Law: index ~ p exactly, whatever q, and P(accepted) = 1 - TV(p, q) (EXACT). What is left is (p - q)+, normalized.
    The logits need not be normalized. An outcome is a token, or a whole step where the log-densities of all steps are
    at hand.

    Source: Leviathan et al., arXiv 2211.17192, theorem 1; Chen et al., arXiv 2302.01318, algorithm 2.
    """
    log_target, log_draft = real("log_target", log_target), real("log_draft", log_draft)
    alike(log_target=log_target, log_draft=log_draft)
    draft_key, accept_key, rest_key = jax.random.split(key, 3)
    log_p, log_q = jax.nn.log_softmax(log_target), jax.nn.log_softmax(log_draft)
    drafted = choice(draft_key, log_q)
    accepted = flip(accept_key, jnp.take_along_axis(log_p - log_q, drafted[..., None], axis=-1)[..., 0])
    return Speculated(jnp.where(accepted, drafted, choice(rest_key, _left(log_p, log_q))), accepted)


class SpeculativeContinue(Distribution):
    """Continues a text by so many tokens, each drafted by the small model of a pair and corrected by the large one.

    Law: that of `Continue` with the target alone (EXACT). On average a share 1 - TV(p, q) of the drafted tokens is
    kept. Here both models read token by token: what a block of drafts saves is time, and its law is the same.
    """

    pair: ModelPair
    tokens_per_step: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="p_LM")

    def __check_init__(self):
        """Rejects what is no number of tokens."""
        count("tokens_per_step", self.tokens_per_step)

    def sample(self, key: PRNGKeyArray, x: Generation) -> Generation:
        """Refuse, as a continuation does."""
        return Continue(self.pair, 1).sample(key, x)

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """Draw the tokens of all n lanes."""
        write = Continue(self.pair, 1)

        def token(now: Generation, key: PRNGKeyArray) -> tuple[Generation, None]:
            drawn = speculative_choice(key, self.pair.logits(now.state), self.pair.drafting().logits(now.state))
            return write.replay_lanes(now, n, drawn.index[None, :]), None

        after, _ = jax.lax.scan(token, values, jax.random.split(key, self.tokens_per_step))
        return eqx.tree_at(lambda g: g.latest_log_prob, after, after.log_prob - values.log_prob)

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Log-probability under the target of the tokens that the latest continuation drew, of one lane."""
        return x.latest_log_prob

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-probability under the target of the tokens that the latest continuation drew."""
        del n
        return values.latest_log_prob


def speculative(
    target: LanguageModel,
    draft: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    max_new_tokens: int,
) -> Sampler:
    """Writes texts of the target with tokens that the draft proposes.

    Law: () -> p_target(text) (EXACT), whatever the draft.

    Raises: ValueError where the models differ in vocabulary or stop tokens, or the prompt does not fit.

    Source: Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318.
    """
    pair = ModelPair(target, draft)
    return Draw(Prompt(pair, prompt_ids, max_new_tokens)) >> Draw(SpeculativeContinue(pair, max_new_tokens))


def _left(log_p: Float[Array, "*lanes outcomes"], log_q: Float[Array, "*lanes outcomes"]) -> Array:
    """The logarithm of (p - q)+, unnormalized; that of p where nothing is left."""
    more = log_p > log_q
    # Not log(1 - exp(gap)): exp(gap) rounds to one where the laws are close, though something is left.
    gap = jnp.where(more, log_q - log_p, -1.0)
    left = jnp.where(more, log_p + jnp.log(-jnp.expm1(gap)), -jnp.inf)
    return jnp.where(jnp.any(left > -jnp.inf, axis=-1, keepdims=True), left, log_p)
