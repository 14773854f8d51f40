"""Answers by enumeration, and the published procedures, all in NumPy."""

import itertools

import numpy as np


def tree(weights, p, t, f, attempts):
    """(correct, wrong, abstain, samples, correct if forced) by walking all sequences of draws.

    A draw is (correct?, accepted?); each leaf of the tree is one sequence of `attempts` draws.
    """
    totals = np.zeros(5)
    for weight, pi, ti, fi in zip(weights, p, t, f, strict=True):
        chance = {
            (True, True): pi * ti,
            (True, False): pi * (1 - ti),
            (False, True): (1 - pi) * fi,
            (False, False): (1 - pi) * (1 - fi),
        }
        for draws in itertools.product(chance, repeat=attempts):
            mass = weight * np.prod([chance[d] for d in draws])
            first = next((i for i, (_, accepted) in enumerate(draws) if accepted), None)
            if first is None:
                totals += mass * np.array([0, 0, 1, attempts, draws[-1][0] if attempts else 0])
            else:
                right = draws[first][0]
                totals += mass * np.array([right, not right, 0, first + 1, right])
    return totals


# The two types of task that were fitted to Llama-3.1-8B on HumanEval: arXiv 2411.17501, appendix C and its notebook.
LLAMA = {"weights": np.array([84 / 150, 66 / 150]), "p": np.array([0.8738, 0.1382]), "soundness": 0.7516}
COSTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 4, 10)
PUBLISHED_ROW = (82, 81, 81, 80, 79, 76, 3, 2, 2, 2, 1, 1, 0)


def published_increments(cost, attempts):
    """What the k-th attempt adds in the published formula: its survival is sum_j beta_j^(k-1) posterior_j(k)."""
    prior, p, f = LLAMA["weights"], LLAMA["p"], 1 - LLAMA["soundness"]
    beta = (1 - p) * (1 - f)
    k = np.arange(attempts)[:, None]
    posterior = prior * beta**k
    posterior = posterior / posterior.sum(axis=1, keepdims=True)
    return np.sum(beta**k * posterior, axis=1) * np.sum(posterior * (p - cost * (1 - p) * f), axis=1)


def published_optimum(cost, attempts=1000):
    """The first largest entry of the cumulated utility in float64, with no attempts at zero."""
    return int(np.argmax(np.concatenate([[0.0], np.cumsum(published_increments(cost, attempts))])))


def random_populations(rng, count, n):
    """Weights, p, t, f of shape [count, n]: all ranges, some rates at 0 and 1, some tasks alike."""
    weights = rng.dirichlet(np.ones(n), size=count)
    p, t, f = rng.beta(0.5, 0.8, (count, n)), rng.uniform(0.2, 1, (count, n)), rng.beta(0.5, 3, (count, n))
    p = np.where(rng.random((count, n)) < 0.05, 0.0, p)
    f = np.where(rng.random((count, n)) < 0.1, 0.0, f)
    t = np.where(rng.random((count, n)) < 0.2, 1.0, t)
    return weights, p, t, f
