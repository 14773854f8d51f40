"""Frequencies of rotary position embedding, with the scalings that model files name."""

import math

import numpy as np

from probinf.lm._entries import Entries
from probinf.lm._errors import ModelFileError


def rotary_frequencies(base: float, head_dimension: int) -> np.ndarray:
    """Angles per position of the pairs of one head, float64.

    Source: RoFormer, arXiv:2104.09864, section 3.2.2.
    """
    half = head_dimension // 2
    return base ** -(np.arange(half) / half)


def scaled_frequencies(frequencies: np.ndarray, scaling: Entries, name: str) -> np.ndarray:
    """Apply the scaling that `config.json` describes: `default`, `linear` or `llama3`.

    Args:
        frequencies: Unscaled, in radians per position.
        scaling: The entries of `rope_scaling` or `rope_parameters`.
        name: Which of the two, for messages.

    Raises:
        ModelFileError: another kind of scaling.
    """
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind is None and "factor" in scaling:
        raise ModelFileError(f"{scaling.source}: the option {name!r} is not supported without a 'rope_type'.")
    if kind in (None, "default"):
        return frequencies
    if kind == "linear":
        return frequencies / float(scaling["factor"])
    if kind == "llama3":
        return _llama3(frequencies, scaling)
    raise ModelFileError(f"{scaling.source}: the option {name!r} is not supported with 'rope_type' {kind!r}.")


def _llama3(frequencies: np.ndarray, scaling: Entries) -> np.ndarray:
    """Keep short wavelengths, divide long ones by the factor, and interpolate between.

    As `apply_scaling` in the reference code of Llama 3.1.
    """
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    turns = float(scaling["original_max_position_embeddings"]) * frequencies / (2 * math.pi)
    if not high > low:
        raise ModelFileError(f"{scaling.source}: 'high_freq_factor' ({high}) must exceed 'low_freq_factor' ({low}).")
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return frequencies * (kept + (1 - kept) / factor)
