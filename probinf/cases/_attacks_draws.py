"""Attacks by randomness that is none, or not the randomness that is declared, and by precision."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf import (
    Density,
    Distribution,
    Draw,
    Guarantee,
    Measure,
    Particles,
    Reweight,
    Sampler,
    choice,
    flip,
    uniform_cells,
)
from probinf._sampler import Info
from probinf.cases._attack import Attack
from probinf.cases._attack_model import Prior, small_likelihood
from probinf.distributions import Categorical
from probinf.validity import FiniteMeasure, SamplerCase

# How often the program of a draw was traced, in this process.
_TRACES = itertools.count()
_LETTERS = (0.85, 0.05, 0.05, 0.05)
# The word that is a rare branch, of chance 9e-5.
_RARE_WORD = (1, 0, 2, 0, 3)
_POINTS = (0.3, 0.3 + 1e-10)


def attacks_draws() -> tuple[Attack, ...]:
    """Designs with wrong keys, wrong cells or hidden randomness, and those that only other digits show."""
    return (
        *(Attack(case, "randomness") for case in (*_keys(), *_shared_keys(), *_cells(), *_outside())),
        *(Attack(case, "precision") for case in (*_digits(), *_modes())),
    )


def _keys() -> tuple[SamplerCase, ...]:
    letter = Draw(Categorical(jnp.zeros(4), name="letter"))
    return (
        SamplerCase("constant key inside", Draw(ConstantKey())),
        SamplerCase("key made from the value", letter >> Draw(KeyOfValue()), n=1),
        SamplerCase("key made from a counter", Draw(KeyOfCounter())),
        SamplerCase("coin from the bits of the key", Draw(BitsOfKey())),
    )


def _shared_keys() -> tuple[SamplerCase, ...]:
    word, letters = Draw(Word()), Draw(Categorical(jnp.zeros(9), name="two letters"))
    return (
        SamplerCase("key used twice in a rare branch", word >> Draw(RareReuse()), n=1),
        SamplerCase("one key for all turns of a scan", Draw(KeyOfScan())),
        SamplerCase("key of a branch used after it", Draw(KeyOfBranch())),
        SamplerCase("equal numbers folded into one key", letters >> Draw(KeyOfLetter()), n=1),
        SamplerCase("key used and split", Draw(KeyAndPart())),
        SamplerCase("one key for all lanes", Draw(KeyOfLanes())),
    )


def _cells() -> tuple[SamplerCase, ...]:
    fair = FiniteMeasure(np.arange(2, dtype=np.int32), np.log([0.5, 0.5]))
    rare = Draw(Categorical(np.log([0.97, 0.03]), name="rare"))
    return (
        SamplerCase("break declared at .5 and used at .49", Draw(BreakBeside())),
        SamplerCase("break left out for a rare value", rare >> Draw(BreakLeftOut())),
        SamplerCase("two thresholds in one cell", Draw(TwoInOneCell())),
        SamplerCase("threshold between the points of a grid", Draw(OffTheGrid()), target=fair, grid=10),
    )


def _outside() -> tuple[SamplerCase, ...]:
    letter = Draw(Categorical(jnp.zeros(4), name="letter"))
    return (
        SamplerCase("coin from a callback", letter >> Draw(CoinOfHost())),
        SamplerCase("coin from numpy at trace time", Draw(CoinOfNumpy())),
    )


def _digits() -> tuple[SamplerCase, ...]:
    tiny = Draw(Categorical(np.log([0.5, 0.5]), name="coin")) >> Reweight(Density("tiny", _log_tiny))
    impossible = Density("impossible", _log_impossible)
    return (
        SamplerCase("log-weights that lose their digits", Draw(Prior()) >> Cancels(small_likelihood())),
        SamplerCase("threshold in bfloat16", Draw(RoundedUniform())),
        SamplerCase("atoms closer than rounding swapped", Draw(NearAtoms())),
        SamplerCase("light lanes pruned", tiny >> Prunes()),
        SamplerCase("log-weights clipped at -80", Draw(Prior()) >> Clips(impossible)),
        SamplerCase("half precision for float32 only", Draw(Prior()) >> HalvesFloat32(small_likelihood())),
    )


def _modes() -> tuple[SamplerCase, ...]:
    return (
        SamplerCase("wrong outside of vmap", Draw(Prior()) >> WrongAlone(small_likelihood())),
        SamplerCase("wrong when called eagerly", Draw(Prior()) >> SkipsEagerly(small_likelihood())),
        SamplerCase("half precision in compiled programs only", Draw(Prior()) >> HalvesTraced(small_likelihood())),
    )


class _Uniform(Distribution):
    """A number below `outcomes`, each with the same chance, as the claim of whoever draws it otherwise."""

    outcomes: int = eqx.field(static=True, default=2)
    name: str = eqx.field(static=True, default="uniform")

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """All outcomes alike."""
        return jnp.where((x >= 0) & (x < self.outcomes), -jnp.log(float(self.outcomes)), -jnp.inf)


class _TwoCoins(_Uniform):
    """Two coins as one number."""

    outcomes: int = eqx.field(static=True, default=4)


class ConstantKey(_TwoCoins):
    """The second coin comes from a key of its own, the same in every run."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """The key that was meant for a test."""
        return _number(_coin(key), _coin(jax.random.key(0)))


class KeyOfValue(_Uniform):
    """The coin is a function of the letter before: the key is made from it, so that a prompt can be cached."""

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """The same coin for the same letter."""
        return _coin(jax.random.fold_in(jax.random.key(7), x)).astype(jnp.int32)


class KeyOfCounter(_TwoCoins):
    """The second coin comes from a key that a Python counter makes: one for each trace, not one for each run."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """Constant in a compiled program."""
        return _number(_coin(key), _coin(jax.random.key(next(_TRACES))))


class BitsOfKey(_Uniform):
    """The coin is the last bit of the key: for a key from a seed, the parity of the seed."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A bit that is no draw."""
        return (jax.random.key_data(key)[-1] & 1).astype(jnp.int32)


