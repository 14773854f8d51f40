"""Honest deduction on four atoms, held to entailment by the table of all truth values."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import Draw, Measure, Particles, Reweight, Sampler, Verified
from probinf.distributions import Categorical
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase
from probinf.verifiers.deduction import Claim, Honest, HornTheory, honest_deduction, horn_theory

# a, b and c follow; that d does not hold follows backwards; of e and f nothing does.
_CLAUSES = ("a", "a -> b", "a & b -> c", "c & d -> false", "e -> f")
_PRIOR = np.array([1, 2, 2, 1, 1, 3, 2, 2, 1, 2, 2, 1]) / 20
_BUDGET = 2


class Stated(eqx.Module):
    """The claim behind a number: 2 * atom + value."""

    def __call__(self, x: Int[Array, ""]) -> Claim:
        """The claim."""
        return Claim(x // 2, x % 2)


def deduction_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Deduction with abstention, and the verifier of honest answers in a reward."""
    theory = horn_theory(_CLAUSES)
    answers = Draw(Categorical(np.log(np.array([0.2, 0.3, 0.5], np.float32)), name="answers"))
    chances = _chances(np.log(np.array([0.2, 0.3, 0.5], np.float32)))
    return (
        SamplerCase("honest_deduction", _honest(theory), n=1, target=_target()),
        SamplerCase("Reweight(honest), a question that is settled", answers >> Reweight(Honest(theory, 3)), n=1,
                    target=FiniteMeasure(np.array([0]), np.log(chances[:1]))),
        SamplerCase("Reweight(honest), one that is not", answers >> Reweight(Honest(theory, 4)), n=1,
                    target=FiniteMeasure(np.array([2]), np.log(chances[2:]))),
    )  # fmt: skip


def deduction_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Deduction that says too little, too much, or never nothing."""
    theory = horn_theory(_CLAUSES)
    wrong = {
        "deduction of one step": _honest(OneStep(theory.premises, theory.conclusions)),
        "what does not follow is taken for false": _honest(ClosedWorld(theory.premises, theory.conclusions)),
        "no deduction backwards": _honest(ForwardsOnly(theory.premises, theory.conclusions)),
        "a guess in place of silence": NeverSilent(_honest(theory)),
    }
    return tuple(SamplerCase(name, sampler, n=1, target=_target()) for name, sampler in wrong.items())


def _honest(theory: HornTheory) -> Verified:
    return honest_deduction(Categorical(np.log(_PRIOR).astype(np.float32), name="claims"), theory, Stated(),
                            budget=_BUDGET)  # fmt: skip


def _chances(logs: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    p = np.exp(np.asarray(logs, float))
    return p / p.sum()


def _worlds() -> Bool[np.ndarray, "worlds 6"]:
    """All truth values of a to f for which the clauses hold, written out once more."""
    every = np.array(list(itertools.product((False, True), repeat=6)))
    a, b, c, d, e, f = every.T
    return every[a & (~a | b) & (~(a & b) | c) & ~(c & d) & (~e | f)]


def _target() -> FiniteMeasure:
    worlds = _worlds()
    follows = np.stack([(~worlds).all(axis=0), worlds.all(axis=0)], axis=1).ravel()
    p = np.where(follows, _chances(np.log(_PRIOR).astype(np.float32)), 0.0)
    mass = p / p.sum() * (1 - (1 - p.sum()) ** _BUDGET)
    with np.errstate(divide="ignore"):
        return FiniteMeasure(np.arange(12), np.log(mass))


class OneStep(HornTheory):
    """Forgets that conclusions are premises of others."""

    def chain(self, assumed: Bool[Array, " atoms"]) -> tuple[Bool[Array, " atoms"], Bool[Array, ""]]:
        """Only what facts give at once."""
        fires = self._fires(assumed)
        reached = fires[:, None] & (self.conclusions[:, None] == jnp.arange(self.size)[None])
        return assumed | jnp.any(reached, axis=0), jnp.any(fires & (self.conclusions == -1))


class ClosedWorld(HornTheory):
    """Negation as failure."""

    def entailed(self) -> Int[Array, " atoms"]:
        """Nothing is unknown."""
        return jnp.maximum(super().entailed(), 0)


class ForwardsOnly(HornTheory):
    """Modus ponens alone."""

    def entailed(self) -> Int[Array, " atoms"]:
        """Nothing is refuted."""
        known, _ = self.chain(jnp.zeros(self.size, bool))
        return jnp.where(known, 1, -1)


class NeverSilent(Sampler):
    """Gives the last proposal its weight back where the sampler abstained."""

    inner: Verified

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple]:
        """The wrong cloud."""
        result, info = self.inner(key, cloud)
        return result.replace(log_weights=jnp.zeros_like(result.log_weights)), info

    def meaning(self, m: Measure) -> Measure:
        """That of the right sampler."""
        return self.inner.meaning(m)
