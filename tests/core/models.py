"""Small factors and states that the tests of the core share."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinf import Distribution, Factor, LaneState, choice
from probinf.distributions import Categorical

PRIOR = np.log([0.2, 0.5, 0.3])
LIKELIHOOD = np.log([0.9, 0.2, 0.5])


class Table(Factor):
    """A potential of an index, as data."""

    log_values: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="table")

    def log_density(self, x: Any) -> jax.Array:
        return self.log_values[x]


class Walk(Distribution):
    """A step of a Markov chain: row x of the table is the law of the next index."""

    log_rows: jax.Array = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="walk")

    def sample(self, key: jax.Array, x: Any) -> jax.Array:
        return choice(key, self.log_rows[x])

    def log_density(self, x: Any) -> jax.Array:
        raise NotImplementedError("the tests need draws only")


class OnHost(Factor):
    """A potential that Python computes from concrete values."""

    log_values: Any = eqx.field(converter=np.asarray)
    name: str = eqx.field(static=True, default="on host")

    @property
    def traceable(self) -> bool:
        return False

    def log_density(self, x: Any) -> jax.Array:
        return jnp.asarray(self.log_values[int(x)])

    def log_density_lanes(self, values: Any, n: int) -> jax.Array:
        return jnp.asarray([float(self.log_values[int(x)]) for x in values])


class Box(LaneState):
    """Lanes that own their layout."""

    content: jax.Array

    def take(self, ancestors: jax.Array) -> "Box":
        return Box(self.content[ancestors])


class Grow(Distribution):
    """Adds one to every lane of a Box."""

    name: str = eqx.field(static=True, default="grow")

    def sample(self, key: jax.Array, x: Any) -> Any:
        raise NotImplementedError("a Box moves as a whole")

    def sample_lanes(self, key: jax.Array, values: Box, n: int) -> Box:
        return Box(values.content + 1.0)

    def log_density(self, x: Any) -> jax.Array:
        raise NotImplementedError("the tests need draws only")


class Level(Factor):
    """A potential of a Box, by its lanes; on the host or not."""

    on_host: bool = eqx.field(static=True, default=False)
    name: str = eqx.field(static=True, default="level")

    @property
    def traceable(self) -> bool:
        return not self.on_host

    def log_density(self, x: Any) -> jax.Array:
        raise NotImplementedError("a Box is weighed as a whole")

    def log_density_lanes(self, values: Box, n: int) -> jax.Array:
        return values.content


def prior(log_probs: Any = PRIOR) -> Categorical:
    return Categorical(log_probs, name="prior")


def likelihood(log_values: Any = LIKELIHOOD) -> Table:
    return Table(np.asarray(log_values, np.float32), "likelihood")
