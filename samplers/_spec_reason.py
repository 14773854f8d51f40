"""SpecReason: a small model drafts whole steps, and a judge decides which of them the large one writes anew."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._measure import Distribution, MeaningError
from probinf._primitives import Draw, While
from probinf._sampler import Sampler
from probinf.lm import Continue, Generation, LanguageModel, Prompt, Reward, StopTable, log_odds_of
from probinf.samplers._model_pair import ModelPair
from probinf.samplers._own_target import OwnTarget
from probinf.samplers._particle_filtering import any_unfinished


def spec_reason(
    target: LanguageModel,
    draft: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    judge: Reward,
    *,
    max_steps: int,
    tokens_per_step: int,
    threshold: float | Float[Array, ""] = 0.7,
    step_end: StopTable | None = None,
    temperature: float | Float[Array, ""] = 1.0,
) -> Sampler:
    """Writes texts step by step: a drafted step stays if the judge gives it the threshold, or the target writes it.

    Law: () -> prod_t K(step_t | text before) (CHANGES_TARGET), where

        K(y | x) = q(y | x) [r(x, y) >= threshold] + Q(r < threshold | x) p(y | x):

    neither model's law, nor that of either model given that the judge accepts, and not between the two: it can be
    farther from the target than the draft is. It is the draft's with the threshold zero, and the target's where no
    draft reaches it. The sampler beside it that keeps the target's law is `speculative`. The mass Q needs a sum over
    all drafts, so that `log_prob` tells the log-probability of each step under the model that wrote it.

    A judge's grade of seven of nine or ten is a reward of about .7.

    Raises: ValueError where the models differ in vocabulary or stop tokens, or a knob is out of range.

    Source: SpecReason, arXiv 2504.07891.
    """
    pair = ModelPair(target, draft)
    step = Draw(JudgedStep(pair, judge, threshold, tokens_per_step, step_end, temperature))
    sampler = Draw(Prompt(pair, prompt_ids, max_steps * tokens_per_step)) >> step
    return OwnTarget(sampler if max_steps == 1 else sampler >> While(step, any_unfinished, max_steps - 1))


class JudgedStep(Distribution):
    """A step of the draft where the judge accepts it, and one of the target where it does not.

    Law: K(y | x) = q(y | x) [r(x, y) >= threshold] + Q(r < threshold | x) p(y | x). No reward (NaN) is no acceptance.

    Raises: ValueError for a threshold outside [0, 1].
    """

    written: Continue
    judge: Reward
    threshold: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        pair: ModelPair,
        judge: Reward,
        threshold: float | Float[Array, ""],
        tokens_per_step: int,
        step_end: StopTable | None = None,
        temperature: float | Float[Array, ""] = 1.0,
    ) -> None:
        if not isinstance(threshold, Tracer) and not 0 <= float(threshold) <= 1:
            raise ValueError(f"threshold is a probability, in [0, 1], got {threshold}")
        self.written = Continue(pair, tokens_per_step, step_end, temperature)
        self.judge = judge
        self.threshold = jnp.asarray(threshold, float)
        self.name = "judged step"

    @property
    def traceable(self) -> bool:
        """Whether the judge is."""
        return self.judge.traceable

    def sample(self, key: PRNGKeyArray, x: Generation) -> Generation:
        """Refuse, as a continuation does."""
        return self.written.sample(key, x)

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """Draft in all lanes, judge, and read the drafts that are accepted while the others are written anew."""
        draft_key, target_key = jax.random.split(key)
        drafting = eqx.tree_at(lambda c: c.lm, self.written, self.written.lm.drafting())  # pyright: ignore
        drafted: Generation = drafting.sample_lanes(draft_key, values, n)
        log_odds = self.judge.log_odds(drafted, n)
        # In the reward's precision, so that a reward equal to the threshold passes.
        accepted = log_odds >= log_odds_of(self.threshold.astype(log_odds.dtype))
        steps = jnp.arange(self.written.tokens_per_step)[:, None]
        slots = jnp.minimum(values.length[None, :] + steps, values.tokens.shape[1] - 1)
        tokens = drafted.tokens[jnp.arange(n)[None, :], slots]
        after = self.written.force_lanes(target_key, values, n, tokens, accepted)
        told = lambda g: (g.log_prob, g.latest_log_prob)  # noqa: E731
        logs = [jnp.where(accepted, a, b) for a, b in zip(told(drafted), told(after), strict=True)]
        return eqx.tree_at(told, after, tuple(logs))

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Not a function of the text alone.

        Raises: MeaningError always.
        """
        del x
        raise MeaningError("the density of a judged step needs the mass of all drafts that are rejected")
