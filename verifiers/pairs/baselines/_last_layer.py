"""A Gaussian on the weights of the last layer, by the curvature of the log-likelihood: Laplace, and SNGP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float, PRNGKeyArray

from probinf.verifiers.pairs._fit import Draw, PairModel
from probinf.verifiers.pairs._heads import MixtureHead
from probinf.verifiers.pairs._prediction import Mixture
from probinf.verifiers.pairs.baselines._checks import check_samples

# Inputs that the curvature is the mean over: so many at a time, so many times.
_BATCH, _BATCHES = 256, 64


class GaussianLastLayer(eqx.Module):
    """A network whose last layer was drawn from a Gaussian: a mixture over the draws, the same for all inputs.

    Law: CONSISTENT in the number of draws for the mixture over the Gaussian; heuristic for the error.
    """

    model: PairModel
    weights: Float[Array, "S D K"]

    def __call__(self, x: Array) -> Mixture:
        """The prediction."""
        n, phi = self.weights.shape[0], _with_constant(self.model.network.trunk(x))
        return Mixture(jnp.full(n, -jnp.log(n)), jax.nn.log_softmax(jnp.einsum("d,sdk->sk", phi, self.weights)))


def laplace(
    key: PRNGKeyArray,
    model: PairModel,
    draw: Draw,
    *,
    observations: int | Float[Array, ""],
    prior_precision: float | Float[Array, ""] = 1.0,
    samples: int = 64,
) -> GaussianLastLayer:
    """Last-layer Laplace of a trained classifier, with the full covariance; prediction by a mixture over draws.

    Precision: prior_precision I + observations E[phi phi' (x) (diag p - p p')], where phi are the features and a
    constant: generalized Gauss-Newton, which is the Hessian of a last layer under a softmax. The mean over inputs is
    that of 16,384 draws; `observations` is how many responses the model was trained on. The expansion is about the
    weights that the model has. `train_pairs` knows no Gaussian prior, so they are not its maximum a posteriori.

    Raises: TypeError for a head that is not a `MixtureHead` with one component; ValueError for observations or a
        prior precision that are not positive, and fewer than two samples.

    Source: Daxberger and others, arXiv 2106.14806, section 2, with sampling instead of the probit.
    """
    return _posterior(key, model, draw, full_curvature, observations, prior_precision, samples)


def sngp(
    key: PRNGKeyArray,
    model: PairModel,
    draw: Draw,
    *,
    observations: int | Float[Array, ""],
    prior_precision: float | Float[Array, ""] = 1.0,
    samples: int = 64,
) -> GaussianLastLayer:
    """The Gaussian process on top of a classifier whose trunk is `RandomFourierFeatures(SpectralPerceptron(...))`.

    Precision for each class by itself: prior_precision I + observations E[p (1 - p) phi phi']. Prediction by a mixture
    over draws; else as `laplace`, about the same weights and with its errors.

    Source: Liu and others, arXiv 2006.10108, equation 9; released code differs (ridge, one covariance for all classes).
    """
    return _posterior(key, model, draw, class_curvature, observations, prior_precision, samples)


def full_curvature(phi: Float[Array, "N D"], p: Float[Array, "N K"]) -> Float[Array, "1 DK DK"]:
    """Mean of phi phi' (x) (diag p - p p') over inputs: one block, for all weights in the order of a [D, K] matrix."""
    n, d, k = *phi.shape, p.shape[1]
    outcome = jax.vmap(lambda row: jnp.diag(row) - jnp.outer(row, row))(p)
    # One product of two matrices, over inputs: K times less work than that of rows whose outer products these are.
    products = (phi[:, :, None] * phi[:, None, :]).reshape(n, -1).T @ outcome.reshape(n, -1)
    return jnp.transpose(products.reshape(d, d, k, k) / n, (0, 2, 1, 3)).reshape(1, d * k, d * k)


def class_curvature(phi: Float[Array, "N D"], p: Float[Array, "N K"]) -> Float[Array, "K D D"]:
    """Mean of p_k (1 - p_k) phi phi' over inputs: a block for each class."""
    return jnp.einsum("nk,nd,ne->kde", p * (1 - p), phi, phi) / phi.shape[0]


# One after the other under vmap: batches of matrices can block LAPACK on few cores.
@sequential_vmap
def inverse_root(curvature: Float[Array, "D D"], prior_precision: Float[Array, ""]) -> Float[Array, "D D"]:
    """R with R R' = (curvature + prior_precision I)^-1.

    By eigenvalues, of which rounding may make some of a large curvature negative: those are zero.
    """
    values, vectors = jnp.linalg.eigh(curvature)
    return vectors / jnp.sqrt(jnp.maximum(values, 0.0) + prior_precision)[None, :]


def _posterior(
    key: PRNGKeyArray,
    model: PairModel,
    draw: Draw,
    curvature: Callable[[Array, Array], Array],
    observations: Any,
    prior_precision: Any,
    samples: int,
) -> GaussianLastLayer:
    check_samples(samples)
    head = getattr(model.network, "head", None)
    if not isinstance(head, MixtureHead) or head.components != 1:
        raise TypeError("the last layer must be that of an ordinary classifier: MixtureHead(..., components=1)")
    for name, value in (("observations", observations), ("prior_precision", prior_precision)):
        if not isinstance(value, Tracer) and not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    return _drawn(key, model, draw, curvature, jnp.asarray(observations, float), jnp.asarray(prior_precision, float),
                  samples)  # fmt: skip


@eqx.filter_jit
def _drawn(
    key: PRNGKeyArray,
    model: PairModel,
    draw: Draw,
    curvature: Callable[[Array, Array], Array],
    observations: Array,
    prior_precision: Array,
    samples: int,
) -> GaussianLastLayer:
    network = model.network
    curvature_key, weights_key = jax.random.split(key)

    def add(total: Array | float, key: PRNGKeyArray) -> tuple[Array, None]:
        x, _ = jax.vmap(draw)(jax.random.split(key, _BATCH))
        phi = jax.vmap(lambda x: _with_constant(network.trunk(x)))(x)
        p = jax.vmap(lambda x: network(x).probabilities)(x)
        return total + curvature(phi, p), None

    keys = jax.random.split(curvature_key, _BATCHES)
    first, _ = add(0.0, keys[0])
    total, _ = jax.lax.scan(add, first, keys[1:])
    roots = jax.lax.map(lambda block: inverse_root(observations / _BATCHES * block, prior_precision), total)
    mean = jnp.concatenate([network.head.logits.kernel[...], network.head.logits.bias[...][None]])
    noise = jax.random.normal(weights_key, (samples, *roots.shape[:2]))
    away = jnp.einsum("bij,sbj->sbi", roots, noise)
    # A single block runs over features and classes, several are one for each class.
    away = away.reshape(samples, *mean.shape) if len(roots) == 1 else jnp.swapaxes(away, 1, 2)
    return GaussianLastLayer(model, mean[None] + away)


def _with_constant(features: Float[Array, " width"]) -> Float[Array, " D"]:
    return jnp.append(features, 1.0)
