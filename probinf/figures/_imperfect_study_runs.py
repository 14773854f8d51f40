"""The computations of the study on recorded answers of a small language model: curves, choices, rules, a ceiling."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf import Distribution, Draw, Map, Resample, Reweight, Sampler, Scan, flip, sample
from probinf._primitives._choose import voted_lane
from probinf.figures._imperfect_tables import outcome_counts
from probinf.figures._micro_tasks_data import MicroTaskSamples
from probinf.samplers import (
    NoisyVerdict,
    accepted_vote,
    best_of_majority_lanes,
    short_1_at_k,
    short_cost,
)
from probinf.samplers._noisy_verdict import Judged, log_accepted
from probinf.verifiers.imperfect import Payoff, SampleCounts, estimate_utilities

BUDGETS = (1, 2, 4, 8, 16, 32, 64)
LIKELIEST = "highest probability per token"
RULES = ("majority", LIKELIEST, "best of majority", "accepted vote")
COSTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SEEN = 32
_ALPHA = 0.1


def counts_of(samples: MicroTaskSamples, strength: int, rows: slice = slice(None)) -> SampleCounts:
    """Outcomes of each task under the verifier of one strength, of some of its samples."""
    return outcome_counts(samples.accepted[:, rows, strength], samples.right[:, rows])


def chosen_attempts(samples: MicroTaskSamples, strength: int) -> dict[str, Float[np.ndarray, "costs tasks"]]:
    """Utilities, judged on the samples that were not seen, of a K chosen from the first samples, and of other K.

    `chosen`: K with the largest estimated utility on the 32 samples seen of each task. `once`: K = 1. `all`: K = 32.
    `best`: the K that the judging samples would have chosen, which nobody can know.
    """
    attempts = np.arange(1, SEEN + 1)
    found: dict[str, list[Any]] = {name: [] for name in ("chosen", "once", "all", "best", "attempts")}
    seen, judged = (counts_of(samples, strength, rows) for rows in (slice(None, SEEN), slice(SEEN, None)))
    for cost in COSTS:
        payoff = Payoff(1.0, cost)
        guess = np.asarray(estimate_utilities(seen, attempts, payoff))
        truth = np.asarray(estimate_utilities(judged, attempts, payoff))
        k = int(guess.mean(0).argmax())
        # No attempt at all is worth nothing, and is a choice as well.
        stay = guess.mean(0)[k] <= 0
        nothing = np.zeros(len(truth))
        found["chosen"].append(nothing if stay else truth[:, k])
        found["once"].append(truth[:, 0])
        found["all"].append(truth[:, -1])
        best = int(truth.mean(0).argmax())
        found["best"].append(truth[:, best] if truth.mean(0)[best] > 0 else nothing)
        found["attempts"].append(np.full(len(truth), 0.0 if stay else k + 1.0))
    return {name: np.array(rows) for name, rows in found.items()}


def rule_accuracies(
    key: PRNGKeyArray, samples: MicroTaskSamples, strength: int, subsets: int
) -> Float[np.ndarray, "rules budgets tasks"]:
    """How often each rule returns a right answer from N of the samples of a task; none counts as wrong.

    Averaged over random subsets, the same for all rules. An answer's score, a weak reward, is its mean log-probability
    of a token. The highest of n is best-of-n by it, and the perplexity baseline of arXiv
    2510.15444, to which perplexity consistency (and so RPC) reduces here: an answer of one line is a text of its own,
    so there are no paths to sum over.
    """
    tasks, n = samples.right.shape
    answers = _renumbered(samples.answer)
    table = np.zeros((len(RULES), len(BUDGETS), tasks))
    order = np.argsort(np.asarray(jax.random.uniform(key, (subsets, tasks, n))), axis=-1)
    pick = lambda x, size: np.take_along_axis(np.broadcast_to(x, (subsets, tasks, n)), order[..., :size], 2)  # noqa: E731
    for j, size in enumerate(BUDGETS):
        drawn = (pick(answers, size), pick(samples.log_prob, size), pick(samples.accepted[..., strength], size))
        right = pick(samples.right, size)
        for i, lane in enumerate(_lanes(*(jnp.asarray(x) for x in drawn))):
            index = np.asarray(lane)
            got = np.take_along_axis(right, np.maximum(index, 0)[..., None], 2)[..., 0] & (index >= 0)
            table[i, j] = got.mean(0)
    return table


def shortest(
    samples: MicroTaskSamples,
) -> tuple[Float[np.ndarray, "budgets tasks"], Float[np.ndarray, "budgets tasks"]]:
    """Accuracy of the shortest of k answers, exactly over all subsets, and its tokens as a share of those of all k."""
    lengths = jnp.asarray(samples.length, float)
    accuracy, share = [], []
    for k in BUDGETS:
        accuracy.append(
            np.asarray(jax.vmap(lambda c, size, k=k: short_1_at_k(c, size, k))(jnp.asarray(samples.right), lengths))
        )
        tokens = jax.vmap(lambda size, k=k: short_cost(size, 1, k).tokens)(lengths)
        share.append(np.asarray(tokens / (k * lengths.mean(1))))
    return np.array(accuracy), np.array(share)


def self_verification(samples: MicroTaskSamples) -> dict[str, float]:
    """The model's own verdict on its answers: rates of saying yes, over all that were asked about."""
    asked = np.isfinite(samples.self_log_odds)
    odds, right = samples.self_log_odds[asked], samples.right[asked]
    return {
        "true_positive_rate": float(np.mean(odds[right] > 0)),
        "false_positive_rate": float(np.mean(odds[~right] > 0)),
        "asked": float(asked.sum()),
    }


