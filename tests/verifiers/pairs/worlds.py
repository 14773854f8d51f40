"""Small worlds in which the truth of every input is known, and a learner that cannot tell some of them apart."""

import jax
import jax.numpy as jnp
import numpy as np

from probinf.verifiers.pairs import PairTable, grouped_pairs

INPUTS, GROUPS, CLASSES = 1024, 16, 4


def rough_world() -> tuple[np.ndarray, np.ndarray]:
    """Truths [N, K] without any pattern, a third of them zero, and groups of uneven sizes."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(0.5, size=(INPUTS, CLASSES)) * (rng.uniform(size=(INPUTS, CLASSES)) > 0.3)
    truth[:, 0] += 1e-3
    return truth / truth.sum(axis=1, keepdims=True), np.floor(GROUPS * rng.uniform(size=INPUTS) ** 2).astype(int)


def content_and_style() -> tuple[np.ndarray, np.ndarray]:
    """Eight responses, a content of four in a style of two; half of the contents cannot be told apart.

    Source: notes on the paper; a response of the wrong content is a hallucination, any style is right.
    """
    content = np.tile(np.arange(4), 64)
    truth = np.zeros((256, 4, 2))
    truth[np.arange(256), content] = [0.3, 0.7]
    known = np.arange(256) < 128
    return truth.reshape(256, 8), np.where(known, content, 4)


def predictions(truth: np.ndarray, group: np.ndarray) -> PairTable:
    """The calibrated prediction of every input, with a leading axis."""
    table = grouped_pairs(jnp.asarray(truth), jnp.asarray(group), int(group.max()) + 1)
    return jax.tree.map(lambda leaf: leaf[group], table)


def moments(table: PairTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, variances and confidences of every input."""
    p, v, c = jax.vmap(lambda t: (t.probabilities, t.variance, t.confidence))(table)
    return np.asarray(p), np.asarray(v), np.asarray(c)
