"""Success rates from pools of samples, and intervals by resampling prompts, seeds and replicates."""

import math

import numpy as np
from jaxtyping import Bool, Float

LEVEL = 0.95
RESAMPLES = 2000


def pass_at(accepted: Bool[np.ndarray, "*pools samples"], k: int) -> Float[np.ndarray, "*pools"] | float:
    """Chance that at least one of k samples is accepted, from a pool of samples.

    Law: unbiased: one minus the chance that k samples drawn from the pool without replacement all fail.

    Raises: ValueError where the pool has fewer than k samples.

    Source: arXiv 2107.03374, equation 1.
    """
    samples = accepted.shape[-1]
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs a pool of at least {k} samples, got {samples}.")
    failures = samples - accepted.sum(-1)
    ways = np.array([math.comb(int(count), k) for count in failures.ravel()], float)
    return 1.0 - (ways / math.comb(samples, k)).reshape(failures.shape)


def rejection_success(
    accepted: Bool[np.ndarray, " samples"],
    tokens: Float[np.ndarray, " samples"],
    budget: float,
    *,
    orders: int = 500,
    seed: int = 0,
) -> float:
    """Chance that sampling until acceptance succeeds before more than `budget` tokens are drawn.

    The pool's samples are drawn in random orders, without replacement; a sample that the budget cuts off is
    lost. A budget beyond the pool uses the whole pool, which underestimates.
    """
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(accepted)), (orders, 1)), axis=1)
    affordable = np.cumsum(tokens[order], axis=1) <= budget
    return float(np.mean(np.any(accepted[order] & affordable, axis=1)))


class Bootstrap:
    """The hierarchical bootstrap: prompts, then seeds within prompts, then replicates within seeds.

    The prompts drawn are the same for all quantities, so that differences of two methods are paired by
    prompt; seeds and replicates are drawn anew for each, as they were in the experiment.
    """

    def __init__(self, prompts: int, *, seed: int = 0, resamples: int = RESAMPLES) -> None:
        self.rng = np.random.default_rng(seed)
        self.prompts = self.rng.integers(prompts, size=(resamples, prompts))

    def means(self, values: Float[np.ndarray, "prompts seeds replicates"]) -> Float[np.ndarray, " resamples"]:
        """The mean over prompts of the mean over seeds and replicates, in each resample; NaN marks no replicate."""
        return self.prompt_means(values).mean(-1)

    def prompt_means(
        self, values: Float[np.ndarray, "prompts seeds replicates"]
    ) -> Float[np.ndarray, "resamples prompts"]:
        """The mean over seeds and replicates, of each prompt drawn."""
        _, seeds, _ = values.shape
        full = values[..., ~np.isnan(values).all((0, 1))]
        replicates = full.shape[-1]
        shape = (*self.prompts.shape, seeds)
        drawn_seeds = self.rng.integers(seeds, size=shape)[..., None]
        drawn_replicates = self.rng.integers(replicates, size=(*shape, replicates))
        return full[self.prompts[..., None, None], drawn_seeds, drawn_replicates].mean((-2, -1))


def interval(resampled: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """The central interval of level 95 % of resampled values."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
