"""Particle filtering of texts, with the target made exact."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinf._measure import Factor
from probinf._particles import Particles
from probinf._primitives import Draw, Resample, Reweight, Twist, While
from probinf._sampler import Sampler
from probinf.lm import Continue, Generation, LanguageModel, Prompt, StopTable
from probinf.resampling import Scheme, Systematic
from probinf.samplers._until_stop import UntilStop

_SYSTEMATIC = Systematic()


def particle_filtering(
    lm: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    twist: Factor | Callable,
    accepted: Factor | Callable,
    max_new_tokens: int,
    tokens_per_step: int = 8,
    stop: StopTable | None = None,
    pause: StopTable | None = None,
    temperature: float | Float[Array, ""] = 1.0,
    ess: float | None = 0.5,
    islands: int = 1,
    scheme: Scheme = _SYSTEMATIC,
) -> Sampler:
    """Writes texts step by step; between steps, copies of promising texts replace those that look lost.

    Law: () -> p_LM(text | prompt) * accepted(text) (PROPER), whatever the twist, as long as it is positive
    on every prefix of an accepted text: it steers, and is divided out. With a verifier, `exp(log_z)` is an
    unbiased estimate of P(accepted); weighted averages over the lanes are consistent for p_LM(. |
    accepted).

    Here p_LM is the model at `temperature`. A text ends at a stop token of the model, at a string of `stop`,
    or after `max_new_tokens` tokens. A step is `tokens_per_step` tokens, or fewer where a string of `pause`
    (a line end between steps of reasoning) completes. `twist` and `accepted` are factors of a `Generation`,
    or functions of one value that return a log-density. Nothing is resampled after the last step, which
    would only copy; and the run is over as soon as all texts are: a further step would draw nothing, and
    resampling keeps the expected measure.

    With `islands` > 1 the cloud is that many filters side by side, see `Resample`.

    Raises:
        ValueError: the prompt is empty or does not fit in the context, a knob is out of range, or both `stop`
            and `pause` are given.

    Source: arXiv 2502.01618, algorithm 1. There the reward model's score is the target and each step
    resamples; here it is a twist (arXiv 2404.17546) towards a stated target, and resampling waits for
    `ess`.
    """
    if stop is not None and pause is not None:
        raise ValueError("give either stop, which ends the text, or pause, which ends a step, not both")
    continuation = Continue(lm, tokens_per_step, stop if pause is None else pause, temperature)
    write = Draw(continuation if stop is None else UntilStop(continuation))
    # A pause may cut every step down to one token.
    steps = -(-max_new_tokens // tokens_per_step) if pause is None else max_new_tokens
    sampler = Draw(Prompt(lm, prompt_ids, max_new_tokens)) >> write
    if steps > 1:
        stage = Twist(twist) >> Resample(scheme, ess, islands, unfinished) >> write
        sampler = sampler >> While(stage, any_unfinished, steps - 1)
    return sampler >> Reweight(accepted)


def unfinished(values: Generation) -> Bool[Array, " N"]:
    """Which texts still go on."""
    return ~values.finished


def any_unfinished(cloud: Particles[Generation]) -> Bool[Array, ""]:
    """Whether some text still goes on."""
    return jnp.any(unfinished(cloud.values))
