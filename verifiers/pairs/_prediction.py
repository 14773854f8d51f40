"""What a model says of p(. | x): its mean over all inputs that it cannot tell apart, and how much p varies there."""

from __future__ import annotations

import abc
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinf._arguments import floating
from probinf.verifiers.pairs._checks import check_covariance, check_gate, check_probabilities


class EpistemicPrediction(eqx.Module):
    """Probabilities of K classes, and the variance of the true probability of each about its own.

    Law: (p, S) is second-order calibrated if, for some grouping of the inputs, p(x) is the mean and S(x) the covariance
    of p(. | X) over the inputs X in the group of x, weighted as they occur. All that is promised rests on this (of S on
    the variances alone), and only on average over the p(X) of training: nothing is promised off it.

    Source: arXiv 2402.08733, section 2.
    """

    @property
    @abc.abstractmethod
    def probabilities(self) -> Float[Array, " K"]:
        """Mean of p(. | X) over the group."""

    @property
    @abc.abstractmethod
    def variance(self) -> Float[Array, " K"]:
        """Epistemic variance of each class: how far, squared and on average, its probability is from the truth.

        Law: if calibrated, E[(p(Y | X) - truth)^2 | A] = E[variance(Y) | A] for any response Y and event A that depend
        on the input through the model's outputs alone (not on the truth, nor on features that the model ignored).

        Source: arXiv 2402.08733, section 4.1.
        """

    @property
    def aleatoric_variance(self) -> Float[Array, " K"]:
        """What is left of p (1 - p): the mean over the group of the variance of one outcome given its own truth."""
        p = self.probabilities
        return p * (1 - p) - self.variance

    @property
    def confidence(self) -> Float[Array, " K"]:
        """Cheat-corrected confidence p^2 / (p^2 + variance) of each class, in [0, 1]; 0 where p is 0.

        Law: if calibrated, P(truth gives Y no probability | A) <= 1 - E[confidence(Y) | A], for Y and A as above.

        Source: arXiv 2402.08733, section 4.1; equals p(y) / p(y | y) where the variance comes from a symmetric table.
        """
        p, v = self.probabilities, self.variance
        # By logs, because the square of a small probability is zero in floating point.
        log_odds = 2 * jnp.log(jnp.where(p > 0, p, 1.0)) - jnp.log(jnp.where(v > 0, v, 1.0))
        return jnp.where(p > 0, jnp.where(v > 0, jax.nn.sigmoid(log_odds), 1.0), 0.0)


class CovariancePrediction(EpistemicPrediction):
    """A prediction that also knows how the true probabilities vary together."""

    @property
    @abc.abstractmethod
    def covariance(self) -> Float[Array, "K K"]:
        """Covariance of p(. | X) over the group."""

    @property
    def variance(self) -> Float[Array, " K"]:
        """The diagonal of the covariance."""
        return jnp.diagonal(self.covariance)


class Moments(CovariancePrediction):
    """Any probabilities with any covariance.

    Raises: ValueError for probabilities that do not sum to one, fewer than two classes, and negative variances.
    """

    given_probabilities: Float[Array, " K"] = eqx.field(converter=partial(floating, "given_probabilities"))
    given_covariance: Float[Array, "K K"] = eqx.field(converter=partial(floating, "given_covariance"))

    def __check_init__(self):
        """Rejects what is no pair of moments."""
        check_probabilities(self.given_probabilities)
        p, covariance = self.given_probabilities.shape, self.given_covariance.shape
        if covariance != (*p, p[-1]):
            raise ValueError(f"probabilities {p} need a covariance {(*p, p[-1])}, got shape {covariance}")
        check_covariance(self.given_covariance)

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """As given."""
        return self.given_probabilities

    @property
    def covariance(self) -> Float[Array, "K K"]:
        """As given."""
        return self.given_covariance


class Mixture(CovariancePrediction):
    """A mixture of distributions: responses are alike and independent given which component the input belongs to.

    Every second-order calibrated prediction is one (de Finetti), so symmetry and positive semi-definiteness hold by
    construction, and any number of responses has a probability. The members of an ensemble are one with equal weights.

    Raises: ValueError for fewer than two classes, and weights or components that do not sum to one.
    """

    log_weights: Float[Array, " M"] = eqx.field(converter=partial(floating, "log_weights"))
    log_components: Float[Array, "M K"] = eqx.field(converter=partial(floating, "log_components"))

    def __check_init__(self):
        """Rejects what does not sum to one."""
        weights, components = self.log_weights.shape, self.log_components.shape
        if components[:-1] != weights:
            raise ValueError(f"weights [M] and components [M, K] must agree, got shapes {weights} and {components}")
        check_probabilities(jnp.exp(self.log_weights), least=1)
        check_probabilities(jnp.exp(self.log_components))

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """Weighted mean of the components."""
        return jnp.exp(self.log_weights) @ jnp.exp(self.log_components)

    @property
    def covariance(self) -> Float[Array, "K K"]:
        """Weighted covariance of the components."""
        away = jnp.exp(self.log_components) - self.probabilities[None, :]
        return (jnp.exp(self.log_weights)[:, None] * away).T @ away

    @property
    def variance(self) -> Float[Array, " K"]:
        """The diagonal of the covariance, without the rest of it."""
        return jnp.exp(self.log_weights) @ (jnp.exp(self.log_components) - self.probabilities[None, :]) ** 2

    def log_probability(self, responses: Int[Array, " k"]) -> Float[Array, ""]:
        """Log-probability of k responses to one input, in nats."""
        return jax.nn.logsumexp(self.log_weights + jnp.sum(self.log_components[:, responses], axis=1))

    @property
    def aleatoric_entropy(self) -> Float[Array, ""]:
        """Mean entropy of the components, in nats: what more responses would not take away."""
        return jnp.exp(self.log_weights) @ jnp.sum(jax.scipy.special.entr(jnp.exp(self.log_components)), axis=1)

    @property
    def epistemic_entropy(self) -> Float[Array, ""]:
        """Entropy of the mean less the aleatoric one, in nats: information in a response on the component."""
        return jnp.sum(jax.scipy.special.entr(self.probabilities)) - self.aleatoric_entropy


