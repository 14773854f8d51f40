"""A reward that asks the model itself: how likely is a confident word after a few words put into its mouth?"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._reward import Reward


class ConfidenceProbe(Reward):
    """The chance that the model goes on with a confident word, once the probe's words stand after the text.

    Law: r = P(next in `confident`) / P(next in `confident` or `doubtful`) given the text and `probe_ids`; without
    `doubtful`, against all other words. The text is not changed.

    A cache of fixed size must have room for the probe behind the last token: give the writer `max_new_tokens` larger by
    its length.

    Raises: ValueError for tokens outside the vocabulary, none that are confident, or one that is both.

    Source: arXiv 2505.04881, its confidence detector.
    """

    lm: LanguageModel
    probe_ids: Int[Array, " tokens"]
    confident: tuple[int, ...] = eqx.field(static=True)
    doubtful: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        lm: LanguageModel,
        probe_ids: Sequence[int],
        confident: Sequence[int],
        doubtful: Sequence[int] | None = None,
    ) -> None:
        size = lm.vocabulary_size
        others = [token for token in range(size) if token not in set(confident)] if doubtful is None else doubtful
        if not all(0 <= token < size for token in (*probe_ids, *confident, *others)):
            raise ValueError(f"the tokens of a probe must lie in [0, {size})")
        if not confident or not others or set(confident) & set(others):
            raise ValueError("name some confident tokens and others that are doubtful: none may be both")
        self.lm = lm
        self.probe_ids = jnp.asarray(probe_ids, jnp.int32)
        self.confident, self.doubtful = tuple(confident), tuple(others)

    def log_odds(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-odds of a confident word in each lane."""
        state = values.state
        for token in self.probe_ids:
            state = self.lm.advance(state, jnp.broadcast_to(token, (n,)))
        log_p = self.lm.log_probs(state)
        chance = lambda tokens: jax.nn.logsumexp(log_p[:, jnp.array(tokens)], axis=1)  # noqa: E731
        return chance(self.confident) - chance(self.doubtful)
