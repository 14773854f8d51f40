"""Yesterday's posterior is today's prior."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from probinf.distributions import GMM


def stream_of(update: Callable[[GMM, Any], GMM], prior: GMM, tasks: Iterable[Any]) -> list[GMM]:
    """The posterior after each of several tasks, each the prior of the next; `update(prior, data)` is any update.

    Law: with an exact update the last one is the posterior given all tasks, in whatever order they come; with any
    other, whatever errors it makes add up.
    """
    beliefs = []
    for data in tasks:
        prior = update(prior, data)
        beliefs.append(prior)
    return beliefs
