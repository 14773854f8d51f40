"""Particle Gibbs over steps of reasoning, with or without ancestor sampling.

Law: keeps p_LM(x) * (prod_t potential_t(x))^beta exactly, for every n >= 2. A sweep runs `reasoning_filter` on n lanes
of which lane 0 writes the current solution again, and draws one of its solutions by weight.

Ancestor sampling gives the current solution another past between the steps: the future that it has left is written
after every lane, and lane i becomes its past in proportion to weight times likelihood and potentials of that future.
Where the future is no possible course after a lane (a step would end elsewhere, a finished text go on, the slots not
suffice), the chance is zero. This reads the future once for each lane and round: with T steps a sweep costs n T (T + 1)
/ 2 steps of the model instead of n T, and as many rewards.

Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010), section 2.4.3; ancestor
sampling where the future depends on all of the past: Lindsten, Jordan and Schon, Journal of Machine Learning Research
15 (2014), on non-Markovian models. For reasoning: arXiv 2502.01618, algorithm 2; its two published programs keep
another law, and are among the planted bugs of `probinf.cases`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, choice
from probinf._measure import Guarantee, Measure
from probinf._particles import Particles, add_log, spawn, take_lanes
from probinf._primitives._resample import Decision, Resample, decide
from probinf._primitives._weight import checked_draw, checked_log_density
from probinf._sampler import Kernel
from probinf._status import Status, status_if
from probinf.lm import Reasoning, Solutions, writing
from probinf.resampling import Multinomial, Scheme
from probinf.samplers._solution_law import RewardTotal, SolutionLaw, at_rest, picked
from probinf.samplers._weight_rules import WeightRule

_MULTINOMIAL = Multinomial()


def _as_array(x: float | Float[Array, ""]) -> Float[Array, ""]:
    return jnp.asarray(x, float)


class ReasoningGibbsInfo(NamedTuple):
    """What a sweep did.

    `status`: DEGENERATE where all lanes ended with weight zero, so that the solution stayed; INVALID where a potential
    was no number. `log_z`: log-mass of the conditional run (not unbiased). `renewed`: whether another lane than the
    current solution's was picked. `exchanged`: after which of the first T - 1 steps that solution got another past;
    without ancestor sampling, none. `tokens`, `reward_calls`: what writing cost; `replayed_tokens`,
    `replayed_reward_calls`: what ancestor sampling cost on top. `cloud`: the n solutions at the end with their weights,
    a cloud of `Solutions` at rest, if the kernel keeps clouds; else nothing.
    """

    status: Int[Array, ""]
    log_z: Float[Array, ""]
    renewed: Bool[Array, ""]
    exchanged: Bool[Array, " rounds"]
    tokens: Int[Array, ""]
    reward_calls: Int[Array, ""]
    replayed_tokens: Int[Array, ""]
    replayed_reward_calls: Int[Array, ""]
    cloud: Any


class Future(NamedTuple):
    """What the rest of the current solution is after each lane: the solutions so spliced, log-likelihood and
    log-potentials of the rest, and whether it is a possible course there."""

    solutions: Solutions
    log_likelihood: Float[Array, " n"]
    log_potential: Float[Array, " n"]
    possible: Bool[Array, " n"]
    status: Int[Array, ""]


class _Sweep(NamedTuple):
    """What a sweep carries from round to round."""

    cloud: Particles
    reference: Solutions
    status: Int[Array, ""]
    replayed: Int[Array, "2"]


class ReasoningGibbs(Kernel):
    """One sweep: a conditional filter over the steps of n solutions, then one of them by weight.

    Law: keeps `SolutionLaw(writer) * RewardTotal(rule)**beta` on finished solutions at rest (see `first_solution`);
    their ledgers grow by what was spent, and are no part of the law.

    Raises: ValueError for n < 2, for a negative beta, and for ancestor sampling with another scheme than `Multinomial`,
    whose slots are the only ones that are independent of the retained one; TypeError for a writer that is not on the
    device, or a rule that is none.
    """

    writer: Reasoning
    rule: WeightRule
    beta: Float[Array, ""] = eqx.field(converter=_as_array)
    resample: Resample
    n: int = eqx.field(static=True)
    ancestor_sampling: bool = eqx.field(static=True)
    keep_cloud: bool = eqx.field(static=True)

    def __check_init__(self):
        """Rejects what keeps no law, or stands still."""
        if not is_count(self.n, 2):
            raise ValueError(f"reasoning_gibbs needs n >= 2 particles, got {self.n}")
        if self.ancestor_sampling and not isinstance(self.resample.scheme, Multinomial):
            raise ValueError(
                f"ancestor sampling needs independent slots, but the scheme is {type(self.resample.scheme).__name__}: "
                "use Multinomial()"
            )
        if not isinstance(self.beta, Tracer) and not float(self.beta) >= 0:
            raise ValueError(f"beta, the power of the rewards, must not be negative, got {self.beta}")

    def __call__(self, key: PRNGKeyArray, x: Solutions) -> tuple[Solutions, ReasoningGibbsInfo]:
        """A new solution, given the current one."""
        check_key(key)
        sweep_key, pick_key = jax.random.split(key)
        sweep, exchanged = self.sweep(sweep_key, x)
        cloud = sweep.cloud.replace(values=at_rest(sweep.cloud.values))
        # Of a dead cloud this is lane 0: the current solution stays.
        index = choice(pick_key, cloud.log_weights)
        solution = picked(cloud.values, index)
        spent = jnp.stack([solution.spent.tokens, solution.spent.reward_calls])
        total = spent + sweep.replayed
        solution = eqx.tree_at(
            lambda s: (s.spent.tokens, s.spent.reward_calls),
            solution,
            (x.spent.tokens + total[0], x.spent.reward_calls + total[1]),
        )
        dead = jnp.max(cloud.log_weights) == -jnp.inf
        info = ReasoningGibbsInfo(
            status=jnp.maximum(sweep.status, status_if(dead, Status.DEGENERATE)),
            log_z=cloud.log_z,
            renewed=index != 0,
            exchanged=exchanged,
            tokens=spent[0],
            reward_calls=spent[1],
            replayed_tokens=sweep.replayed[0],
            replayed_reward_calls=sweep.replayed[1],
            cloud=cloud if self.keep_cloud else (),
        )
        return solution, info

    def sweep(self, key: PRNGKeyArray, x: Solutions) -> tuple[_Sweep, Bool[Array, " rounds"]]:
        """The conditional filter, and after which steps the held solution got another past."""
        start_key, key = jax.random.split(key)
        start = spawn(self.n, self.writer.start().retrace_lanes(start_key, (), self.n, x))
        first_key, later_key = jax.random.split(key)
        begun = _Sweep(start, at_rest(x), status_if(False, Status.OK), jnp.zeros(2, x.spent.tokens.dtype))
        rounds = self.writer.max_steps - 1
        inputs = (jnp.arange(1, rounds + 1), jax.random.split(later_key, rounds))
        return jax.lax.scan(lambda carry, row: self._round(*row, carry), self._extended(first_key, begun), inputs)

    def _round(self, steps: Int[Array, ""], key: PRNGKeyArray, sweep: _Sweep) -> tuple[_Sweep, Bool[Array, ""]]:
        """Ancestors given that lane 0 is retained, another past for it, and the next step of all."""
        slot_key, past_key, draw_key = jax.random.split(key, 3)
        cloud = sweep.cloud
        decision = self.survivors(slot_key, cloud)
        resampled, ancestors, log_w = decision.info.resampled[0], decision.info.ancestors, decision.cloud.log_weights
        past = jnp.int32(0)
        if self.ancestor_sampling:
            future = self.future(cloud, sweep.reference, steps, resampled)
            here = jnp.where(jnp.arange(self.n) == 0, 0.0, -jnp.inf)
            past = choice(past_key, jnp.where(resampled, self.log_past(cloud.log_weights, future), here))
            # A past that has weight revives a reference that had none.
            alive = jnp.where(cloud.log_weights[past] > -jnp.inf, 0.0, -jnp.inf)
            log_w = log_w.at[0].set(jnp.where(resampled, alive, log_w[0]))
            ancestors = ancestors.at[0].set(jnp.where(resampled, past, ancestors[0]))
            # The reference itself stays: from now on only its later steps are read, and those are the same tokens.
            sweep = self._paid(sweep, future)
        take = lambda values: take_lanes(values, ancestors)  # noqa: E731
        # Lanes that are not resampled are not copied.
        values = jax.lax.cond(resampled, take, lambda values: values, cloud.values)
        cloud = decision.cloud.replace(values=values, log_weights=log_w)
        return self._extended(draw_key, sweep._replace(cloud=cloud)), past != 0

    def _paid(self, sweep: _Sweep, future: Future) -> _Sweep:
        """The same with the cost of a replay."""
        before, after = sweep.cloud.values.spent, future.solutions.spent
        cost = [jnp.sum(after.tokens - before.tokens), jnp.sum(after.reward_calls - before.reward_calls)]
        paid = jnp.stack(cost).astype(sweep.replayed.dtype)
        return sweep._replace(replayed=sweep.replayed + paid, status=jnp.maximum(sweep.status, future.status))

    def _extended(self, key: PRNGKeyArray, sweep: _Sweep) -> _Sweep:
        """The next step of every lane, and its potential."""
        values = self.write(key, sweep.cloud.values, sweep.reference)
        cloud, drawn = checked_draw(self.writer.step(), sweep.cloud.replace(values=values))
        log_g, status = self.log_potential(cloud, sweep.reference)
        cloud = cloud.replace(log_weights=add_log(cloud.log_weights, log_g))
        status = jnp.maximum(jnp.maximum(sweep.status, drawn.status), status)
        return sweep._replace(cloud=cloud, status=status)

    def survivors(self, key: PRNGKeyArray, cloud: Particles) -> Decision:
        """Who goes on, given that lane 0 does."""
        return decide(self.resample, key, cloud.replace(values=()), writing(cloud.values), True)

    def write(self, key: PRNGKeyArray, values: Solutions, reference: Solutions) -> Solutions:
        """The next step of every lane, of which lane 0 repeats the reference's."""
        return self.writer.step().retrace_lanes(key, values, self.n, reference)

    def log_potential(self, cloud: Particles, reference: Solutions) -> tuple[Float[Array, " n"], Int[Array, ""]]:
        """Log-potentials of the latest round, to the power beta; what is no number counts as zero."""
        del reference
        log_g, info = checked_log_density(self.rule**self.beta, cloud)
        return log_g, info.status

    def log_past(self, log_w: Float[Array, " n"], future: Future) -> Float[Array, " n"]:
        """How well each lane serves as the past of the held solution."""
        rest = add_log(future.log_likelihood, future.log_potential)
        return add_log(log_w, jnp.where(future.possible, rest, -jnp.inf))

    def future(self, cloud: Particles, reference: Solutions, steps: Int[Array, ""], wanted: Bool[Array, ""]) -> Future:
        """The steps of the reference after the first `steps`, written by every lane; if not `wanted`, nothing."""
        step, n = self.writer.step(), self.n

        def write(t: Int[Array, ""], so_far: Future) -> Future:
            before = so_far.solutions
            # A lane that has left the course is not read any further.
            off = before.generation.finished | ~so_far.possible
            before = eqx.tree_at(lambda s: s.generation.finished, before, off)
            now = step.replay_lanes(before, n, step.tokens_of(reference, t))
            # Where the lane is dead, its potential is nobody's concern.
            weight = jnp.where(so_far.possible, cloud.log_weights, -jnp.inf)
            read, drawn = checked_draw(step, spawn(n, now).replace(log_weights=weight))
            log_g, status = self.log_potential(read, reference)
            known = ~jnp.isnan(now.generation.latest_log_prob)
            return Future(
                now,
                so_far.log_likelihood + jnp.where(known, now.generation.latest_log_prob, -jnp.inf),
                add_log(so_far.log_potential, log_g),
                so_far.possible & known & self.same_course(before, now, reference, t),
                jnp.maximum(jnp.maximum(so_far.status, drawn.status), status),
            )

        # A text is finished, or has as many steps as there were rounds.
        begun = writing(cloud.values) == (steps < reference.steps)
        none = jnp.zeros_like(cloud.log_weights)
        start = Future(cloud.values, none, none, begun, status_if(False, Status.OK))
        return jax.lax.fori_loop(steps, jnp.where(wanted, self.writer.max_steps, steps), write, start)

    def same_course(
        self, before: Solutions, now: Solutions, reference: Solutions, t: Int[Array, ""]
    ) -> Bool[Array, " n"]:
        """Whether each lane wrote just the step that the reference wrote in this round, and ended where it did."""
        begin = jnp.where(t > 0, reference.ends[jnp.maximum(t - 1, 0)], 0)
        size = jnp.where(t < reference.steps, reference.ends[t] - begin, 0)
        same_size = now.generation.length - before.generation.length == size
        return same_size & (now.generation.finished == (reference.steps <= t + 1))

    @property
    def invariant(self) -> Measure:
        """The writer's law times the rewards of all steps."""
        return (SolutionLaw(self.writer) * RewardTotal(self.rule) ** self.beta).claiming(Guarantee.PROPER)


