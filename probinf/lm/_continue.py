"""Drawing the next few tokens of every lane."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import choice
from probinf._measure import Distribution, MeaningError
from probinf.lm._protocol import Generation, LanguageModel
from probinf.lm._stop import StopTable


class Continue(Distribution):
    """Draw up to `tokens_per_step` further tokens in each lane.

    A lane pauses at the first token that completes a stop string, and the next continuation goes on from
    there; it is finished for good at a token of `lm.stop_tokens` or when its slots are full. Paused and
    finished lanes idle.

    Law: each token has probability softmax(logits / temperature) given all before it; `log_prob` grows by
    exactly the log-probability of the tokens drawn.

    Raises:
        ValueError: tokens_per_step or the temperature is not positive, or the stop table is of another
        vocabulary.
    """

    lm: LanguageModel
    tokens_per_step: int = eqx.field(static=True)
    stop: StopTable | None
    temperature: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        lm: LanguageModel,
        tokens_per_step: int,
        stop: StopTable | None = None,
        temperature: float | Float[Array, ""] = 1.0,
        *,
        name: str = "continue",
    ) -> None:
        if not is_count(tokens_per_step):
            raise ValueError(f"tokens_per_step must be at least 1, got {tokens_per_step}.")
        if not isinstance(temperature, jax.core.Tracer) and not float(temperature) > 0:
            raise ValueError(f"The temperature must be positive, got {temperature}: use a small one to be greedy.")
        if isinstance(stop, str):
            raise TypeError(f"Compile the stop string first: stop=tokenizer.stop({stop!r}).")
        if stop is not None and stop.table.shape[1] != lm.vocabulary_size:
            raise ValueError(
                f"The stop table knows {stop.table.shape[1]} tokens but the model has {lm.vocabulary_size}."
            )
        self.lm = lm
        self.tokens_per_step = tokens_per_step
        self.stop = stop
        self.temperature = jnp.asarray(temperature, float)
        self.name = name

    def sample(self, key: PRNGKeyArray, x: Generation) -> Generation:
        """Refuse: lanes share one network evaluation."""
        raise TypeError("A Continue runs whole clouds: use sample_lanes, as Draw does.")

    def sample_lanes(self, key: PRNGKeyArray, values: Generation, n: int) -> Generation:
        """Draw the tokens of all n lanes, one network evaluation per token."""
        return self._run(values, n, jax.random.split(key, self.tokens_per_step), choice)

    def force_lanes(
        self,
        key: PRNGKeyArray,
        values: Generation,
        n: int,
        tokens: Int[Array, "k"] | Int[Array, "k n"],
        forced: Bool[Array, " n"],
    ) -> Generation:
        """Draw as `sample_lanes` does, but let the `forced` lanes write the given `tokens_per_step` tokens.

        The tokens are the same for all lanes, or each lane has a column. A lane that pauses or finishes on the way
        leaves the rest of them. `log_prob` counts forced tokens like others.
        """

        def pick(row: tuple, logits: Float[Array, "n vocabulary"]) -> Int[Array, " n"]:
            key, token = row
            # A forced token is a certain draw: nothing else differs from a free lane.
            certain = jnp.where(jnp.arange(logits.shape[1])[None, :] == token.reshape(-1, 1), 0.0, -jnp.inf)
            return choice(key, jnp.where(forced[:, None], certain, logits))

        return self._run(values, n, (jax.random.split(key, self.tokens_per_step), tokens), pick)

    def replay_lanes(self, values: Generation, n: int, tokens: Int[Array, "k"] | Int[Array, "k n"]) -> Generation:
        """Let all lanes write the given tokens, the same or a column each; nothing is drawn."""
        return self._run(values, n, tokens, lambda token, logits: jnp.broadcast_to(token, (n,)))

    def _run(self, values: Generation, n: int, rows: Any, pick: Callable[[Any, Array], Array]) -> Generation:
        """One token per row of `rows`, chosen by `pick(row, logits)`, in every lane that has not paused or ended."""
        lanes = jnp.arange(n)
        resumed_at = jnp.where(values.stopped, values.length, values.resumed_at)
        reading = (
            jnp.zeros(n, jnp.int32) if self.stop is None else _read(self.stop, values.tokens, resumed_at, values.length)
        )
        start = eqx.tree_at(
            lambda g: (g.stopped, g.resumed_at, g.latest_log_prob),
            values,
            (jnp.zeros(n, bool), resumed_at, jnp.zeros_like(values.log_prob)),
        )

        def step(carry: tuple[Generation, Int[Array, " n"]], row: Any) -> tuple:
            now, reading = carry
            active = ~(now.finished | now.stopped)
            logits = self.lm.logits(now.state) / self.temperature.astype(now.log_prob.dtype)
            # Logits that hold NaN give no token; the log-probability below is NaN then, and says so.
            token = jnp.maximum(pick(row, logits), 0)
            log_p = logits[lanes, token] - jax.nn.logsumexp(logits, axis=-1)
            log_p = jnp.where(active, log_p, 0.0)
            slot = jnp.minimum(now.length, now.tokens.shape[1] - 1)
            length = now.length + active
            ended = functools.reduce(jnp.logical_or, (token == t for t in self.lm.stop_tokens), jnp.zeros(n, bool))
            stopped = now.stopped
            if self.stop is not None:
                reading = jnp.where(active, self.stop.step(reading, token), reading)
                stopped = stopped | (active & self.stop.found(reading))
            after = Generation(
                tokens=now.tokens.at[lanes, slot].set(jnp.where(active, token, now.tokens[lanes, slot])),
                length=length,
                finished=now.finished | (active & (ended | (length == now.tokens.shape[1]))),
                stopped=stopped,
                resumed_at=now.resumed_at,
                log_prob=now.log_prob + log_p,
                latest_log_prob=now.latest_log_prob + log_p,
                state=self.lm.advance(now.state, token, active),
            )
            return (after, reading), None

        (after, _), _ = lax.scan(step, (start, reading), rows)
        return after

    def prefix(self, final: Generation) -> Generation:
        """Refuse: the text before a pause does not say how many tokens each earlier continuation drew."""
        raise MeaningError("A Continue cannot be retraced by conditional SMC: use plain SMC for texts.")

    def log_density(self, x: Generation) -> Float[Array, ""]:
        """Log-probability of the tokens that the latest continuation drew, of one lane."""
        return x.latest_log_prob

    def log_density_lanes(self, values: Generation, n: int) -> Float[Array, " n"]:
        """Log-probability of the tokens that the latest continuation drew."""
        del n
        return values.latest_log_prob


def _read(
    stop: StopTable, tokens: Int[Array, "n slots"], begin: Int[Array, " n"], end: Int[Array, " n"]
) -> Int[Array, " n"]:
    """The automaton's state after each lane's tokens from `begin` to `end`."""

    def step(state: Int[Array, " n"], column: tuple) -> tuple:
        slot, token = column
        inside = (begin <= slot) & (slot < end)
        return jnp.where(inside, stop.step(state, token), state), None

    slots = jnp.arange(tokens.shape[1])
    return lax.scan(step, jnp.zeros(tokens.shape[0], jnp.int32), (slots, tokens.T))[0]
