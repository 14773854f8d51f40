"""Three reasons why sequential Bayesian inference forgets, where all of it is exact.

Source: Kessler et al., "On Sequential Bayesian Inference for Continual Learning", arXiv 2301.01828.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._arguments import count, real
from probinf.distributions import GMM, condition_linear, moment_match, multiply


class TwoTasks(NamedTuple):
    """One Gaussian mean for two tasks: what is believed after both, either way round, and at once.

    sequential, reversed, batch: posterior means. fit: the posterior mean for each task's data alone. regret: by how
    much the log-density of a new datum of each task, in nats, is less than under that task's own mean.
    """

    sequential: Float[Array, ""]
    reversed: Float[Array, ""]
    batch: Float[Array, ""]
    fit: Float[Array, " 2"]
    regret: Float[Array, " 2"]


def one_mean_for_two_tasks(
    means: Float[Array, " 2"], counts: Float[Array, " 2"], *, noise: float = 1.0, prior_scale: float = 10.0
) -> TwoTasks:
    """Exact inference of a single mean from two tasks whose data have different means.

    Misspecified, it ends between the tasks, at the average weighted by precision, and fits neither; with many more data
    of one task it stays there. `counts` data of each task, whose averages are `means`; all with standard deviation
    `noise`.

    Law: exact: the order of tasks means nothing, and forgetting is not prevented.
    """
    means, counts = real("means", means, "tasks", finite=True), real("counts", counts, "tasks", finite=True)
    _check_positive(noise=noise, prior_scale=prior_scale)
    if means.shape != (2,) or counts.shape != (2,):
        raise ValueError(f"two tasks have two means and two counts, got shapes {means.shape} and {counts.shape}")
    prior = GMM(jnp.zeros(1), jnp.zeros((1, 1)), jnp.full((1, 1, 1), prior_scale), "prior")

    def given(belief: GMM, task: int) -> GMM:
        # The average of n data is one datum with the noise of n.
        scale = jnp.reshape(noise / jnp.sqrt(counts[task]), (1, 1))
        return condition_linear(belief, jnp.ones((1, 1)), means[task][None], scale)[0]

    forward, backward = given(given(prior, 0), 1), given(given(prior, 1), 0)
    both = condition_linear(prior, jnp.ones((2, 1)), means, jnp.diag(noise / jnp.sqrt(counts)))[0]
    fit = jnp.stack([given(prior, task).mean[0] for task in range(2)])
    # A new datum of a task is off by the task's own spread in both cases; the rest is the squared distance.
    regret = 0.5 * (forward.mean[0] - means) ** 2 / noise**2
    return TwoTasks(forward.mean[0], backward.mean[0], both.mean[0], fit, regret)


def refit_gap(
    steps: int, *, separation: float = 2.0, scale: float = 0.7, noise: float = 3.0
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """What becomes of two modes when every posterior is replaced by one Gaussian before the next task.

    The prior has modes at plus and minus `separation`, the data of each task say a little for the first: the exact
    chain moves weight to it, the refitted one has nothing to move.

    Returns: for each step the log-density of the truth, `separation`, under the exact chain and under the refitted one.

    Law: exact; the second chain changes target by its refit.
    """
    count("steps", steps)
    real("separation", separation, "", finite=True)
    _check_positive(scale=scale, noise=noise)
    prior = GMM(
        jnp.log(jnp.full(2, 0.5)),
        jnp.array([[separation], [-separation]]),
        jnp.full((2, 1, 1), scale),
        "prior",
    )
    truth = jnp.full(1, separation)

    def step(beliefs: tuple[GMM, GMM], y: Array) -> tuple[tuple[GMM, GMM], tuple[Array, Array]]:
        exact, refitted = (condition_linear(b, jnp.ones((1, 1)), y, jnp.full((1, 1), noise))[0] for b in beliefs)
        refitted = moment_match(refitted)
        return (exact, refitted), (exact.log_density(truth), refitted.log_density(truth))

    # Each task's datum is where the truth expects it.
    data = jnp.full((steps, 1), separation)
    return jax.lax.scan(step, (prior, moment_match(prior)), data)[1]


def order_means_nothing(prior: GMM, sites: list[GMM]) -> Float[Array, ""]:
    """Largest difference of log-density between forward and backward products of a prior with Gaussian sites.

    Law: exact: zero but for rounding.
    """
    forward, backward = prior, prior
    for site in sites:
        forward = multiply(forward, site)[0]
    for site in reversed(sites):
        backward = multiply(backward, site)[0]
    points = jnp.concatenate([prior.means, *(site.means for site in sites)])
    difference = jax.vmap(forward.log_density)(points) - jax.vmap(backward.log_density)(points)
    return jnp.max(jnp.abs(difference))


def _check_positive(**scales: float) -> None:
    for name, scale in scales.items():
        if not 0 < scale < float("inf"):
            raise ValueError(f"{name} is a standard deviation, positive and finite, got {scale}")