def self_aurocs(samples: MicroTaskSamples) -> Float[np.ndarray, " tasks"]:
    """P(the model's log-odds of a right answer exceed those of a wrong one), ties half, of the answers to each task.

    NaN where not both kinds were asked about. Pooled over tasks it would tell easy tasks from hard ones as well.
    """
    found = np.full(len(samples.right), np.nan)
    for i, (odds, right) in enumerate(zip(samples.self_log_odds, samples.right, strict=True)):
        asked = np.isfinite(odds)
        if right[asked].any() and not right[asked].all():
            ahead = odds[asked & right][:, None] - odds[asked & ~right][None, :]
            found[i] = np.mean((ahead > 0) + 0.5 * (ahead == 0))
    return found


class Step(Distribution):
    """One more step of a solution, right with some chance; a value counts its wrong steps."""

    log_p: Float[Array, ""]
    name: str = eqx.field(static=True, default="step")

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A coin."""
        right = flip(key, self.log_p)
        return {"wrong": x["wrong"] + ~right, "right": right}

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Of the last step."""
        return jnp.where(x["right"], self.log_p, jnp.log(-jnp.expm1(self.log_p)))


class _Stage(eqx.Module):
    """Write a step, have it judged, let what fails die, and maybe copy what passes."""

    step: Step
    verdict: NoisyVerdict
    copies: bool = eqx.field(static=True)

    def __call__(self, row: Any) -> Sampler:
        del row
        judged = Draw(self.step) >> Draw(self.verdict) >> Reweight(log_accepted) >> Map(_unjudged)
        return judged >> Resample() if self.copies else judged


def accuracy_of_particles(
    key: PRNGKeyArray, n: int, steps: int, p: float, false_positive_rate: float, *, copies: bool
) -> Float[np.ndarray, ""]:
    """The share of right solutions among n particles whose steps were all accepted; NaN where none was.

    With `copies` it is a particle filter, which replaces what is rejected at each step; without, n whole solutions are
    tried. A solution is right if all its steps are; each wrong step passes with the false positive rate.
    """
    stage = _Stage(Step(jnp.log(p)), NoisyVerdict(_last_right, 1.0, false_positive_rate), copies)
    start = {"wrong": jnp.zeros(n, jnp.int32), "right": jnp.ones(n, bool)}
    cloud = sample(Scan(stage, length=steps), key, n=n, values=start).particles
    right = float(jnp.sum(cloud.normalized_weights * (cloud.values["wrong"] == 0)))
    return np.asarray(right if float(cloud.log_z) > -np.inf else np.nan)


def _unjudged(x: Judged) -> Any:
    return x.value


def _last_right(x: Any) -> Array:
    return x["right"]


def _renumbered(answer: np.ndarray) -> np.ndarray:
    return np.stack([np.unique(row, return_inverse=True)[1] for row in answer])


@jax.jit
def _lanes(answers: Array, log_probs: Array, accepted: Array) -> tuple[Array, ...]:
    def one(answers: Array, log_probs: Array, accepted: Array) -> tuple[Array, ...]:
        return (
            voted_lane(answers, jnp.zeros(answers.shape), jnp.zeros(answers.shape)),
            best_of_majority_lanes(answers, log_probs, 1, 0.0)[0],
            best_of_majority_lanes(answers, log_probs, 1, _ALPHA)[0],
            accepted_vote(answers, accepted),
        )

    return jax.vmap(jax.vmap(one))(answers, log_probs, accepted)
