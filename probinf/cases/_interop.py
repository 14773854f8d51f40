"""Kernels and resampling of BlackJAX, which run unmodified, and wrong uses of them.

On finite states every uniform of `jax.random` is read on a grid on which all thresholds lie, so the law is exact. On
the line the cases are those of `_kernels`: moments after one move from exact draws. Without BlackJAX there are none.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Draw, Kernel, MeaningError, Move, Resample, Reweight
from probinf.cases._kernels import gumbels, moved
from probinf.distributions import Categorical
from probinf.interop import from_blackjax
from probinf.resampling import Scheme
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

# All acceptance ratios are multiples of 1/8, and so are the thresholds of the proposals.
# No array: JAX keeps one that a trace reads in the precision of the first trace, whatever the next one asks for.
_WEIGHTS = (4.0, 2.0, 1.0)
_HAVE_BLACKJAX = importlib.util.find_spec("blackjax") is not None


def interop_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    if not _HAVE_BLACKJAX:
        return ()
    import blackjax

    weights, target, scales = _target(), gumbels(), jnp.array([1.0, 4.0])
    nuts = from_blackjax(blackjax.nuts, target, step_size=0.6, inverse_mass_matrix=scales)
    return (
        _on_ring("blackjax rmh", from_blackjax(blackjax.rmh, weights, proposal_generator=_either_way)),
        _on_ring("blackjax rmh, asymmetric", _rmh(_mostly_up, _log_mostly_up)),
        _on_ring("blackjax irmh", _irmh(_log_fresh)),
        resampled("blackjax systematic", "systematic"),
        resampled("blackjax stratified", "stratified"),
        moved("blackjax nuts", nuts, n=4),
        moved("blackjax barker", from_blackjax(blackjax.barker, target, step_size=1.0), n=4),
        moved("blackjax coordinate_slice", from_blackjax(blackjax.coordinate_slice, target), n=4),
        _elliptical(),
    )


def interop_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    if not _HAVE_BLACKJAX:
        return ()
    return (
        _on_ring("blackjax rmh without the density of its proposal", _rmh(_mostly_up, None)),
        _on_ring("blackjax rmh with the density of its proposal the wrong way round", _rmh(_mostly_up, _log_backwards)),
        _on_ring("blackjax irmh without the density of its proposal", _irmh(_log_nothing)),
    )


def _target() -> Density:
    return Density("4:2:1", _log_weight)


def _log_weight(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array(_WEIGHTS))[x]


def _on_ring(name: str, kernel: Kernel) -> KernelCase:
    return KernelCase(name, kernel, np.arange(3, dtype=np.int32), np.log(_WEIGHTS), grid=8)


def _rmh(proposal: Any, log_proposal: Any) -> Kernel:
    import blackjax

    return from_blackjax(blackjax.rmh, _target(), proposal_generator=proposal, proposal_logdensity_fn=log_proposal)


def _irmh(log_proposal: Any) -> Kernel:
    import blackjax

    return from_blackjax(blackjax.irmh, _target(), proposal_distribution=_fresh, proposal_logdensity_fn=log_proposal)


def _either_way(key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
    """One up or one down on the ring of three, equally likely."""
    return (x + jnp.where(jax.random.uniform(key) < 0.5, 1, 2)).astype(jnp.int32) % 3


def _mostly_up(key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
    """One up on the ring with probability 1/2, one down with 1/4."""
    u = jax.random.uniform(key)
    return (x + jnp.where(u < 0.5, 1, jnp.where(u < 0.75, 2, 0))).astype(jnp.int32) % 3


def _log_mostly_up(here: Any, there: Any) -> Float[Array, ""]:
    """The density of a step from one state of BlackJAX to another."""
    return jnp.log(jnp.array([0.25, 0.5, 0.25]))[(there.position - here.position) % 3]


def _log_backwards(here: Any, there: Any) -> Float[Array, ""]:
    return _log_mostly_up(there, here)


def _fresh(key: PRNGKeyArray) -> Int[Array, ""]:
    """A draw that likes the last state best."""
    u = jax.random.uniform(key)
    return jnp.where(u < 0.25, 0, jnp.where(u < 0.5, 1, 2)).astype(jnp.int32)


def _log_fresh(here: Any, there: Any) -> Float[Array, ""]:
    del here
    return jnp.log(jnp.array([0.25, 0.25, 0.5]))[there.position]


def _log_nothing(here: Any, there: Any) -> Float[Array, ""]:
    """What BlackJAX itself would take for the density, had it been given none; `from_blackjax` refuses that."""
    del here, there
    return jnp.zeros(())


class BlackjaxResampling(Scheme):
    """A resampling scheme of BlackJAX, which draws with `jax.random` itself."""

    scheme: str

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The ancestors."""
        from blackjax.smc import resampling

        weights = jax.nn.softmax(log_weights)
        return getattr(resampling, self.scheme)(key, weights, len(weights)).astype(jnp.int32)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """BlackJAX has none.

        Raises: MeaningError always.
        """
        raise MeaningError("BlackJAX resamples unconditionally only: use a scheme of probinf.resampling")


def resampled(name: str, scheme: str) -> SamplerCase:
    """Two lanes with weights one or three, whose ratios are multiples of 1/4, resampled and weighed again."""
    likelihood = Density("1 or 3", _log_one_or_three)
    run = Draw(Categorical(np.zeros(2))) >> Reweight(likelihood) >> Resample(BlackjaxResampling(scheme))
    target = FiniteMeasure(np.arange(2, dtype=np.int32), np.log([0.5, 1.5]))
    return SamplerCase(f"{name}, Resample", run, target=target, grid=4)


def _log_one_or_three(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([1.0, 3.0]))[x]


def _elliptical() -> SamplerCase:
    """Properly weighted draws from a Gaussian prior times a likelihood, then one move that keeps the product."""
    import blackjax

    likelihood = Density("N(1 | x, 1)", _log_likelihood)
    kernel = from_blackjax(blackjax.elliptical_slice, likelihood, mean=jnp.array([0.5]), cov=jnp.array([[2.0]]))
    assert kernel.prior is not None
    run = Draw(kernel.prior) >> Reweight(likelihood) >> Resample() >> Move(kernel)
    evidence, mean, variance = np.exp(-0.25 / 6) / np.sqrt(6 * np.pi), 5 / 6, 2 / 3
    return SamplerCase(
        "blackjax elliptical_slice",
        run,
        n=16,
        expectations=(_two_moments, evidence * np.array([1.0, mean, variance + mean**2])),
    )


def _log_likelihood(x: Float[Array, "1"]) -> Float[Array, ""]:
    return -0.5 * jnp.sum((x - 1.0) ** 2) - 0.5 * jnp.log(2 * jnp.pi)


def _two_moments(x: Float[Array, "1"]) -> Float[Array, " K"]:
    return jnp.concatenate([jnp.ones(1), x, x**2])