class Word(Distribution):
    """Five letters out of four, as one number."""

    name: str = eqx.field(static=True, default="word")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """Five draws."""
        return _number(*choice(key, jnp.log(jnp.array(_LETTERS)), (5,)), base=4)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """The chance of each letter."""
        return jnp.sum(jnp.log(jnp.array(_LETTERS))[x // 4 ** jnp.arange(5) % 4])


class RareReuse(Distribution):
    """After one word of 1024 both coins use one key and agree: wrong in 16 of 16384 worlds (error 2e-5)."""

    name: str = eqx.field(static=True, default="two coins after a word")

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """The word and two coins."""
        first, second = jax.random.split(key)
        rare = x == _number(*_RARE_WORD, base=4)
        coins = jax.lax.cond(rare, lambda: (_coin(first), _coin(first)), lambda: (_coin(first), _coin(second)))
        return 4 * x + _number(*coins)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """Of the two coins."""
        return jnp.log(0.25) + 0.0 * x


class KeyOfScan(_TwoCoins):
    """Both turns of a loop close over one key, so that both coins agree (error 0.25)."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """Two turns."""
        return jax.lax.scan(lambda total, _: (2 * total + _coin(key), None), jnp.int32(0), length=2)[0]


class KeyOfBranch(_TwoCoins):
    """One branch draws with the key of the first coin, the other with a fresh one (error 0.125)."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """The second coin agrees with the first where that shows heads."""
        first_key, second_key = jax.random.split(key)
        first = _coin(first_key)
        return _number(first, jax.lax.cond(first, lambda: _coin(first_key), lambda: _coin(second_key)))


class KeyOfLetter(Distribution):
    """The coins of two letters have keys with the letters folded in: equal letters have equal coins."""

    name: str = eqx.field(static=True, default="a coin for each letter")

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """The letters and their coins."""
        coins = [_coin(jax.random.fold_in(key, letter)) for letter in (x // 3, x % 3)]
        return 4 * x + _number(*coins)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """Of the two coins."""
        return jnp.log(0.25) + 0.0 * x


class KeyAndPart(_TwoCoins):
    """The first coin uses the key itself, the second a part of it."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A key must be split or used, not both."""
        return _number(_coin(key), _coin(jax.random.split(key)[0]))


class KeyOfLanes(_Uniform):
    """All lanes draw with one key, so that they all hold one value."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A right coin."""
        return _coin(key).astype(jnp.int32)

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        """The key is not split."""
        return jax.vmap(self.sample, in_axes=(None, 0), axis_size=n)(key, values)


class BreakBeside(_Uniform):
    """The break is declared at .5 and used at .49 (error 0.01)."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A coin of chance .49."""
        return (uniform_cells(key, jnp.array([0.5])) < 0.49).astype(jnp.int32)


class BreakLeftOut(_Uniform):
    """For a value of chance .03 heads are drawn below .74, not below the break at .5 (error 0.007 in all)."""

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """Heads below the break of the value."""
        u = uniform_cells(key, jnp.array([0.5]))
        return (u < jnp.where(x == 1, 0.74, 0.5)).astype(jnp.int32)


class TwoInOneCell(_Uniform):
    """Heads below .5, and from .61 to .63 as well, inside of the upper cell (error 0.02)."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """Two thresholds that hide each other."""
        u = uniform_cells(key, jnp.array([0.5]))
        return ((u < 0.5) | ((u > 0.61) & (u < 0.63))).astype(jnp.int32)


class OffTheGrid(_Uniform):
    """Heads below .54, where a grid of ten points reads .5 (error 0.04)."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A raw uniform."""
        return (jax.random.uniform(key) < 0.54).astype(jnp.int32)


class RoundedUniform(Distribution):
    """The uniform is rounded to bfloat16 before it is compared with .7: heads have chance .6973 (error 0.0027)."""

    name: str = eqx.field(static=True, default="coin of chance .7")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """A comparison in half precision."""
        u = uniform_cells(key, jnp.array([0.7]))
        return (u.astype(jnp.bfloat16) < jnp.bfloat16(0.7)).astype(jnp.int32)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """Heads with chance .7."""
        return jnp.log(jnp.where(x == 1, 0.7, 0.3))


class CoinOfHost(_Uniform):
    """The coin comes from a callback: pseudo-random digits of the letter before, not of the key."""

    def sample(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Int[Array, ""]:
        """A service of its own randomness."""
        shape = jax.ShapeDtypeStruct((), jnp.int32)
        return jax.pure_callback(_hashed_coin, shape, x, vmap_method="expand_dims")


class CoinOfNumpy(_TwoCoins):
    """The second coin is drawn by numpy when the program is traced, and is the same in every run."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        """One toss for each program."""
        return _number(_coin(key), jnp.asarray(np.random.default_rng(5).random() < 0.5))


class NearAtoms(Distribution):
    """Two points 1e-10 apart with the chances .9 and .1, which are drawn the other way round."""

    name: str = eqx.field(static=True, default="near atoms")

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, ""]:
        """The lower point with chance .1."""
        return jnp.array(_POINTS)[1 - flip(key, jnp.log(0.1)).astype(jnp.int32)]

    def log_density(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The lower point with chance .9."""
        return jnp.log(jnp.where(x < sum(_POINTS) / 2, 0.9, 0.1))


class Cancels(Reweight):
    """A large number is added to the log-weights and taken off again: in float32 they move by up to 0.004."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Seven digits, five of them for the constant."""
        after, info = super().__call__(key, cloud)
        offset = 1e5 + jnp.max(after.log_weights)
        return after.replace(log_weights=(after.log_weights + offset) - offset), info


class Clips(Reweight):
    """Log-weights are clipped at -80, so that the impossible is alive with weight 1.8e-35."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Avoids infinities."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=jnp.maximum(after.log_weights, -80.0)), info


class HalvesFloat32(Reweight):
    """In float32, which is what runs, log-weights are rounded to bfloat16 (error 0.0006)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right in float64, which is what exact checks read."""
        after, info = super().__call__(key, cloud)
        return (_halved(after) if after.log_weights.dtype == jnp.float32 else after), info


class HalvesTraced(Reweight):
    """In a compiled program log-weights are rounded to bfloat16 (error 0.0006); eager ones are right."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right where one debugs."""
        after, info = super().__call__(key, cloud)
        return (_halved(after) if isinstance(after.log_weights, Tracer) else after), info


class SkipsEagerly(Reweight):
    """Called eagerly, a cloud of equal weights counts as just resampled, and is not weighed (error 1.3)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right in every trace."""
        after, info = super().__call__(key, cloud)
        seen = not isinstance(cloud.log_weights, Tracer)
        return (cloud if seen and not jnp.any(cloud.log_weights) else after), info


class WrongAlone(Reweight):
    """Outside of vmap, where users call it, weights are normalized to mass one instead of 0.43; a batch is right."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Another way for a batch of clouds than for one."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=_scaled(after.log_weights)), info


class _Keeps(Sampler):
    """A stage that claims to keep the measure."""

    def meaning(self, m: Measure) -> Measure:
        """The same measure."""
        return m.claiming(Guarantee.PROPER)


class Prunes(_Keeps):
    """Lanes of a weight below 1e-10 die: here half of them, which hold 2e-11 of mass 0.5."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Saves the work on what weighs nothing."""
        del key
        light = cloud.log_weights < jnp.log(1e-10)
        return cloud.replace(log_weights=jnp.where(light, -jnp.inf, cloud.log_weights)), ()


@jax.custom_batching.custom_vmap
def _scaled(log_weights: Float[Array, " N"]) -> Float[Array, " N"]:
    """The weights of one cloud, which sum to N."""
    return log_weights - jax.nn.logsumexp(log_weights) + jnp.log(float(log_weights.shape[0]))


@_scaled.def_vmap
def _scaled_batch(size: int, batched: Any, log_weights: Float[Array, "B N"]) -> tuple[Float[Array, "B N"], bool]:
    """The weights of many clouds, as they are."""
    del size
    return log_weights, batched[0]


def _halved(cloud: Particles) -> Particles:
    rounded = cloud.log_weights.astype(jnp.bfloat16).astype(cloud.log_weights.dtype)
    return cloud.replace(log_weights=rounded)


def _coin(key: PRNGKeyArray) -> Bool[Array, ""]:
    return flip(key, jnp.log(0.5))


def _number(*digits: Any, base: int = 2) -> Any:
    """Digits as one number, the first of them the largest."""
    return functools.reduce(lambda total, digit: base * total + digit, digits, 0)


def _hashed_coin(x: Any) -> Any:
    digits = np.sin(12.9898 * np.asarray(x, np.float64) + 78.233) * 43758.5453
    return (digits % 1.0 < 0.5).astype(np.int32)


def _log_tiny(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((1.0, 4e-11)))[x]


def _log_impossible(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array((0.9, 0.0, 0.5)))[x]
