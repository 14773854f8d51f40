"""A small network that reads a string as a set of variables with values, and its training on fresh strings."""

from __future__ import annotations

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf.figures._reasoning_gap_world import SIZE, Line, World, draw_line
from probinf.lm import Trace, VariableModel

_WIDTH, _BATCH, _RATE = 64, 64, 4e-3


class SetNetwork(VariableModel):
    """A perceptron of two hidden layers: from what is written and the target to the next variable and all values.

    Law: P(next) and P(value) depend on the set of variables written so far, not on their order.
    """

    first: Float[Array, "inputs width"]
    second: Float[Array, "width width"]
    last: Float[Array, "width outputs"]
    first_bias: Float[Array, " width"]
    second_bias: Float[Array, " width"]
    last_bias: Float[Array, " outputs"]

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.last.shape[1] // 2

    def outputs(self, trace: Trace, target: int | Int[Array, ""]) -> Float[Array, "2 variables"]:
        """Logits of each variable to be the next, and log-odds of each to be one."""
        here = trace.variables[:, None] == jnp.arange(self.size)[None]
        signs = jnp.sum(jnp.where(here, 2.0 * trace.values[:, None] - 1.0, 0.0), axis=0)
        written = jnp.any(here, axis=0).astype(float)
        asked = (jnp.arange(self.size) == target).astype(float)
        x = jnp.concatenate([signs, written, asked])
        x = jax.nn.relu(x @ self.first + self.first_bias)
        x = jax.nn.relu(x @ self.second + self.second_bias)
        return (x @ self.last + self.last_bias).reshape(2, self.size)

    def log_next(self, trace: Trace, target: int | Int[Array, ""]) -> Float[Array, " variables"]:
        """The logits."""
        return self.outputs(trace, target)[0]

    def log_value(
        self, trace: Trace, target: int | Int[Array, ""], variable: int | Int[Array, ""]
    ) -> Float[Array, " 2"]:
        """Of the two values of one variable."""
        return _log_values(self.outputs(trace, target)[1, variable])


def initial(key: PRNGKeyArray) -> SetNetwork:
    """Random weights of unit gain, and no biases."""
    shapes = [(3 * SIZE, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH, 2 * SIZE)]
    keys = jax.random.split(key, 3)
    weights = [jax.random.normal(k, s) * (2 / s[0]) ** 0.5 for k, s in zip(keys, shapes, strict=True)]
    return SetNetwork(*weights, *(jnp.zeros(s[1]) for s in shapes))


def loss(model: SetNetwork, lines: Line) -> Float[Array, ""]:
    """Mean negative log-probability of the next variable, among those not written, and of its value, in nats."""

    def one(line: Line) -> Array:
        names, odds = model.outputs(line.trace, line.target)
        names = jnp.where(line.trace.mentions(model.size), -jnp.inf, names)
        log_p = jax.nn.log_softmax(names)[line.variable] + _log_values(odds[line.variable])[line.value]
        return -jnp.where(line.weight > 0, log_p, 0.0)

    return jnp.sum(jax.vmap(one)(lines)) / jnp.maximum(jnp.sum(lines.weight), 1.0)


@eqx.filter_jit
def train(key: PRNGKeyArray, worlds: World, steps: int) -> tuple[SetNetwork, Float[Array, " W"]]:
    """One network for each world, all at once, by Adam with a cosine to zero; and their losses over the last tenth."""
    optimizer = optax.adam(optax.cosine_decay_schedule(_RATE, steps))

    def run(key: PRNGKeyArray, world: World) -> tuple[SetNetwork, Array]:
        start_key, data_key = jax.random.split(key)

        def step(carry: tuple, t: Array) -> tuple[tuple, Array]:
            model, memory = carry
            keys = jax.random.split(jax.random.fold_in(data_key, t), _BATCH)
            value, gradient = jax.value_and_grad(loss)(model, jax.vmap(lambda k: draw_line(k, world))(keys))
            change, memory = optimizer.update(gradient, memory)
            return (optax.apply_updates(cast(Any, model), change), memory), value

        model = initial(start_key)
        (model, _), losses = jax.lax.scan(step, (model, optimizer.init(cast(Any, model))), jnp.arange(steps))
        return model, jnp.mean(losses[-(steps // 10 + 1) :])

    return jax.vmap(run)(jax.random.split(key, worlds.dropout.shape[0]), worlds)


def _log_values(odds: Float[Array, ""]) -> Float[Array, " 2"]:
    return jnp.stack([jax.nn.log_sigmoid(-odds), jax.nn.log_sigmoid(odds)])
