"""Answers through intermediate variables: at once, through given ones, and through those that a model chooses.

Source: Prystawski, Li and Goodman, arXiv 2304.03843, section 2.2.
"""

from __future__ import annotations

import abc
import itertools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import count, is_count
from probinf._choice import choice
from probinf._measure import Distribution, Factor
from probinf._primitives import Draw, Map, Reweight
from probinf._sampler import Sampler
from probinf.lm import Question, Trace, VariableModel, opening


class Thought(NamedTuple):
    """A trace, and whether it came to the target."""

    trace: Trace
    finished: Bool[Array, ""]


class Reply(NamedTuple):
    """A trace, and the model's probability after it that the target is one."""

    trace: Trace
    probability: Float[Array, ""]


def _as_arrays(question: Question) -> Question:
    """Numbers as int32, so that the next question does not compile again."""
    return Question(*(jnp.asarray(x, jnp.int32) for x in question))


class Thinking(Distribution):
    """Traces that a model writes from a question, one variable a step.

    Law: the product over steps of P(variable) P(value | trace before).
    """

    model: VariableModel
    question: Question = eqx.field(converter=_as_arrays)

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """The most steps of a trace."""

    @abc.abstractmethod
    def log_step(self, trace: Trace, t: Int[Array, ""]) -> Float[Array, " variables_or_none"]:
        """Unnormalized log-probability of each variable at step t; the last entry is that of writing none."""

    def sample(self, key: PRNGKeyArray, x: Any) -> Thought:
        """A thought."""
        del x

        def step(thought: Thought, row: tuple[Array, Array]) -> tuple[Thought, None]:
            t, key = row
            name_key, value_key = jax.random.split(key)
            variable = choice(name_key, _held(self.log_step(thought.trace, t), thought.finished))
            writes = (variable < self.model.size) & (variable != self.question.target)
            log_value = self.model.log_value(thought.trace, self.question.target, variable % self.model.size)
            value = choice(value_key, jnp.where(writes, log_value, jnp.array([0.0, -jnp.inf])))
            after = jax.tree.map(
                lambda new, old: jnp.where(writes, new, old), thought.trace.then(variable, value), thought.trace
            )
            return Thought(after, thought.finished | (variable == self.question.target)), None

        start = Thought(opening(self.question, self.steps + 1), jnp.bool_(False))
        rows = (jnp.arange(self.steps), jax.random.split(key, self.steps))
        return jax.lax.scan(step, start, rows)[0]

    def log_density(self, x: Thought) -> Float[Array, ""]:
        """Log-probability of a thought, in nats; -inf for one that cannot arise."""

        def step(carry: tuple[Thought, Array], t: Array) -> tuple[tuple[Thought, Array], None]:
            thought, total = carry
            there = thought.trace.length < x.trace.length
            written = x.trace.variables[thought.trace.length % (self.steps + 1)]
            value = x.trace.values[thought.trace.length % (self.steps + 1)]
            ends = ~there & x.finished & ~thought.finished
            variable = jnp.where(there, written, jnp.where(ends, self.question.target, self.model.size))
            log_name = jax.nn.log_softmax(_held(self.log_step(thought.trace, t), thought.finished))[variable]
            log_value = self.model.log_value(thought.trace, self.question.target, variable % self.model.size)[value]
            after = jax.tree.map(
                lambda new, old: jnp.where(there, new, old), thought.trace.then(variable, value), thought.trace
            )
            total = total + log_name + jnp.where(there, log_value, 0.0)
            return (Thought(after, thought.finished | ends), total), None

        start = opening(self.question, self.steps + 1)
        (end, total), _ = jax.lax.scan(step, (Thought(start, jnp.bool_(False)), jnp.zeros(())), jnp.arange(self.steps))
        same = jnp.all(end.trace.variables == x.trace.variables) & jnp.all(end.trace.values == x.trace.values)
        return jnp.where(same & (end.finished == x.finished), total, -jnp.inf)


class Scaffold(Thinking):
    """Traces through given variables, in their order, -1 after the last; then the target."""

    variables: Int[Array, " steps"] = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="scaffold")

    @property
    def steps(self) -> int:
        """One for each variable, and one for the target."""
        return self.variables.shape[0] + 1

    def log_step(self, trace: Trace, t: Int[Array, ""]) -> Float[Array, " variables_or_none"]:
        """The variable whose turn it is."""
        del t
        turn = jnp.concatenate([self.variables, jnp.array([-1])])[trace.length - 1]
        turn = jnp.where(turn < 0, self.question.target, turn)
        return jnp.where(jnp.arange(self.model.size + 1) == turn, 0.0, -jnp.inf)


