"""Continuous models that the tests of several devices share, and a comparison to the bit."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from probinf import (
    Choose,
    Distribution,
    Draw,
    Factor,
    Map,
    MeaningError,
    Nested,
    Proportional,
    Resample,
    Reweight,
    Sampler,
    Twist,
    Verified,
    While,
)
from probinf.distributions import HiddenMarkovModel
from probinf.kernels import MetropolisHastings, random_walk
from probinf.samplers import bootstrap_filter, tempered_smc


class Normal(Distribution):
    """Independent normals."""

    scale: jax.Array
    name: str = eqx.field(static=True, default="normal")

    def sample(self, key: jax.Array, x: Any) -> jax.Array:
        return self.scale * jax.random.normal(key, self.scale.shape)

    def log_density(self, x: Any) -> jax.Array:
        return jnp.sum(dist.Normal(0.0, self.scale).log_prob(x))


class Step(Distribution):
    """A linear step with noise."""

    slope: jax.Array
    name: str = eqx.field(static=True, default="step")

    def sample(self, key: jax.Array, x: Any) -> jax.Array:
        return self.slope * x + 0.5 * jax.random.normal(key, x.shape)

    def log_density(self, x: Any) -> jax.Array:
        raise MeaningError("the density of a step depends on where it started")


class Seen(Factor):
    """A noisy observation of every entry."""

    y: jax.Array
    name: str = eqx.field(static=True, default="seen")

    def log_density(self, x: Any) -> jax.Array:
        return jnp.sum(dist.Normal(x, 0.7).log_prob(self.y))


class LinearGaussian(eqx.Module):
    """A state space model with one slope for each entry."""

    slope: jax.Array

    def step(self, row: jax.Array) -> Step:
        del row
        return Step(self.slope)

    def seen(self, row: jax.Array) -> Seen:
        return Seen(row)


class Banana(Factor):
    """A bent likelihood on the plane."""

    bend: jax.Array
    name: str = eqx.field(static=True, default="banana")

    def log_density(self, x: Any) -> jax.Array:
        return -0.5 * ((x[0] - 1) ** 2 / 0.5 + (x[1] - self.bend * x[0] ** 2) ** 2 / 0.3)


class Above(eqx.Module):
    """Whether the first entry is above a level."""

    level: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return x[0] > self.level


class AnyBelow(eqx.Module):
    """Whether some lane's first entry is below a level."""

    level: jax.Array

    def __call__(self, cloud: Any) -> jax.Array:
        return jnp.any(cloud.values[:, 0] < self.level)


def linear_gaussian(entries: int, resample: Sampler, steps: int = 4, seed: int = 0) -> Sampler:
    model = LinearGaussian(jnp.linspace(0.5, 0.9, entries))
    ys = jnp.asarray(np.random.default_rng(seed).normal(size=(steps, entries)), jnp.float32)
    return bootstrap_filter(Normal(jnp.ones(entries)), model.step, model.seen, ys, resample=resample)


def tempered_banana() -> Sampler:
    make_kernel = eqx.Partial(MetropolisHastings, proposal=random_walk(0.8))
    return tempered_smc(Normal(jnp.full(2, 2.0)), Banana(jnp.float32(0.7)), make_kernel, [0.1, 0.4, 1.0])


def finite_filter() -> Sampler:
    hmm = HiddenMarkovModel(np.log([0.6, 0.4]), np.log([[0.7, 0.3], [0.2, 0.8]]), np.log([[0.9, 0.1], [0.35, 0.65]]), 5)
    return bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, hmm.rows(jnp.array([0, 1, 1, 0, 1])))


def twisted_loop() -> Sampler:
    """Twist, a loop over islands, and one answer in the end."""
    prior, seen = Normal(jnp.ones(2)), Seen(jnp.ones(2))
    turn = Draw(Step(jnp.ones(2))) >> Reweight(seen) >> Resample(islands=4)
    loop, one = While(turn, AnyBelow(jnp.float32(-2.0)), 3), Choose(Proportional())
    # What follows a choice runs on one lane, which every device has.
    return Draw(prior) >> Twist(seen) >> loop >> one >> Resample() >> one >> Map(jnp.sum)


def nested_verified() -> Sampler:
    prior, seen = Normal(jnp.ones(2)), Seen(jnp.ones(2))
    inner = Draw(prior) >> Reweight(seen) >> Resample()
    tries = Verified(Draw(Step(jnp.ones(2))), Above(jnp.float32(0.5)), 3)
    return Nested(inner, 4) >> tries >> Resample()


def genealogy(cloud: Any, info: Any) -> tuple:
    """All ancestors in the info of a step, to be recorded."""
    del cloud
    if not isinstance(info, tuple):
        return ()
    own = (info.ancestors,) if "ancestors" in getattr(info, "_fields", ()) else ()  # pyright: ignore[reportAttributeAccessIssue]
    return own + sum((genealogy(None, part) for part in info), ())


def differences(a: Any, b: Any) -> dict[str, tuple[int, float]]:
    """The leaves that are not equal to the bit: how many entries, and by how much at most."""
    found = {}
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape or x.dtype != y.dtype:
            found[jax.tree_util.keystr(path)] = (-1, float("inf"))
        elif x.tobytes() != y.tobytes():
            unequal = x != y
            off = np.abs(np.where(unequal, x, 0).astype(float) - np.where(unequal, y, 0).astype(float))
            found[jax.tree_util.keystr(path)] = (int(unequal.sum()), float(off.max()))
    return found
