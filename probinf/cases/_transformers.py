"""Distribution Transformers made exact by reweighting, on a problem whose posterior is known."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf import Draw, Reweight, Sampler
from probinf.distributions import GMM
from probinf.transformers_dist import Pushed, View, corrected, load
from probinf.transformers_dist._frame import Frame, identity_frame
from probinf.transformers_dist._view import Look
from probinf.transformers_dist.families import LinearData, LinearLikelihood, exact_linear, linear_evidence
from probinf.validity import KernelCase, SamplerCase

# Shipped weights need the extra `lm`.
_HAVE_SAFETENSORS = importlib.util.find_spec("safetensors") is not None


class Positive(View):
    """A positive unknown, whose logarithm the mixture describes; nothing else of a view is needed here."""

    dimension: int = 1
    row_size: int = 0
    feature_size: int = 0

    def frame(self, prior: Any) -> Frame:
        """The identity."""
        return identity_frame(1)

    def look(self, prior: Any, data: Any, frame: Frame) -> Look:
        """Nothing to see."""
        raise NotImplementedError("no network looks at this problem")

    def outward(self, u: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The exponential."""
        return jnp.exp(u)

    def inward(self, x: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The logarithm."""
        return jnp.log(x)

    def log_jacobian(self, u: Float[Array, " 1"]) -> Float[Array, ""]:
        """The derivative of the exponential is itself."""
        return u[0]


class WithoutJacobian(Positive):
    """Forgets by how much the exponential stretches."""

    def log_jacobian(self, u: Float[Array, " 1"]) -> Float[Array, ""]:
        """No stretch."""
        return jnp.zeros_like(u[0])


def transformer_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """The correction of the shipped transformer in one dimension, and of a mixture for the logarithm of an unknown."""
    positive = _positive_case("corrected, positive unknown", Positive())
    if not _HAVE_SAFETENSORS:
        return (positive,)
    prior, data = _problem()
    shipped = corrected(_approximation(), prior, LinearLikelihood(data))
    return (_linear_case("Draw(transformer) >> Reweight, by corrected", shipped), positive)


def transformer_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """The correction as its users might get it wrong."""
    positive = _positive_case("a mixture for the logarithm without its Jacobian", WithoutJacobian())
    if not _HAVE_SAFETENSORS:
        return (positive,)
    _, data = _problem()
    wrong = Draw(_approximation()) >> Reweight(LinearLikelihood(data))
    return (_linear_case("an approximate posterior weighted as if it were the prior", wrong), positive)


def _linear_case(name: str, sampler: Sampler) -> SamplerCase:
    return SamplerCase(name, sampler, n=4, expectations=(_moments, _exact_moments(*_problem())))


@functools.cache
def _approximation() -> GMM:
    return load("linear_1d")(*_problem())


def _problem() -> tuple[GMM, LinearData]:
    prior = GMM.of([0.3, 0.5, 0.2], [[-1.5], [0.5], [2.0]], [[[0.2]], [[0.5]], [[0.1]]], "prior")
    return prior, LinearData(jnp.ones((2, 1)), jnp.array([0.8, 1.6]), jnp.array([0.7, 0.9]))


def _moments(x: Float[Array, " 1"]) -> Float[Array, " 3"]:
    return jnp.stack([jnp.ones_like(x[0]), x[0], x[0] ** 2])


def _exact_moments(prior: GMM, data: LinearData) -> Float[np.ndarray, " 3"]:
    """Evidence, and evidence times the first two moments of the posterior, in closed form."""
    posterior = exact_linear(prior, data)
    mean = float(posterior.mean[0])
    second = float(posterior.covariance[0, 0]) + mean**2
    return float(np.exp(float(linear_evidence(prior, data)))) * np.array([1.0, mean, second])


def _positive_case(name: str, view: View) -> SamplerCase:
    """An exponential prior with rate 1 and the likelihood of one count of 2: 1/8 and a Gamma(3, 2)."""
    base = GMM.of([1.0], [[0.2]], [[[0.6]]])
    return SamplerCase(
        name,
        corrected(Pushed(base, view), _log_prior, _log_likelihood),
        n=4,
        expectations=(_moments, np.array([1.0, 1.5, 3.0]) / 8),
    )


def _log_prior(x: Float[Array, " 1"]) -> Float[Array, ""]:
    return -x[0]


def _log_likelihood(x: Float[Array, " 1"]) -> Float[Array, ""]:
    return 2 * jnp.log(x[0]) - x[0] - jnp.log(2.0)
