"""Primitives, resampling schemes, texts and the first samplers and kernels, on models small enough to check."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import (
    Choose,
    Density,
    Distribution,
    Draw,
    Map,
    MeaningError,
    Move,
    Nested,
    Particles,
    Proportional,
    Resample,
    Reweight,
    Twist,
    Verified,
    While,
    flip,
)
from probinf.distributions import Categorical
from probinf.kernels import Cycle, FiniteProposal, MetropolisHastings, conditional_smc, random_walk
from probinf.lm import Generation, random_table_lm
from probinf.resampling import Killing, Multinomial, Residual, Settled, Stratified, Systematic
from probinf.samplers import (
    best_of_n,
    bootstrap_filter,
    importance,
    particle_filtering,
    rejection,
    tempered_smc,
)
from probinf.validity import KernelCase, SamplerCase
from probinf.validity.planted import (
    extended_case,
    observations,
    path_case,
    small_filter,
    small_hmm,
    small_paths,
    small_pimh,
    small_pmmh,
)

_SCHEMES = {
    "multinomial": Multinomial(),
    "stratified": Stratified(),
    "systematic": Systematic(),
    "residual": Residual(),
    "killing": Killing(),
}
_PRIOR = np.log([0.2, 0.5, 0.3])
_PROPOSAL = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])


def core_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """One case or more for every primitive, scheme, kernel and published sampler."""
    return (*_primitive_cases(), *_scheme_cases(), *_sampler_cases(), *_text_cases(), *_kernel_cases())


def _primitive_cases() -> tuple[SamplerCase, ...]:
    prior, likelihood = Categorical(_PRIOR, name="prior"), Density("likelihood", _log_likelihood)
    weighed, keeper = Draw(prior) >> Reweight(likelihood), _metropolis(prior * likelihood)
    resample = Resample(Multinomial())
    return (
        SamplerCase("Draw >> Reweight", weighed),
        SamplerCase("Map", weighed >> Map(_even)),
        SamplerCase("Move", weighed >> resample >> Move(keeper)),
        SamplerCase("Twist", Draw(prior) >> Twist(likelihood) >> resample >> Reweight(likelihood)),
        SamplerCase("Nested", Nested(weighed >> resample, 2)),
        SamplerCase("Verified", Verified(weighed, _even, 3), n=1),
        SamplerCase("While", Draw(prior) >> While(Draw(Climb()) >> resample, _some_below, 2) >> Reweight(likelihood)),
        SamplerCase("Choose(Proportional)", weighed >> Choose(Proportional()), n=3),
    )


def _scheme_cases() -> tuple[SamplerCase, ...]:
    three, two = small_paths(3), small_paths(2)
    every = [
        SamplerCase(f"Resample({name})", small_filter(Resample(scheme)), target=three)
        for name, scheme in _SCHEMES.items()
    ]
    return (
        *every,
        SamplerCase("Resample(systematic), 3 lanes", small_filter(Resample(), 2), n=3, target=two),
        SamplerCase("Resample(ess=0.75)", small_filter(Resample(Systematic(), ess=0.75)), target=three),
        SamplerCase("Resample(settled)", small_filter(Resample(Settled(Multinomial()))), target=three),
        SamplerCase("Resample(islands=2)", small_filter(Resample(Multinomial(), islands=2), 2), n=4, target=two),
    )


def _sampler_cases() -> tuple[SamplerCase, ...]:
    prior, likelihood = Categorical(_PRIOR, name="prior"), Density("likelihood", _log_likelihood)
    hmm, rows = small_hmm(), observations()
    make_kernel = eqx.Partial(MetropolisHastings, proposal=FiniteProposal(_PROPOSAL))
    gaussian = tempered_smc(
        dist.Normal(0.0, 1.0),
        Density("N(1 | x, 0.5)", _log_gaussian),
        eqx.Partial(MetropolisHastings, proposal=random_walk(0.8)),
        [0.3, 1.0],
    )
    return (
        SamplerCase(
            "importance",
            importance(Categorical(np.log([0.3, 0.3, 0.4]), name="proposal"), prior * likelihood),
        ),
        SamplerCase("bootstrap_filter", bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, rows)),
        SamplerCase(
            "tempered_smc",
            tempered_smc(prior, likelihood, make_kernel, [0.4, 1.0], resample=Resample(Multinomial())),
        ),
        SamplerCase("tempered_smc, Gaussian", gaussian, n=16, expectations=(_moments, _gaussian_moments())),
        SamplerCase("rejection", rejection(prior, _even, 3), n=1),
    )


def _text_cases() -> tuple[SamplerCase, ...]:
    lm = random_table_lm(jax.random.key(3), 3, stop_tokens=(2,))
    knobs: dict[str, Any] = {"accepted": Density("two ones", _two_ones), "max_new_tokens": 3}
    steer: dict[str, Any] = {
        "twist": Density("ones so far", _ones_so_far),
        "tokens_per_step": 1,
        "scheme": Multinomial(),
    }
    text = Map(_text)
    return (
        SamplerCase("best_of_n", best_of_n(lm, [0], **knobs) >> text),
        SamplerCase("particle_filtering", particle_filtering(lm, [0], **knobs, **steer, ess=None) >> text),
        SamplerCase("particle_filtering, ess", particle_filtering(lm, [0], **knobs, **steer, ess=0.8) >> text),
    )


def _kernel_cases() -> tuple[KernelCase, ...]:
    target = Density("likelihood", _log_likelihood)
    log_target = np.log([0.9, 0.2, 0.5])
    states = np.arange(3, dtype=np.int32)
    metropolis = _metropolis(target)
    gibbs = [
        path_case(f"conditional_smc({name})", conditional_smc(small_filter(Resample(scheme)), 2))
        for name, scheme in _SCHEMES.items()
    ]
    return (
        KernelCase("MetropolisHastings", metropolis, states, log_target),
        KernelCase("Cycle", Cycle((metropolis, metropolis)), states, log_target),
        *gibbs,
        extended_case("pimh", small_pimh(), small_pimh()),
        extended_case("pmmh", small_pmmh(), small_pmmh(), (0, 1)),
    )


def _metropolis(target: Any) -> MetropolisHastings:
    return MetropolisHastings(target, FiniteProposal(_PROPOSAL))


def _log_likelihood(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array([0.9, 0.2, 0.5]))[x]


def _even(x: Int[Array, ""]) -> Bool[Array, ""]:
    return x % 2 == 0


class Climb(Distribution):
    """A step up or none, until state 2 holds the lane for good: then another step is the identity, as While asks."""

    name: str = eqx.field(static=True, default="climb")

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """The state after a fair coin."""
        return jnp.minimum(x + flip(key, jnp.log(0.5)), 2)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """Not a function of the new state alone.

        Raises: MeaningError always.
        """
        raise MeaningError(f"the density of a step to {x} depends on where it started")


def _some_below(cloud: Particles) -> Bool[Array, ""]:
    return jnp.any(cloud.values < 2)


def _log_gaussian(x: Float[Array, ""]) -> Float[Array, ""]:
    return dist.Normal(x, 0.5).log_prob(1.0)


def _moments(x: Float[Array, ""]) -> Float[Array, " K"]:
    return jnp.stack([jnp.ones_like(x), x, x**2])


def _gaussian_moments() -> Float[np.ndarray, " K"]:
    """Evidence, and evidence times the posterior's first two moments, in closed form."""
    evidence = np.exp(-0.5 / 1.25) / np.sqrt(2 * np.pi * 1.25)
    mean, variance = 0.8, 0.2
    return evidence * np.array([1.0, mean, variance + mean**2])


def _ones_so_far(x: Generation) -> Float[Array, ""]:
    return 0.7 * jnp.sum(x.tokens == 1)


def _two_ones(x: Generation) -> Float[Array, ""]:
    return jnp.where(jnp.sum(x.tokens == 1) >= 2, 0.0, -jnp.inf)


def _text(x: Generation) -> tuple[Array, Array]:
    return x.tokens, x.length
