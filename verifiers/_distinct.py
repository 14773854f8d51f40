"""How many different texts there are: resampled populations hold near-copies."""

from collections.abc import Iterable


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!?\"'")


def count_distinct(texts: Iterable[str]) -> int:
    """Number of different texts after case, white space and outer punctuation are set aside.

    Law: does not depend on the order of `texts` or on repetitions.
    """
    return len({_normalize(text) for text in texts})
