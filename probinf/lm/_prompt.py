"""The start of a generation, as a distribution that puts all its mass on one prompt."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._measure import Distribution
from probinf.lm._protocol import Generation, LanguageModel

_SMALLEST_BUCKET = 32


class Prompt(Distribution):
    """Every lane has read the prompt and written nothing; room is kept for `max_new_tokens` tokens.

    The prompt is read once for all lanes. It is padded to a power of two, so that prompts of similar length
    share one compilation.

    Law: a point mass, log-density zero.

    Raises:
        ValueError: the prompt is empty, has an identifier outside the vocabulary, or leaves no room in the
        context.
    """

    lm: LanguageModel
    prompt_ids: Int[Array, " bucket"]
    prompt_length: Int[Array, ""]
    max_new_tokens: int = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __init__(
        self,
        lm: LanguageModel,
        prompt_ids: Sequence[int] | Int[np.ndarray, " positions"] | Int[Array, " positions"],
        max_new_tokens: int,
        *,
        name: str = "prompt",
    ) -> None:
        ids = np.asarray(prompt_ids)
        if ids.ndim != 1 or ids.size == 0:
            raise ValueError(f"The prompt must be a non-empty list of token identifiers, got shape {ids.shape}.")
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"Token identifiers must be integers, got {ids.dtype}: encode the text first.")
        if ids.min() < 0 or ids.max() >= lm.vocabulary_size:
            raise ValueError(
                f"Token identifiers must lie in [0, {lm.vocabulary_size}), got {ids.min()} to {ids.max()}."
            )
        if not is_count(max_new_tokens):
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}.")
        limit = lm.context_length
        if limit is not None and ids.size + max_new_tokens > limit:
            raise ValueError(
                f"The prompt has {ids.size} tokens and max_new_tokens is {max_new_tokens}, together over "
                f"the context length {limit}: shorten one of them."
            )
        bucket = max(_SMALLEST_BUCKET, 1 << (ids.size - 1).bit_length())
        self.lm = lm
        self.prompt_ids = jnp.asarray(np.pad(ids, (0, bucket - ids.size)), jnp.int32)
        self.prompt_length = jnp.asarray(ids.size, jnp.int32)
        self.max_new_tokens = max_new_tokens
        self.name = name

    def sample(self, key: PRNGKeyArray, x: object) -> Generation:
        """Return a generation of one lane, without the lane axis of its own leaves' owner: use
        `sample_lanes`.
        """
        raise TypeError("A Prompt starts whole clouds: use sample_lanes, as Draw does.")

    def sample_lanes(self, key: PRNGKeyArray, values: object, n: int) -> Generation:
        """Read the prompt for n lanes."""
        del key, values
        return Generation(
            tokens=jnp.zeros((n, self.max_new_tokens), jnp.int32),
            length=jnp.zeros(n, jnp.int32),
            finished=jnp.zeros(n, bool),
            stopped=jnp.zeros(n, bool),
            resumed_at=jnp.zeros(n, jnp.int32),
            log_prob=jnp.zeros(n),
            latest_log_prob=jnp.zeros(n),
            state=self.lm.start(self.prompt_ids, n, self.max_new_tokens, self.prompt_length),
        )

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Zero."""
        del x
        return jnp.zeros(())

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Zero in each lane."""
        del values
        return jnp.zeros(n)
