"""Markov kernels: exact on finite models, on the line by the moments after one move from exact draws.

The statistical cases start from the target itself, so every tested mean is exact for a right kernel. With 16 lanes and
8192 replicates they see a shift of about 2 percent of a standard deviation; every bug planted here shifts by more.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from probinf import Density, Draw, Info, Kernel, Measure, Move, Named, Particles, Sampler, choice, flip
from probinf.distributions import Categorical
from probinf.kernels import (
    Block,
    FiniteProposal,
    FreshProposal,
    HamiltonianInfo,
    HamiltonianMonteCarlo,
    HamiltonianState,
    IntegerSlice,
    LangevinProposal,
    MetropolisHastings,
    Mixture,
    Redraw,
    gibbs,
    hmc,
    independence,
    mala,
)
from probinf.validity import KernelCase, SamplerCase

_TABLE = (0.9, 0.2, 0.5, 0.7)
_JOINT = ((0.2, 0.1), (0.05, 0.3), (0.25, 0.1))
_PROPOSAL = np.log([[0.3, 0.7], [0.8, 0.2]])
_STATES = np.arange(4, dtype=np.int32)
# All pairs (a, b).
_PAIRS = {"a": np.repeat(np.arange(3, dtype=np.int32), 2), "b": np.tile(np.arange(2, dtype=np.int32), 3)}
_LOG_PAIRS = np.log(_JOINT).reshape(-1)


def kernels_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    table, joint, blocks = Density("table", _log_table), Density("joint", _log_joint), _blocks()
    line = _line()
    either = Mixture(tuple(Block(joint, where, make) for where, make in blocks), np.log([0.3, 0.7]))
    return (
        _on_table("independence", independence(table, _fresh())),
        _on_table("IntegerSlice", IntegerSlice(table, width=2, max_windows=2)),
        _on_table("IntegerSlice, windows of one", IntegerSlice(table, width=1, max_windows=3)),
        _on_pairs("gibbs: Block by Redraw, Block by MetropolisHastings", gibbs(joint, *blocks)),
        _on_pairs("Mixture", either),
        SamplerCase("adaptation that is frozen", Draw(line) >> Adapting(line, forever=False), n=1),
        moved("mala", mala(gumbels(), jnp.array([0.3, 1.2]))),
        moved("hmc: HamiltonianMonteCarlo", hmc(gumbels(), 0.8, 3, jnp.array([1.0, 4.0]))),
    )


def kernels_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    table, joint, target = Density("table", _log_table), Density("joint", _log_joint), gumbels()
    line = _line()
    trajectory = (target, 0.8, 3, jnp.array([1.0, 4.0]))
    return (
        _on_table("independence without the ratio of proposals", MetropolisHastings(table, WithoutRatio(_fresh()))),
        _on_table("slice stepped out by different tests left and right", LopsidedSlice(table, width=2, max_windows=2)),
        _on_table("slice that takes its first draw", HastySlice(table, width=2, max_windows=2)),
        _on_pairs("gibbs that looks at stale values", StaleGibbs(gibbs(joint, *_blocks()).kernels)),
        SamplerCase("step size adapted forever", Draw(line) >> Adapting(line, forever=True), n=1),
        moved("mala without its Hastings ratio", MetropolisHastings(target, Drift(target, jnp.array([0.3, 1.2])))),
        moved("hmc without the accept step", AlwaysAccepted(*trajectory)),
        moved("hmc that starts with a whole kick", WholeKick(*trajectory)),
    )


def gumbels() -> Named:
    """Two independent Gumbel variables of scales 1 and 2: skewed, with exact draws and a gradient."""
    return Named("Gumbel(0, (1, 2))", dist.Gumbel(jnp.zeros(2), jnp.array([1.0, 2.0])).to_event(1))


def moved(name: str, kernel: Kernel, n: int = 16) -> SamplerCase:
    """One transition from exact draws of the two Gumbel variables, whose moments must stay."""
    return SamplerCase(name, Draw(gumbels()) >> Move(kernel), n=n, expectations=(_moments, _gumbel_moments()))


def _moments(x: Float[Array, "2"]) -> Float[Array, " K"]:
    return jnp.concatenate([jnp.ones(1), x, x**2, jnp.tanh(x)])


def _gumbel_moments() -> Float[np.ndarray, " K"]:
    """The constant, means and squares in closed form, and the bounded moment by quadrature."""
    scale = np.array([1.0, 2.0])
    mean, variance = np.euler_gamma * scale, np.pi**2 / 6 * scale**2
    z = np.linspace(-6.0, 60.0, 660_001)
    density = np.exp(-z - np.exp(-z))
    bounded = [np.sum(np.tanh(s * z) * density) / np.sum(density) for s in scale]
    return np.concatenate([[1.0], mean, variance + mean**2, bounded])


def _on_table(name: str, kernel: Kernel) -> KernelCase:
    return KernelCase(name, kernel, _STATES, np.log(_TABLE))


def _on_pairs(name: str, kernel: Kernel) -> KernelCase:
    return KernelCase(name, kernel, _PAIRS, _LOG_PAIRS)


def _fresh() -> Categorical:
    return Categorical(np.log([0.1, 0.2, 0.3, 0.4]), name="proposal")


def _line() -> Categorical:
    return Categorical(np.log([0.1, 0.2, 0.5, 0.15, 0.05]), name="line")


def _blocks() -> tuple[tuple[str, Any], ...]:
    redraw = eqx.Partial(Redraw, values=np.arange(3))
    return ("a", redraw), ("b", eqx.Partial(MetropolisHastings, proposal=FiniteProposal(_PROPOSAL)))


def _log_table(x: Int[Array, ""]) -> Float[Array, ""]:
    inside = (x >= 0) & (x < len(_TABLE))
    return jnp.where(inside, jnp.log(jnp.array(_TABLE))[jnp.clip(x, 0, len(_TABLE) - 1)], -jnp.inf)


def _log_joint(x: dict[str, Array]) -> Float[Array, ""]:
    return jnp.log(jnp.array(_JOINT))[x["a"], x["b"]]


class WithoutRatio(FreshProposal):
    """Fresh proposals taken for symmetric ones."""

    def log_ratio(self, x: Any, y: Any) -> Float[Array, ""]:
        """Zero."""
        del x, y
        return jnp.zeros(())


class LopsidedSlice(IntegerSlice):
    """Steps out to the right while the last integer of the window is in the slice, to the left while the first is.

    The boundary between two windows is then judged by one integer from the left, and by its neighbor from the right.
    """

    def _grow(
        self, inside: Bool[Array, " table"], boundary: Int[Array, ""], budget: Int[Array, ""], step: int
    ) -> Int[Array, ""]:
        if step > 0:
            return super()._grow(inside, boundary - 1, budget, step) + 1
        return super()._grow(inside, boundary, budget, step)


class HastySlice(IntegerSlice):
    """Takes the first draw from the interval, in the slice or not, and pulls it back into the support."""

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        """A transition that stays among the listed states."""
        x, info = super().__call__(key, x)
        return jnp.clip(x, 0, len(_TABLE) - 1), info

    def shrink(
        self, key: PRNGKeyArray, inside: Bool[Array, " table"], window: Any
    ) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """One uniform draw."""
        return super().shrink(key, jnp.ones_like(inside), window)


class StaleGibbs(Kernel):
    """Updates every part given the old values of the others, all at once."""

    blocks: tuple[Kernel, ...]

    def __call__(self, key: PRNGKeyArray, x: dict[str, Array]) -> tuple[dict[str, Array], Info]:
        """Each part from the same old value."""
        keys = jax.random.split(key, 2)
        return {name: self.blocks[i](keys[i], x)[0][name] for i, name in enumerate("ab")}, ()

    @property
    def invariant(self) -> Measure:
        """What Gibbs sampling would keep."""
        return self.blocks[0].invariant


class Adapting(Sampler):
    """Three Metropolis moves on a line of five, whose width goes up after an acceptance and down after a rejection.

    Frozen, the width is what a first draw made it; adapted forever, it depends on where the lane has been.
    """

    line: Categorical
    forever: bool = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """The moves of every lane."""
        width_key, *keys = jax.random.split(key, 4)
        x, width = cloud.values, 1 + choice(width_key, jnp.zeros((cloud.n, 2)))
        for move_key in keys:
            side_key, accept_key = jax.random.split(move_key)
            y = x + jnp.where(flip(side_key, jnp.full(cloud.n, jnp.log(0.5))), width, -width)
            accepted = flip(accept_key, self._log_density(y) - self._log_density(x))
            x = jnp.where(accepted, y, x)
            if self.forever:
                width = jnp.clip(width + jnp.where(accepted, 1, -1), 1, 2)
        return cloud.replace(values=x), ()

    def _log_density(self, x: Int[Array, " n"]) -> Float[Array, " n"]:
        return jnp.where((x >= 0) & (x < 5), jax.vmap(self.line.log_density)(jnp.clip(x, 0, 4)), -jnp.inf)

    def meaning(self, m: Measure) -> Measure:
        """What Metropolis moves of a width that was drawn before leave."""
        return m


class Drift(LangevinProposal):
    """Takes the Langevin step for symmetric, as if it had no drift."""

    def log_ratio(self, x: PyTree, y: PyTree) -> Float[Array, ""]:
        """Zero."""
        del x, y
        return jnp.zeros(())


class AlwaysAccepted(HamiltonianMonteCarlo):
    """Takes the end of every trajectory, as if the integrator kept the energy."""

    def advance(self, key: PRNGKeyArray, state: HamiltonianState) -> tuple[HamiltonianState, HamiltonianInfo]:
        """The end of the trajectory that the right kernel would have judged."""
        momentum_key, _ = jax.random.split(key)
        noise = jax.random.normal(momentum_key, state.value.shape)
        end, _ = self.trajectory(state, noise / jnp.sqrt(self.inverse_mass))
        return end, HamiltonianInfo(jnp.array(True), jnp.zeros(()), jnp.array(False))


class WholeKick(HamiltonianMonteCarlo):
    """Starts the leapfrog with a whole step of the momentum where half a step belongs."""

    def trajectory(self, state: HamiltonianState, momentum: PyTree) -> tuple[HamiltonianState, PyTree]:
        """The trajectory after half a step too much."""
        return super().trajectory(state, momentum + self.step_size / 2 * state.gradient)
