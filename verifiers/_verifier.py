"""The protocol of exact text verifiers: what is accepted, and which prefixes can still be accepted."""

import abc
import math

import equinox as eqx

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def check_strength(strength: float) -> None:
    """Refuse a strength that would make a potential zero or infinite.

    Raises: ValueError when `strength` is not a finite number.
    """
    if not math.isfinite(strength):
        raise ValueError(f"strength must be a finite number, for example 1.5, but it is {strength}.")


class Verifier(eqx.Module):
    """An exact constraint on text, with a potential that guides particles towards it.

    A verifier writes `name`, `accepts` and `alive`, and may write `progress`, `instruction` and `rejection`.

    Law: if `alive(prefix)` is false, `accepts` is false for the prefix and for each text that starts with it.
    Each finite `progress` is valid: a twist made of `log_potential` is divided out at the end, so it
    changes the effort and never the target.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What the verifier checks, as `parse_verifier` reads it."""

    @abc.abstractmethod
    def accepts(self, text: str) -> bool:
        """Whether the finished `text` satisfies the constraint."""

    @abc.abstractmethod
    def alive(self, prefix: str) -> bool:
        """Whether a text that starts with `prefix` may be accepted; false must be certain."""

    def progress(self, text: str, finished: bool) -> float:
        """Finite score of a living prefix, or of an accepted text when `finished`, in nats."""
        del text, finished
        return 0.0

    def instruction(self) -> str:
        """The constraint as a request to a language model."""
        return f"Write a text that passes this check: {self.name}."

    def rejection(self, text: str) -> str:
        """Why a finished text that is not accepted fails, as a short clause."""
        del text
        return f"{self.name} does not hold"

    def log_potential(self, prefix: str, finished: bool) -> float:
        """Log-potential of the text so far, in nats.

        Law: -inf only where no continuation is accepted; for a finished text, -inf exactly where `accepts` is
        false.

        A prefix that ends inside a character of several bytes decodes to replacement characters that the next
        token takes back, so an unfinished prefix is judged without them.
        """
        if finished:
            return self.progress(prefix, True) if self.accepts(prefix) else -math.inf
        settled = prefix.rstrip(REPLACEMENT)
        return self.progress(settled, False) if self.alive(settled) else -math.inf
