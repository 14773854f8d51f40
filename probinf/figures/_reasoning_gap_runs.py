"""The three estimators on trained networks and on tables, against the truth of every question."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Particles, spawn
from probinf.figures._reasoning_gap_network import SetNetwork, train
from probinf.figures._reasoning_gap_world import SIZE, TRAININGS, Questions, World, adjacent, ask, draw_worlds
from probinf.lm import TabularModel, VariableModel, local_model
from probinf.samplers import direct, free, scaffolded

ESTIMATORS = ("direct", "irrelevant scaffold", "scaffolded", "free")
DRAWS = (1, 3, 10, 30, 100)
_LANES = 200


def measure(key: PRNGKeyArray, steps: int, seeds: int) -> dict[str, Any]:
    """All networks trained and asked, each seed with a tree of its own; and what tables do on the same trees."""
    world_key, train_key, ask_key = jax.random.split(key, 3)
    # Indexed from the front: more seeds keep the trees of the first.
    worlds = _draw_all(jax.vmap(lambda i: jax.random.fold_in(world_key, i))(jnp.arange(seeds)))
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), worlds)
    models, losses = train(train_key, flat, steps)
    keys = jax.random.split(ask_key, seeds * len(TRAININGS))
    found = _measure(keys, flat, models) | {"loss": losses}
    shaped = {k: np.asarray(v, float).reshape(seeds, len(TRAININGS), *v.shape[1:]) for k, v in found.items()}
    return {k: v.tolist() for k, v in (shaped | tables(jax.tree.map(lambda x: x[:, 0], worlds))).items()}


@eqx.filter_jit
def _draw_all(keys: PRNGKeyArray) -> World:
    return jax.vmap(draw_worlds)(keys)


@eqx.filter_jit
def _measure(keys: PRNGKeyArray, worlds: World, models: SetNetwork) -> dict[str, Array]:
    return jax.lax.map(lambda row: errors(*row), (keys, worlds, models))


def errors(key: PRNGKeyArray, world: World, model: VariableModel) -> dict[str, Array]:
    """Mean squared error of each estimator over the questions, by draws, and how often a free thought comes to an end.

    Law: unbiased for every number of draws, from the mean and the variance of the same lanes. The free estimate is over
    draws that came to the target; questions for which fewer than two of all lanes did are left out.
    """
    ask_key, run_key = jax.random.split(key)
    questions = ask(ask_key, world)

    def one(key: PRNGKeyArray, q: Questions) -> tuple[Array, Array]:
        keys = jax.random.split(key, len(ESTIMATORS))

        def given(key: PRNGKeyArray, scaffold: Array) -> Array:
            return _squared_error(scaffolded(model, q.question, scaffold)(key, spawn(_LANES))[0], q.truth)

        # An empty scaffold is the direct answer, so that three estimators share a program.
        through = jax.vmap(given)(keys[:-1], jnp.stack([jnp.full_like(q.path, -1), q.others, q.path]))
        cloud, _ = free(model, q.question, max_steps=SIZE - 1)(keys[-1], spawn(_LANES))
        return jnp.concatenate([through, _squared_error(cloud, q.truth)[None]]), jnp.exp(cloud.log_z)

    each, ended = jax.vmap(one)(jax.random.split(run_key, len(questions.truth)), questions)
    return {
        "error": jnp.nanmean(each, axis=0),
        "ended": jnp.mean(ended),
        "left_out": jnp.mean(jnp.isnan(each[:, -1, 0])),
        "marginal_error": jnp.mean((questions.marginal - questions.truth) ** 2),
        "direct_to_marginal": jnp.mean(_apart(model, questions)),
    }


def _apart(model: VariableModel, questions: Questions) -> Float[Array, " Q"]:
    """Squared distance of the direct answer to the marginal of the target."""

    def one(q: Questions) -> Array:
        cloud, _ = direct(model, q.question)(jax.random.key(0), spawn(1))
        return (cloud.values.probability[0] - q.marginal) ** 2

    return jax.vmap(one)(questions)


def _squared_error(cloud: Particles, truth: Float[Array, ""]) -> Float[Array, " draws"]:
    """Of the mean over so many draws; NaN from fewer than two."""
    alive = cloud.log_weights > -jnp.inf
    count = jnp.sum(alive)
    p = cloud.values.probability
    mean = jnp.sum(jnp.where(alive, p, 0.0)) / jnp.maximum(count, 1)
    variance = jnp.sum(jnp.where(alive, (p - mean) ** 2, 0.0)) / jnp.maximum(count - 1, 1)
    found = (mean - truth) ** 2 - variance / jnp.maximum(count, 1) + variance / jnp.array(DRAWS, float)
    return jnp.where(count >= 2, found, jnp.nan)


def tables(worlds: World) -> dict[str, Float[np.ndarray, "..."]]:
    """The direct and the scaffolded estimate of exactly solvable models, without sampling, in float64.

    `table_`: of tables that back off to marginals, the largest distance over all questions of the direct answer to the
    marginal by enumeration of all values, and of the scaffolded one to the truth; `shrunk_`: of tables mixed with
    uniform ones, mean squared errors.
    """
    with jax.enable_x64(True):
        double = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, worlds
        )
        found = {name: np.asarray(value) for name, value in _tables(double).items()}
    # Not those of `log_marginals`: the tables are made of these, so that the answer could not differ.
    networks = zip(np.asarray(double.network.parents), np.asarray(double.network.log_probs), strict=True)
    marginals = [_enumerated(*row) for row in networks]
    at_once, target = found.pop("at_once"), found.pop("target")
    wanted = np.take_along_axis(np.stack(marginals), target, axis=1)
    return {"table_direct_to_marginal": np.max(np.abs(at_once - wanted), axis=1)} | found


def _enumerated(
    parents: Int[np.ndarray, " variables"], log_probs: Float[np.ndarray, "variables 2 2"]
) -> Float[np.ndarray, " variables"]:
    """P(x_i = 1) of a tree from the joint probability of all its values."""
    p = np.exp(log_probs)
    p /= p.sum(axis=-1, keepdims=True)
    x = np.array(list(itertools.product((0, 1), repeat=len(parents))))
    each = np.arange(len(parents))
    above = np.where(each == 0, 0, x[:, np.where(each == 0, 0, parents)])
    return np.prod(p[each, above, x], axis=1) @ x


@eqx.filter_jit
def _tables(worlds: World) -> dict[str, Array]:
    def one(world: World) -> dict[str, Array]:
        questions = ask(jax.random.key(0), world)
        net, near = world.network, adjacent(world)
        logs = net.log_conditionals(), net.log_marginals(), near
        backing_off, shrunk = local_model(*logs), local_model(*logs, shrinkage=0.5)
        at_once, through = _answers(backing_off, questions)
        shrunk_at_once, shrunk_through = _answers(shrunk, questions)
        return {
            "at_once": at_once,
            "target": jnp.asarray(questions.question.target),
            "table_scaffolded_to_truth": jnp.max(jnp.abs(through - questions.truth)),
            "shrunk_direct_error": jnp.mean((shrunk_at_once - questions.truth) ** 2),
            "shrunk_scaffolded_error": jnp.mean((shrunk_through - questions.truth) ** 2),
        }

    return jax.vmap(one)(worlds)


def _answers(model: TabularModel, questions: Questions) -> tuple[Array, Array]:
    none = jnp.zeros(0, jnp.int32)
    at_once = jax.vmap(lambda q: model.log_answer(q, none))(questions.question)
    through = jax.vmap(model.log_answer)(questions.question, questions.path)
    return jnp.exp(at_once[:, 1]), jnp.exp(through[:, 1])
