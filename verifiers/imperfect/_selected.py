"""The utility of a number of attempts that was chosen by its utility."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key
from probinf.verifiers.imperfect._checks import as_scores
from probinf.verifiers.imperfect._intervals import Interval, _check_level


class Selected(NamedTuple):
    """A chosen column and what it is worth.

    `index`: the column with the largest mean over all tasks, and `naive` that mean, which is too high. `utility`: of
    columns that were chosen without the tasks they are judged on, `interval` its interval, `by_fold` those columns.
    """

    index: Int[Array, ""]
    naive: Float[Array, ""]
    utility: Float[Array, ""]
    interval: Interval
    by_fold: Int[Array, " folds"]


def select_attempts(key: PRNGKeyArray, scores: Any, *, folds: int = 10, level: float = 0.95) -> Selected:
    """Chooses among K by scores of tasks, such as `estimate_utilities`, and says what the choice is worth.

    The largest of many means is too high where they are estimated (the winner's curse). Each fold of tasks is judged at
    the column that is best on the others.

    Law: `utility` is unbiased for the mean utility of choosing from a share 1 - 1 / folds of the tasks, if folds are
    equal; `interval` holds that with `level` as the number of tasks grows.

    Raises: ValueError for folds below two or above the number of tasks, and a level outside (0, 1).

    Source: cross-fitting as in Chernozhukov et al., Econometrics Journal 21 (2018).
    """
    check_key(key)
    _check_level(level)
    scores = as_scores(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores are an array [tasks, K], got shape {scores.shape}")
    n = scores.shape[0]
    if not 2 <= folds <= n:
        raise ValueError(f"{n} tasks can be split into 2 to {n} folds, got {folds}")
    fold = jax.random.permutation(key, jnp.arange(n) % folds)
    member = jax.nn.one_hot(fold, folds, dtype=scores.dtype)
    inside = member.T @ scores
    total = jnp.sum(scores, axis=0, keepdims=True)
    chosen = jnp.argmax((total - inside) / (n - jnp.sum(member, axis=0))[:, None], axis=1)
    judged = jnp.take_along_axis(scores, chosen[fold][:, None], axis=1)[:, 0]
    utility, error = jnp.mean(judged), jnp.std(judged, ddof=1) / jnp.sqrt(n)
    reach = -NormalDist().inv_cdf((1 - level) / 2) * error
    means = total[0] / n
    best = jnp.argmax(means)
    return Selected(best, means[best], utility, Interval(utility - reach, utility + reach), chosen)
