"""Searches over many problems and seeds, each one compiled program, and what selections make of their clouds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from probinf import Particles, Sampler, spawn
from probinf.lm import Reasoning, Solutions
from probinf.samplers import FinalReward, Selected, select

# As many lanes at once as fill two cores while their caches stay near: ten times as many run at half the speed.
LANES = 1_280


class Problems(NamedTuple):
    """Padded prompts, their lengths, and the right answers."""

    prompt_ids: Int[Array, "problems bucket"]
    lengths: Int[Array, " problems"]
    answers: Int[Array, " problems"]


class Search(eqx.Module):
    """A sampler of one problem's cloud of `n` lanes, built from the problem's writer.

    `make` must be a module-level function or a Module, so that other problems and weights compile nothing anew.
    """

    make: Callable[[Reasoning], Sampler]
    n: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, writer: Reasoning) -> Particles[Solutions]:
        """The final cloud."""
        return self.make(writer)(key, spawn(self.n))[0]


class Clouds(NamedTuple):
    """The final clouds of a batch of problems, and what each cost."""

    answers: Int[Array, "problems n"]
    log_rewards: Float[Array, "problems n"]
    log_weights: Float[Array, "problems n"]
    tokens: Int[Array, " problems"]
    reward_calls: Int[Array, " problems"]


@eqx.filter_jit
def final_clouds(
    search: Callable[[PRNGKeyArray, Reasoning], Particles[Solutions]],
    writer: Reasoning,
    answer: Callable[[Any], Int[Array, ""]],
    problems: Problems,
    keys: Key[Array, " problems"],
) -> Clouds:
    """One search of each problem, in one program."""

    def one(key: PRNGKeyArray, problem: Problems) -> Clouds:
        cloud = search(key, writer.with_prompt(problem.prompt_ids, problem.lengths))
        values = cloud.values
        lanes = eqx.tree_at(lambda s: s.generation.state, values, ())
        return Clouds(
            jax.vmap(answer)(lanes.generation),
            FinalReward().log_density_lanes(values, cloud.n),
            cloud.log_weights,
            jnp.sum(values.spent.tokens),
            jnp.sum(values.spent.reward_calls),
        )

    return jax.vmap(one)(keys, problems)


class Accuracy(NamedTuple):
    """What every selection makes of a group of lanes: whether it found the right answer, and whether any lane did."""

    argmax: Float[Array, ""]
    vote: Float[Array, ""]
    majority: Float[Array, ""]
    draw: Float[Array, ""]
    any: Float[Array, ""]


class Lanes(NamedTuple):
    """Which lanes of a cloud are chosen from: those from `begin` to `end`, in independent groups of `group`."""

    begin: int
    end: int
    group: int


@eqx.filter_jit
def accuracies(key: PRNGKeyArray, clouds: Clouds, right: Int[Array, " problems"], lanes: Lanes) -> Accuracy:
    """Mean over each problem's groups of lanes."""
    problems, groups = len(right), (lanes.end - lanes.begin) // lanes.group
    cut = lambda x: x[:, lanes.begin : lanes.end].reshape(problems * groups, lanes.group)  # noqa: E731
    truths = jnp.repeat(right, groups)

    def one(key: PRNGKeyArray, answers: Array, log_r: Array, log_w: Array, right: Array) -> Accuracy:
        chosen: Selected = select(key, answers, log_r, log_w)
        correct = (answers == right).astype(jnp.float32)
        return Accuracy(*(correct[lane] for lane in chosen), any=jnp.max(correct))

    rows = (cut(clouds.answers), cut(clouds.log_rewards), cut(clouds.log_weights), truths)
    found = jax.vmap(one)(jax.random.split(key, len(truths)), *rows)
    return jax.tree.map(lambda x: x.reshape(problems, groups).mean(axis=1), found)


def run_search(
    key: PRNGKeyArray,
    search: Callable[[PRNGKeyArray, Reasoning], Particles[Solutions]],
    n: int,
    writer: Reasoning,
    answer: Callable[[Any], Int[Array, ""]],
    problems: Problems,
    seeds: int,
    groups: Mapping[int, Lanes],
) -> dict[str, Any]:
    """Accuracies [problem, seed] of every selection at each budget of `groups`, and the cost of one cloud.

    `tokens` and `reward_calls` are means over problems and seeds; `seconds` are those of all searches together, without
    compiling. Results are plain lists, for `Cells`.
    """
    count = len(problems.answers)
    repeated = jax.tree.map(lambda leaf: np.tile(np.asarray(leaf), (seeds,) + (1,) * (leaf.ndim - 1)), problems)
    run_key, select_key = jax.random.split(key)
    keys = jax.random.split(run_key, count * seeds)
    batch = min(count * seeds, max(1, LANES // n))
    place = np.arange(-(-count * seeds // batch) * batch).reshape(-1, batch) % (count * seeds)
    rows = [(jax.tree.map(lambda leaf, at=at: jnp.asarray(leaf[at]), repeated), keys[at]) for at in place]
    program = final_clouds.lower(search, writer, answer, *rows[0]).compile()
    started = time.perf_counter()
    parts = [jax.block_until_ready(program(search, writer, answer, *row)) for row in rows]
    seconds = time.perf_counter() - started
    clouds = jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[: count * seeds], *parts)
    table = lambda x: np.asarray(x, float).reshape(seeds, count).T.round(6).tolist()  # noqa: E731
    right = jnp.asarray(repeated.answers)
    return {
        "accuracy": {
            str(budget): {name: table(x) for name, x in accuracies(select_key, clouds, right, lanes)._asdict().items()}
            for budget, lanes in groups.items()
        },
        "tokens": float(clouds.tokens.mean()),
        "reward_calls": float(clouds.reward_calls.mean()),
        "seconds": seconds * count * seeds / place.size,
    }
