"""Best-of-n: whole texts from the model, and those that a verifier accepts."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, Float, Int

from probinf._measure import Factor
from probinf._primitives import Draw, Reweight
from probinf._sampler import Sampler
from probinf.lm import Continue, LanguageModel, Prompt, StopTable
from probinf.samplers._until_stop import UntilStop


def best_of_n(
    lm: LanguageModel,
    prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
    *,
    accepted: Factor | Callable,
    max_new_tokens: int,
    stop: StopTable | None = None,
    temperature: float | Float[Array, ""] = 1.0,
) -> Sampler:
    """Draws each lane's text from the model to its end, and weighs it by `accepted`.

    Law: () -> p_LM(text | prompt) * accepted(text) (PROPER). With a verifier, `exp(log_z)` is the accepted
    fraction, an unbiased estimate of P(accepted), and each lane that is left is an exact draw from
    p_LM(. | accepted).

    Here p_LM is the model at `temperature`. A text ends at a stop token of the model, at a string of `stop`,
    or after `max_new_tokens` tokens. `accepted` is a factor of a `Generation`, or a function of one value
    that returns a log-density.

    Raises:
        ValueError: the prompt is empty or does not fit in the context, or a knob is out of range.

    Source: the baseline "best of n" of arXiv 2502.01618, with a verifier in place of its reward model.
    """
    continuation = Continue(lm, max_new_tokens, stop, temperature)
    text = continuation if stop is None else UntilStop(continuation)
    return Draw(Prompt(lm, prompt_ids, max_new_tokens)) >> Draw(text) >> Reweight(accepted)
