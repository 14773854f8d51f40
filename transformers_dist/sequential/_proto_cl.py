"""Classes as Gaussian prototypes, learned in closed form: continual learning that forgets nothing."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinf._arguments import is_count


class Prototypes(eqx.Module):
    """What is known of C classes in D features: precisions, precision-weighted sums, and Dirichlet counts.

    A class has a mean N(mu_c, 1 / precision_c) in each feature, and points of it stray by the variance `noise`.

    Law: exact: each update is the conjugate one, so the order of data means nothing.

    Raises: ValueError for a noise that is not positive, where it can be seen.

    Source: ProtoCL in "On Sequential Bayesian Inference for Continual Learning", arXiv 2301.01828; the encoder is left
    to the user.
    """

    precision: Float[Array, " C"]
    weighted: Float[Array, "C D"]
    counts: Float[Array, " C"]
    noise: Float[Array, ""]

    def update(self, features: Float[Array, "N D"], labels: Int[Array, " N"]) -> Prototypes:
        """What is known after more labeled points."""
        member = jax.nn.one_hot(labels, self.counts.size, dtype=features.dtype)
        number = jnp.sum(member, axis=0)
        return Prototypes(
            self.precision + number / self.noise,
            self.weighted + member.T @ features / self.noise,
            self.counts + number,
            self.noise,
        )

    def log_probabilities(self, features: Float[Array, " D"]) -> Float[Array, " C"]:
        """Log-probability of each class for one point, in nats."""
        variance = 1 / self.precision + self.noise
        away = features[None, :] - self.weighted / self.precision[:, None]
        log_likelihood = -0.5 * jnp.sum(away**2, axis=1) / variance - 0.5 * features.size * jnp.log(variance)
        return jax.nn.log_softmax(log_likelihood + jnp.log(self.counts))


def prototypes(
    classes: int, features: int, *, noise: float = 0.05, prior_variance: float = 1.0, concentration: float = 0.78
) -> Prototypes:
    """Prototypes before any data: means around zero, `concentration` pseudo-counts a class.

    Raises: ValueError for fewer than one class, or variances and concentrations that are not positive.
    """
    if not is_count(classes) or not all(0 < x < float("inf") for x in (noise, prior_variance, concentration)):
        raise ValueError(
            "prototypes need at least one class and positive noise, prior_variance and concentration, got "
            f"{classes}, {noise}, {prior_variance} and {concentration}"
        )
    return Prototypes(
        jnp.full(classes, 1 / prior_variance),
        jnp.zeros((classes, features)),
        jnp.full(classes, concentration),
        jnp.asarray(noise),
    )
