"""Right Markov kernels of unusual form, which the checks must pass."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Density, Kernel, Measure, choice, flip
from probinf._measure import as_measure
from probinf._sampler import Info
from probinf.cases._attack_model import POSTERIOR, PRIOR, STATES, Prior, small_likelihood
from probinf.cases._unusual_model import Pair, logs
from probinf.kernels import Cycle
from probinf.validity import KernelCase

PROPOSAL = ((0.2, 0.5, 0.3), (0.6, 0.1, 0.3), (0.25, 0.35, 0.4))
SURROGATE = (0.3, 0.1, 0.1)
# The law of the noise, a kernel that is reversible for it, and the estimate that each noise gives of 1.
NOISE = (0.4, 0.6)
NOISE_STEP = ((0.7, 0.3), (0.2, 0.8))
ESTIMATES = ((1.5, 2 / 3), (0.25, 1.5), (2.0, 1 / 3))
# Weights of two outcomes for each of three parameters, of unlike sums; the second outcome was seen.
OUTCOMES = ((1.0, 2.0), (3.0, 1.0), (0.5, 4.0))
AUXILIARY = ((0.7, 0.3), (0.4, 0.6), (0.5, 0.5))
JOINT = ((0.1, 0.3, 0.05), (0.25, 0.1, 0.2))
INITIAL = (0.6, 0.4)
TRANSITION = ((0.7, 0.3), (0.2, 0.8))
# One row for each of three observations.
EMISSION = ((0.9, 0.35), (0.1, 0.65), (0.1, 0.65))

Path = Int[Array, " 3"]


def unusual_kernels() -> tuple[KernelCase, ...]:
    """Kernels with inner noise, several tries, a direction or a past, each keeping its target."""
    posterior = np.log(POSTERIOR)
    pairs, table = _pairs(3, 2), _pairs(2, 3)
    paths = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.int32)
    cycle = Cycle((RedrawPart(0), RedrawPart(1)))
    return (
        KernelCase("delayed acceptance", DelayedAcceptance(), STATES, posterior),
        KernelCase("multiple-try Metropolis", MultipleTry(), STATES, posterior),
        KernelCase("correlated pseudo-marginal", CorrelatedPseudoMarginal(), pairs, _log_extended(pairs)),
        KernelCase("exchange algorithm", Exchange(), STATES, _log_doubly_intractable()),
        KernelCase("backward sampling in particle Gibbs", BackwardSampling(), paths, _log_paths(paths)),
        KernelCase("lifted chain on a ring", LiftedRing(), pairs, np.log(POSTERIOR)[pairs[:, 0]]),
        KernelCase(
            "heat bath from a table in float32", HeatBath(np.log(np.array(POSTERIOR, np.float32))), STATES, posterior
        ),
        KernelCase("involution given by a table", TableInvolution(), STATES, posterior),
        KernelCase("Gibbs cycle of reducible parts", cycle, table, np.log(JOINT)[table[:, 0], table[:, 1]]),
        KernelCase(
            "Gibbs, one part alone", RedrawPart(0), table, np.log(JOINT)[table[:, 0], table[:, 1]], ergodic=False
        ),
    )


class KeepsPosterior(Kernel):
    """A kernel on three states that keeps the posterior."""

    @property
    def invariant(self) -> Measure:
        return Prior() * small_likelihood()


class HeatBath(KeepsPosterior):
    """Stays, or draws the next of the three states from the target, whose logarithms are in float32.

    Source: Creutz, Physical Review D 21 (1980).
    """

    log_target: Float[Array, " states"] = eqx.field(converter=jnp.asarray)

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        stay_key, draw_key = jax.random.split(key)
        return jnp.where(flip(stay_key, jnp.log(0.3)), x, choice(draw_key, self.log_target)), ()


class DelayedAcceptance(KeepsPosterior):
    """Asks a cheap surrogate first, and the target only about what the surrogate accepts.

    Source: Christen and Fox, Journal of Computational and Graphical Statistics 14 (2005).
    """

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        propose_key, cheap_key, full_key = jax.random.split(key, 3)
        q, cheap, full = logs(PROPOSAL), logs(SURROGATE), logs(POSTERIOR)
        y = choice(propose_key, q[x])
        cheap_ratio = cheap[y] - cheap[x]
        passed = flip(cheap_key, cheap_ratio + q[y, x] - q[x, y])
        accepted = flip(full_key, full[y] - full[x] - cheap_ratio)
        return jnp.where(passed & accepted, y, x), ()


class MultipleTry(KeepsPosterior):
    """Picks one of two proposals by weight, and proposes once more from there for the way back.

    Source: Liu, Liang and Wong, Journal of the American Statistical Association 95 (2000).
    """

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        try_key, pick_key, back_key, accept_key = jax.random.split(key, 4)
        q, target = logs(PROPOSAL), logs(POSTERIOR)
        tries = choice(try_key, q[x], (2,))
        weights = target[tries] + q[tries, x]
        y = tries[choice(pick_key, weights)]
        back = jnp.stack([choice(back_key, q[y]), x])
        weights_back = target[back] + q[back, y]
        accepted = flip(accept_key, jax.nn.logsumexp(weights) - jax.nn.logsumexp(weights_back))
        return jnp.where(accepted, y, x), ()


class CorrelatedPseudoMarginal(Kernel):
    """Moves a state together with the noise of its estimated density, by a kernel that keeps the noise's law.

    Source: Deligiannidis, Doucet and Pitt, Journal of the Royal Statistical Society B 80 (2018), arXiv 1511.04992.
    """

    def __call__(self, key: PRNGKeyArray, x: Pair) -> tuple[Pair, Info]:
        propose_key, noise_key, accept_key = jax.random.split(key, 3)
        q, estimate = logs(PROPOSAL), logs(POSTERIOR)[:, None] + logs(ESTIMATES)
        y = jnp.stack([choice(propose_key, q[x[0]]), choice(noise_key, logs(NOISE_STEP)[x[1]])])
        log_ratio = estimate[y[0], y[1]] - estimate[x[0], x[1]] + q[y[0], x[0]] - q[x[0], y[0]]
        return jnp.where(flip(accept_key, log_ratio), y, x), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("noise * estimate", _log_noise_and_estimate))


class Exchange(Kernel):
    """Proposes a parameter and data drawn from it, which stand in for the ratio of the unknown constants.

    Source: Murray, Ghahramani and MacKay, Uncertainty in Artificial Intelligence (2006), arXiv 1206.6848.
    """

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        propose_key, data_key, accept_key = jax.random.split(key, 3)
        q, prior, f = logs(PROPOSAL), logs(PRIOR), logs(OUTCOMES)
        y = choice(propose_key, q[x])
        data = choice(data_key, f[y])
        log_ratio = prior[y] + f[y, 1] + f[x, data] - prior[x] - f[x, 1] - f[y, data] + q[y, x] - q[x, y]
        return jnp.where(flip(accept_key, log_ratio), y, x), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("p(parameter | data)", _log_parameter))


class BackwardSampling(Kernel):
    """Runs two particles, one of them held to the old path, and draws the new path backward through all of them.

    Source: Whiteley, discussion of Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72
    (2010); Lindsten and Schon, Foundations and Trends in Machine Learning 6 (2013).
    """

    def __call__(self, key: PRNGKeyArray, x: Path) -> tuple[Path, Info]:
        keys = jax.random.split(key, 8)
        step, seen = logs(TRANSITION), logs(EMISSION)
        lanes = [jnp.stack([x[0], choice(keys[0], logs(INITIAL))])]
        for t in (1, 2):
            parent = lanes[-1][choice(keys[2 * t - 1], seen[t - 1, lanes[-1]])]
            lanes.append(jnp.stack([x[t], choice(keys[2 * t], step[parent])]))
        path = [lanes[2][choice(keys[5], seen[2, lanes[2]])]]
        for t in (1, 0):
            weights = seen[t, lanes[t]] + step[lanes[t], path[0]]
            path.insert(0, lanes[t][choice(keys[7 - t], weights)])
        return jnp.stack(path), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("p(path | data)", _log_path))


class LiftedRing(Kernel):
    """Goes around a ring in one direction, and turns where a step is refused: it keeps its target irreversibly.

    Source: Diaconis, Holmes and Neal, Annals of Applied Probability 10 (2000).
    """

    def __call__(self, key: PRNGKeyArray, x: Pair) -> tuple[Pair, Info]:
        target = logs(POSTERIOR)
        ahead = (x[0] + 2 * x[1] - 1) % 3
        onward, turned = jnp.stack([ahead, x[1]]), jnp.stack([x[0], 1 - x[1]])
        return jnp.where(flip(key, target[ahead] - target[x[0]]), onward, turned), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("posterior * direction", _log_first_of_pair))


class TableInvolution(KeepsPosterior):
    """Draws a bit, exchanges the pair with its partner in a table, and accepts by the ratio of the two pairs.

    Source: Neklyudov, Welling, Egorov and Vetrov, International Conference on Machine Learning (2020), arXiv
    2006.16653.
    """

    def __call__(self, key: PRNGKeyArray, x: Int[Array, ""]) -> tuple[Int[Array, ""], Info]:
        draw_key, accept_key = jax.random.split(key)
        pairs = (logs(POSTERIOR)[:, None] + logs(AUXILIARY)).reshape(-1)
        old = 2 * x + choice(draw_key, logs(AUXILIARY)[x])
        new = jnp.array((3, 4, 5, 0, 1, 2), jnp.int32)[old]
        return jnp.where(flip(accept_key, pairs[new] - pairs[old]), new // 2, x), ()


class RedrawPart(Kernel):
    """Redraws one part of a pair given the other: by itself it never moves the other part.

    Source: Geman and Geman, IEEE Transactions on Pattern Analysis and Machine Intelligence 6 (1984).
    """

    part: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Pair) -> tuple[Pair, Info]:
        table = logs(JOINT)
        conditional = table[:, x[1]] if self.part == 0 else table[x[0]]
        return x.at[self.part].set(choice(key, conditional)), ()

    @property
    def invariant(self) -> Measure:
        return as_measure(Density("joint", _log_joint))


def _pairs(first: int, second: int) -> Int[np.ndarray, "S 2"]:
    return np.array([[i, j] for i in range(first) for j in range(second)], np.int32)


def _log_extended(pairs: Int[np.ndarray, "S 2"]) -> Float[np.ndarray, " S"]:
    x, u = pairs.T
    return np.log(np.array(POSTERIOR)[x] * np.array(NOISE)[u] * np.array(ESTIMATES)[x, u])


def _log_doubly_intractable() -> Float[np.ndarray, " 3"]:
    f = np.array(OUTCOMES)
    return np.log(np.array(PRIOR) * f[:, 1] / f.sum(axis=1))


def _log_paths(paths: Int[np.ndarray, "S 3"]) -> Float[np.ndarray, " S"]:
    step, (x, y, z) = np.array(TRANSITION), paths.T
    seen = np.array(EMISSION)
    return np.log(np.array(INITIAL)[x] * seen[0, x] * step[x, y] * seen[1, y] * step[y, z] * seen[2, z])


def _log_noise_and_estimate(x: Pair) -> Float[Array, ""]:
    return logs(NOISE)[x[1]] + logs(POSTERIOR)[x[0]] + logs(ESTIMATES)[x[0], x[1]]


def _log_parameter(x: Int[Array, ""]) -> Float[Array, ""]:
    f = logs(OUTCOMES)[x]
    return logs(PRIOR)[x] + f[1] - jax.nn.logsumexp(f)


def _log_path(x: Path) -> Float[Array, ""]:
    step, seen = logs(TRANSITION), logs(EMISSION)
    moves = step[x[0], x[1]] + step[x[1], x[2]]
    return logs(INITIAL)[x[0]] + moves + seen[0, x[0]] + seen[1, x[1]] + seen[2, x[2]]


def _log_first_of_pair(x: Pair) -> Float[Array, ""]:
    return logs(POSTERIOR)[x[0]]


def _log_joint(x: Pair) -> Float[Array, ""]:
    return logs(JOINT)[x[0], x[1]]