def reasoning_gibbs(
    writer: Reasoning,
    rule: WeightRule,
    n: int,
    *,
    ancestor_sampling: bool = False,
    ess: float | None = None,
    scheme: Scheme = _MULTINOMIAL,
    beta: float | Float[Array, ""] = 1.0,
    keep_cloud: bool = False,
) -> ReasoningGibbs:
    """A kernel on finished solutions: see `ReasoningGibbs`. Start it from `first_solution` of a `reasoning_filter`.

    Every round resamples, or with `ess` those in which the effective sample size is below `ess * n`; once all lanes are
    finished nothing is resampled. `scheme` is any resampling scheme. Ancestor sampling renews the early steps too, in
    which few lanes survive; with T = `writer.max_steps` it costs O(n T^2) steps of the model instead of n T. `beta` is
    the power of all rewards. With `keep_cloud` the info holds the n final solutions of each sweep and their weights.

    Raises: as `ReasoningGibbs` and `Resample` do.
    """
    if not hasattr(writer.step(), "replay_lanes") or not writer.traceable:
        raise TypeError("reasoning_gibbs repeats texts on the device: use a Reasoning whose reward is traceable")
    if not isinstance(rule, WeightRule):
        raise TypeError(f"expected a WeightRule, got {type(rule).__name__}: use Product(), Odds() or another one")
    return ReasoningGibbs(writer, rule, beta, Resample(scheme, ess, 1, writing), n, ancestor_sampling, keep_cloud)
