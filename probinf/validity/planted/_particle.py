"""Wrong particle kernels, among them those of two published implementations of particle Gibbs."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import choice, flip
from probinf._measure import Factor, Measure
from probinf._particles import spawn
from probinf._primitives import Resample, pick
from probinf._sampler import Info, Kernel, Sampler
from probinf.distributions import Categorical, HiddenMarkovModel, Observation, Path
from probinf.kernels import FiniteProposal, conditional_smc, pimh, pmmh
from probinf.resampling import Multinomial, Systematic
from probinf.validity._law import enumerate_law
from probinf.validity._report import KernelCase
from probinf.validity.planted._model import observations, path_states, small_filter, small_hmm, small_paths


class HeldBySlot(Systematic):
    """A conditional scheme that runs the unconditional one and overwrites slot 0."""

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The neighbours of slot 0 do not follow."""
        return self(key, log_weights).at[0].set(0)


class WithoutReference(Kernel):
    """Particle Gibbs that runs a fresh filter and forgets the current path."""

    sampler: Sampler
    n: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """A path by weight from a fresh cloud, which is biased for every finite n."""
        del x
        run_key, pick_key = jax.random.split(key)
        value, _ = pick(pick_key, self.sampler(run_key, spawn(self.n))[0])
        return value, ()

    @property
    def invariant(self) -> Measure:
        """What the sampler means."""
        return self.sampler.meaning(Measure())


class PublishedParticleGibbs(Kernel):
    """Particle Gibbs over steps, with the weight that two published implementations give their reference.

    `reference_weight` is "current" (right), "next" (the reward of the step to come is used: the released code of
    arXiv 2502.01618) or "final" (the reward of the finished reference is used at every step: its_hub).
    """

    hmm: HiddenMarkovModel
    data: Observation
    reference_weight: str = eqx.field(static=True)
    n: int = eqx.field(static=True, default=2)

    def __call__(self, key: PRNGKeyArray, x: Path) -> tuple[Path, Info]:
        """One sweep: at each step n - 1 ancestors are drawn from the pool that the reference belongs to."""
        hmm, last = self.hmm, self.hmm.steps - 1
        keys = jax.random.split(key, 2 * hmm.steps)
        log_g = jax.nn.log_softmax(hmm.log_emission)
        paths = jnp.zeros((self.n, hmm.steps), jnp.int32)
        first = choice(keys[0], jnp.broadcast_to(hmm.log_initial, (self.n - 1, hmm.log_initial.shape[0])))
        paths = paths.at[0].set(x.states).at[1:, 0].set(first)
        for t in range(last):
            read = {"current": t, "next": t + 1, "final": last}[self.reference_weight]
            log_w = log_g[paths[:, t], self.data.y[t]].at[0].set(log_g[x.states[read], self.data.y[read]])
            ancestors = choice(keys[2 * t + 1], log_w, (self.n - 1,))
            state = choice(keys[2 * t + 2], hmm.log_transition[paths[ancestors, t]])
            paths = paths.at[1:].set(paths[ancestors]).at[1:, t + 1].set(state)
        index = choice(keys[-1], log_g[paths[:, last], self.data.y[last]])
        return Path(paths[index], x.t), ()

    @property
    def invariant(self) -> Measure:
        """The law of the path given what was seen."""
        return small_filter(Resample(Multinomial()), self.hmm.steps).meaning(Measure())


class AlwaysAccepts(Kernel):
    """A particle kernel that accepts every proposal, whatever its evidence."""

    right: Any

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """A fresh run."""
        del x
        return self.right.init(key), ()

    @property
    def invariant(self) -> Measure:
        """What the right kernel keeps."""
        return self.right.invariant


