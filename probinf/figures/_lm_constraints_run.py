"""One cell of the constrained-generation experiment: one prompt, one seed, one number of particles."""

import zlib
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from probinf import sample
from probinf._particles import log_mean_exp
from probinf.lm import Metered, TextModel
from probinf.samplers import particle_filtering
from probinf.verifiers import Accepted, Task, TextPotential, count_distinct
from probinf.verifiers._lane_texts import lane_texts


@dataclass(frozen=True)
class Settings:
    """What a cell's result depends on, besides the model, the prompt and the key.

    A batch always has `lanes` lanes: with N particles it holds lanes / N independent filters side by side,
    so that all N share one compiled program. Lanes that resample alone (N = 1) are plain samples.
    """

    lanes: int
    tokens_per_step: int
    # At 1/2 a filter of two particles would never resample.
    ess: float = 0.75
    # That of arXiv 2502.01618.
    temperature: float = 0.8


def run_cell(
    key: PRNGKeyArray, model: TextModel, task: Task, settings: Settings, particles: int
) -> dict[str, list[Any]]:
    """Run lanes / N filters of N particles on one prompt.

    Returns, with one entry per filter: `successes` (lanes whose text is accepted), `distinct` (different
    accepted texts), `log_z`, `tokens` (computed by the network, those of texts given up later included),
    and the accepted `texts`.
    """
    tokenizer = model.tokenizer
    sampler = particle_filtering(
        Metered(lm=model.lm),  # pyright: ignore[reportCallIssue]
        prompt_ids(model, task),
        twist=TextPotential(task.verifier, tokenizer, task.stop),
        accepted=Accepted(task.verifier, tokenizer, task.stop),
        max_new_tokens=task.max_new_tokens,
        tokens_per_step=settings.tokens_per_step,
        stop=None if task.stop is None else tokenizer.stop(task.stop),
        temperature=settings.temperature,
        ess=settings.ess,
        islands=settings.lanes // particles,
    )
    cloud = sample(sampler, key, settings.lanes).particles
    filters = (-1, particles)
    log_weights = cloud.log_weights.reshape(filters)
    accepted = np.asarray(log_weights > -jnp.inf)
    texts = [lane.text for lane in lane_texts(cloud.values, tokenizer, task.stop)]
    by_filter = [texts[i : i + particles] for i in range(0, len(texts), particles)]
    kept = [[t for t, ok in zip(*pair, strict=True) if ok] for pair in zip(by_filter, accepted, strict=True)]
    return {
        "successes": accepted.sum(1).tolist(),
        "distinct": [count_distinct(group) for group in kept],
        # JSON has no infinity; None is a filter without survivors.
        "log_z": [
            float(z) if np.isfinite(z) else None
            for z in np.asarray(cloud.log_evidence + jax.vmap(log_mean_exp)(log_weights))
        ],
        "tokens": np.asarray(cloud.values.state.computed).reshape(filters).sum(1).tolist(),
        "texts": kept,
    }


def cell_key(key: PRNGKeyArray, task: Task, seed: int, particles: int, batch: int) -> PRNGKeyArray:
    """The key of a cell, which does not depend on which other cells are run."""
    for part in (zlib.crc32(task.name.encode()), seed, particles, batch):
        key = jax.random.fold_in(key, part)
    return key


def prompt_ids(model: TextModel, task: Task) -> np.ndarray:
    """The identifiers of a task's prompt, in the chat format where the task asks for it."""
    text = model.tokenizer.chat(task.prompt) if task.chat else task.prompt
    return model.tokenizer.encode(text)


def describe(settings: Settings, task: Task) -> dict[str, Any]:
    """All of a task and the settings that a stored cell must agree with, as JSON."""
    return {
        **asdict(settings),
        "prompt": task.prompt,
        "chat": task.chat,
        "verifier": task.verifier.name,
        "max_new_tokens": task.max_new_tokens,
        "stop": task.stop,
    }