class Dirichlet(CovariancePrediction):
    """The second response copies the first with probability `gate`, else is drawn afresh (a Polya urn).

    After n responses the chance of a copy is n gate / (1 + (n - 1) gate).

    As general as pairs get for two classes; for more it has one number for all variances, and no correlations but those
    of a Dirichlet distribution.

    Raises: ValueError for probabilities that do not sum to one, and a gate outside [0, 1].
    """

    given_probabilities: Float[Array, " K"] = eqx.field(converter=partial(floating, "given_probabilities"))
    gate: Float[Array, ""] = eqx.field(converter=partial(floating, "gate"))

    def __check_init__(self):
        """Rejects what is no urn."""
        check_probabilities(self.given_probabilities)
        check_gate(self.gate)

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """As given."""
        return self.given_probabilities

    @property
    def covariance(self) -> Float[Array, "K K"]:
        """That of a Dirichlet distribution of total concentration 1 / gate - 1."""
        p = self.probabilities
        if p.ndim != 1:
            raise ValueError(f"a batch of predictions is read under jax.vmap, got probabilities of shape {p.shape}")
        return self.gate * (jnp.diag(p) - jnp.outer(p, p))

    def log_probability(self, responses: Int[Array, " k"]) -> Float[Array, ""]:
        """Log-probability of k responses to one input, in nats."""
        before = jnp.arange(responses.shape[0])
        # How often each response has come up before.
        seen = jnp.sum((responses[:, None] == responses[None, :]) & (before[None, :] < before[:, None]), axis=1)
        fresh = 1 - self.gate
        # A gate of one leaves the first draw to the probabilities, and nothing to divide by.
        total = jnp.where(before == 0, 1.0, fresh + self.gate * before)
        chance = (fresh * self.probabilities[responses] + self.gate * seen) / total
        return jnp.sum(jnp.log(jnp.where(before == 0, self.probabilities[responses], chance)))


class PairTable(CovariancePrediction):
    """Any joint distribution of two responses.

    A table that was fitted freely is neither symmetric nor are its variances positive: `symmetrized` and `projected`
    mend it, in this order.

    Raises: ValueError for a table that is not square, or does not sum to one.

    Source: arXiv 2402.08733, section 3 (theorem: a pair predictor that is calibrated is second-order calibrated).
    """

    joint: Float[Array, "K K"] = eqx.field(converter=partial(floating, "joint"))

    def __check_init__(self):
        """Rejects what is no joint distribution."""
        if self.joint.ndim < 2 or self.joint.shape[-1] != self.joint.shape[-2]:
            raise ValueError(f"the probabilities of pairs form a square table, got shape {self.joint.shape}")
        check_probabilities(self.joint.reshape(*self.joint.shape[:-2], -1), least=4)

    @property
    def probabilities(self) -> Float[Array, " K"]:
        """Of the first response."""
        return jnp.sum(self.joint, axis=1)

    @property
    def covariance(self) -> Float[Array, "K K"]:
        """Of the pair: joint less the product of its marginals; not symmetric unless the table is."""
        return self.joint - jnp.outer(self.probabilities, jnp.sum(self.joint, axis=0))

    def symmetrized(self) -> PairTable:
        """The mean of both orders.

        Law: exact where the responses are exchangeable, and then never worse in expected log-loss than the table.
        """
        return PairTable(0.5 * (self.joint + self.joint.T))

    def projected(self) -> Moments:
        """The same probabilities with the nearest covariance that is positive semi-definite, in the Frobenius norm.

        Law: exact: rows of a covariance sum to zero, so the constant vector is an eigenvector of eigenvalue zero, and
        clipping the others at zero leaves it one.
        """
        covariance = self.covariance
        values, vectors = jnp.linalg.eigh(0.5 * (covariance + covariance.T))
        positive = (vectors * jnp.maximum(values, 0.0)[None, :]) @ vectors.T
        return Moments(self.probabilities, positive)

    def log_probability(self, responses: Int[Array, " k"]) -> Float[Array, ""]:
        """Log-probability of two responses to one input, in nats."""
        if responses.shape != (2,):
            raise ValueError(f"a table of pairs has probabilities for two responses, got {responses.shape[0]}")
        return jnp.log(self.joint[responses[0], responses[1]])
