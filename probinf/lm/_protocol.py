"""What a language model is here, and the value that a cloud of continuations carries."""

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int


class LanguageModel(eqx.Module):
    """A law of the next token given a prompt and the tokens since, for N lanes at once.

    Law: exp(log_probs) sums to one in each lane, and depends on the prompt and the tokens advanced over only.

    `stop_tokens` are the identifiers that end a text.
    """

    stop_tokens: eqx.AbstractVar[tuple[int, ...]]

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """Number of tokens."""

    @property
    @abstractmethod
    def context_length(self) -> int | None:
        """The most positions, prompt and continuation together, that are looked back on; None: no bound."""

    @abstractmethod
    def start(
        self,
        prompt_ids: Int[Array, " positions"],
        lanes: int,
        max_new_tokens: int,
        prompt_length: Int[Array, ""] | int | None = None,
    ) -> Any:
        """Read the prompt once for all lanes; only the first `prompt_length` identifiers count (default:
        all).
        """

    @abstractmethod
    def logits(self, state: Any) -> Float[Array, "n vocabulary"]:
        """Unnormalized log-probabilities of each lane's next token."""

    @abstractmethod
    def advance(self, state: Any, tokens: Int[Array, " n"], active: Bool[Array, " n"] | None = None) -> Any:
        """Append one token to each lane; lanes that are not `active` stay as they are."""

    def log_probs(self, state: Any) -> Float[Array, "n vocabulary"]:
        """Normalized log-probabilities of each lane's next token."""
        return jax.nn.log_softmax(self.logits(state), axis=-1)


class Generation(eqx.Module):
    """N texts being written, the value of a language model's cloud.

    `tokens[i, :length[i]]` are the tokens drawn so far, the rest is zero. A lane is `finished`, for good, at
    a token that ends the text or at the last slot; it is `stopped` when its latest continuation ended at a
    stop string, and the next one goes on from there, looking for stop strings from token `resumed_at` on.
    `log_prob` is the log-probability of all tokens drawn, under the law they were drawn from, and
    `latest_log_prob` that of the tokens of the latest continuation.
    """

    tokens: Int[Array, "n slots"]
    length: Int[Array, " n"]
    finished: Bool[Array, " n"]
    stopped: Bool[Array, " n"]
    resumed_at: Int[Array, " n"]
    log_prob: Float[Array, " n"]
    latest_log_prob: Float[Array, " n"]
    state: Any


@runtime_checkable
class TextModel(Protocol):
    """A language model with its tokenizer, as `load_model` returns them."""

    @property
    def lm(self) -> LanguageModel:
        """The model."""
        ...

    @property
    def tokenizer(self) -> Any:
        """What turns text into identifiers and back (`encode`, `decode`, `chat`, `stop`)."""
        ...

    @property
    def name(self) -> str:
        """What reports call it."""
        ...