class RefreshesEvidence(Kernel):
    """PMMH that estimates the evidence of the current parameters anew at each step (Monte Carlo within Metropolis)."""

    right: Any

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """One proposal against a refreshed current state."""
        refresh_key, propose_key, run_key, accept_key = jax.random.split(key, 4)
        now = self.right.init(refresh_key, x.theta)
        y = self.right.init(run_key, self.right.proposal.sample(propose_key, x.theta))
        prior, back = self.right.prior, self.right.proposal.log_ratio(x.theta, y.theta)
        log_ratio = prior.log_density(y.theta) + y.log_z - prior.log_density(x.theta) - now.log_z + back
        accepted = flip(accept_key, log_ratio)
        return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), y, now), ()

    @property
    def invariant(self) -> Measure:
        """What the right kernel keeps."""
        return self.right.invariant


class FilterAt(eqx.Module):
    """The small filter whose transition depends on a parameter."""

    def __call__(self, theta: Int[Array, ""]) -> Sampler:
        """The model at one of two parameters."""
        sampler = small_filter(Resample(Multinomial()), 2)
        rows = jnp.where(theta == 0, jnp.log(jnp.array([[0.7, 0.3], [0.2, 0.8]])), jnp.log(0.5))
        is_hmm = lambda node: isinstance(node, HiddenMarkovModel)  # noqa: E731
        change = lambda hmm: eqx.tree_at(lambda h: h.log_transition, hmm, rows)  # noqa: E731
        return jax.tree.map(lambda node: change(node) if is_hmm(node) else node, sampler, is_leaf=is_hmm)


def extended_case(name: str, kernel: Kernel, right: Any, thetas: tuple[int, ...] | None = None) -> KernelCase:
    """A case for kernels on (value, estimate): the states are what runs can give, weighed by that estimate.

    With `thetas` the runs start at each of those parameters, weighed by the prior.
    """
    laws = [enumerate_law(_init, jax.random.key(0), right, theta).grouped() for theta in thetas or (None,)]
    states = jax.tree.map(lambda *leaves: np.concatenate(leaves), *[law.outputs for law in laws])
    log_run = np.concatenate([law.log_prob for law in laws]) + states.log_z
    if thetas is not None:
        log_prior = np.concatenate(
            [
                np.full(len(law.log_prob), right.prior.log_density(jnp.int32(t)))
                for law, t in zip(laws, thetas, strict=True)
            ]
        )
        log_run = log_run + log_prior
    return KernelCase(name, kernel, states, log_run)


def _init(key: PRNGKeyArray, kernel: Any, theta: int | None) -> Any:
    return kernel.init(key) if theta is None else kernel.init(key, jnp.int32(theta))


def small_pimh() -> Any:
    """PIMH on the small filter of two steps."""
    return pimh(small_filter(Resample(Multinomial()), 2), 2)


def small_pmmh(n: int = 2) -> Any:
    """PMMH over two parameters of the small filter, with n particles."""
    prior: Factor = Categorical(np.log([0.4, 0.6]), name="prior")
    return pmmh(prior, FilterAt(), FiniteProposal(np.log([[0.4, 0.6], [0.7, 0.3]])), n)


def path_case(name: str, kernel: Kernel) -> KernelCase:
    """A case for a kernel on the paths of the small model."""
    return KernelCase(name, kernel, path_states(), small_paths().log_mass)


def particle_bugs() -> tuple[KernelCase, ...]:
    """Particle kernels with one wrong idea each."""
    hmm, data = small_hmm(), observations()
    unheld = conditional_smc(small_filter(Resample(HeldBySlot())), 3)
    return (
        path_case("particle Gibbs with unconditional systematic resampling", unheld),
        path_case("particle Gibbs without its reference", WithoutReference(small_filter(Resample(Multinomial())), 2)),
        path_case("particle Gibbs as released for arXiv 2502.01618", PublishedParticleGibbs(hmm, data, "next")),
        path_case("particle Gibbs as in its_hub", PublishedParticleGibbs(hmm, data, "final")),
        extended_case("PIMH that accepts everything", AlwaysAccepts(small_pimh()), small_pimh()),
        extended_case("PMMH that refreshes its evidence", RefreshesEvidence(small_pmmh(1)), small_pmmh(1), (0, 1)),
    )
