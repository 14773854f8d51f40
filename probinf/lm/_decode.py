"""One compiled block of decoding, for loops that run on the host."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray

from probinf._particles import take_lanes
from probinf.lm._continue import Continue
from probinf.lm._prompt import Prompt
from probinf.lm._protocol import Generation


@eqx.filter_jit
def start_generation(prompt: Prompt, n: int) -> Generation:
    """Read the prompt for n lanes, compiled once per prompt bucket, n and `max_new_tokens`."""
    return prompt.sample_lanes(jax.random.key(0), (), n)  # a point mass: the key is not used


def decode_block(key: PRNGKeyArray, continuation: Continue, generation: Generation) -> Generation:
    """Draw the next tokens of all lanes, in place.

    The generation's buffers are given up to the result (donated): the argument must not be used again.
    """
    return _decode((key, continuation), generation)


def resample_block(generation: Generation, ancestors: Int[Array, " n"]) -> Generation:
    """Return the generation whose lane i is lane `ancestors[i]`, in place; the argument must not be used
    again.
    """
    return _resample(ancestors, generation)


@eqx.filter_jit(donate="all-except-first")
def _decode(fixed: tuple[PRNGKeyArray, Continue], generation: Generation) -> Generation:
    key, continuation = fixed
    return continuation.sample_lanes(key, generation, generation.length.shape[0])


@eqx.filter_jit(donate="all-except-first")
def _resample(ancestors: Int[Array, " n"], generation: Any) -> Any:
    return take_lanes(generation, ancestors)