class FreeChoice(Thinking):
    """Traces through variables that the model chooses, none twice, until it names the target.

    Where the model has no variable left that it would name, nothing is written.
    """

    max_steps: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="free choice")

    def __check_init__(self):
        """Rejects what is no number of steps."""
        count("max_steps", self.max_steps)

    @property
    def steps(self) -> int:
        """That many names at most, the target's included."""
        return self.max_steps

    def log_step(self, trace: Trace, t: Int[Array, ""]) -> Float[Array, " variables_or_none"]:
        """The model's choice among what is not written yet."""
        del t
        new = ~trace.mentions(self.model.size)
        logits = jnp.where(new, self.model.log_next(trace, self.question.target), -jnp.inf)
        stuck = jnp.all(logits == -jnp.inf)
        return jnp.concatenate([logits, jnp.where(stuck, 0.0, -jnp.inf)[None]])


class Finished(Factor):
    """One for a thought that came to the target, else zero."""

    name: str = eqx.field(static=True, default="finished")

    def log_density(self, x: Thought) -> Float[Array, ""]:
        """0 or -inf."""
        return jnp.where(x.finished, 0.0, -jnp.inf)


class Answer(eqx.Module):
    """Reads the probability of the target off the model, rather than drawing its value (Rao-Blackwell)."""

    model: VariableModel
    question: Question = eqx.field(converter=_as_arrays)

    def __call__(self, x: Thought) -> Reply:
        """The reply."""
        target = self.question.target
        return Reply(x.trace, jnp.exp(self.model.log_value(x.trace, target, target)[1]))


def direct(model: VariableModel, question: Question) -> Sampler:
    """Ask for the target at once.

    Law: every lane holds the model's P(target = 1 | given); nothing is random. Biased for the truth wherever the model
    never saw the two variables together.
    """
    return scaffolded(model, question, jnp.zeros(0, jnp.int32))


def scaffolded(model: VariableModel, question: Question, scaffold: Int[Array, " steps"]) -> Sampler:
    """Write the variables of a scaffold with values drawn from the model, then ask for the target.

    `scaffold` may end in -1s, so that scaffolds of different lengths share a compiled program.

    Law: () -> the model's own traces (EXACT); the mean probability over the lanes is unbiased for the model's P(target
    = 1) through the scaffold at every n. For the truth it is as biased as the model's steps are: not at all where
    they are right and each variable separates those before it from those after it.

    Raises: ValueError for a scaffold that holds the given variable or the target, one variable twice, what is neither
    a variable of the model nor -1, or a variable behind a -1.
    """
    _check_question(model, question)
    if not isinstance(scaffold, Tracer):
        _check_scaffold(model, scaffold)
    if not isinstance(scaffold, Tracer) and not any(isinstance(x, Tracer) for x in question):
        named = [v for v in np.asarray(scaffold).tolist() if v >= 0]
        if len({*named, int(question.given), int(question.target)}) < len(named) + 2:
            raise ValueError(f"a scaffold names other variables than the question, each once, got {named}")
    return Draw(Scaffold(model, question, variables=scaffold)) >> Map(Answer(model, question))


def free(model: VariableModel, question: Question, *, max_steps: int) -> Sampler:
    """Let the model name variables and draw their values until it names the target, then ask for it.

    A lane that has not named the target after `max_steps` names has weight zero.

    Law: () -> the model's own traces that came to the target (PROPER; the mass is the chance to come there). The
    weighted mean probability is only consistent, and for the model's answer *given that it came there*: `exp(log_z)`
    says how often that is, and belongs beside every such estimate.

    Raises: ValueError for no step, or a question about the given variable.
    """
    _check_question(model, question)
    if not is_count(max_steps):
        raise ValueError(f"a model needs one step or more to name the target, got {max_steps}")
    thoughts = FreeChoice(model, question, max_steps=max_steps)
    return Draw(thoughts) >> Reweight(Finished()) >> Map(Answer(model, question))


def _check_question(model: VariableModel, question: Question) -> None:
    if any(isinstance(x, Tracer) for x in question):
        return
    target, given, value = (int(x) for x in question)
    if target == given or not (0 <= target < model.size and 0 <= given < model.size and value in (0, 1)):
        raise ValueError(
            f"a question names two different variables of the {model.size} and a value of 0 or 1, got {target}, "
            f"{given} and {value}"
        )


def _check_scaffold(model: VariableModel, scaffold: Int[Array, " steps"]) -> None:
    entries = np.asarray(scaffold).tolist()
    if not all(-1 <= v < model.size for v in entries):
        raise ValueError(f"name variables in [0, {model.size}), with -1 for no more of them, got {entries}")
    if any(before < 0 <= after for before, after in itertools.pairwise(entries)):
        raise ValueError(f"move the -1s of a scaffold to its end: no variable may follow one, got {entries}")


def _held(logits: Float[Array, " variables_or_none"], finished: Bool[Array, ""]) -> Float[Array, " variables_or_none"]:
    """Nothing more is written once the target is named."""
    none = jnp.where(jnp.arange(logits.shape[0]) == logits.shape[0] - 1, 0.0, -jnp.inf)
    return jnp.where(finished, none, logits)
