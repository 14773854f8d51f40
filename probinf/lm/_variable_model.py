"""Models that write variables one after the other: which comes next, and what value it has."""

from __future__ import annotations

import abc
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from probinf._arguments import floating, mask


class Question(NamedTuple):
    """What is the probability that variable `target` is one, if variable `given` has the value `value`?"""

    target: int | Int[Array, ""]
    given: int | Int[Array, ""]
    value: int | Int[Array, ""]


class Trace(NamedTuple):
    """What was written so far: `length` variables with their values, the given one first; -1 and 0 after them."""

    variables: Int[Array, " slots"]
    values: Int[Array, " slots"]
    length: Int[Array, ""]

    def then(self, variable: int | Int[Array, ""], value: int | Int[Array, ""]) -> Trace:
        """The trace with one more variable; a full one stays as it is."""
        here = jnp.arange(self.variables.shape[0]) == self.length
        variables, values = jnp.where(here, variable, self.variables), jnp.where(here, value, self.values)
        return Trace(variables, values, self.length + jnp.any(here))

    def mentions(self, size: int) -> Bool[Array, " variables"]:
        """Which of all variables were written."""
        return jnp.any(self.variables[:, None] == jnp.arange(size)[None, :], axis=0)

    @property
    def last(self) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The last variable and its value."""
        return self.variables[self.length - 1], self.values[self.length - 1]


def opening(question: Question, slots: int) -> Trace:
    """The trace that holds what is given, and room for `slots` variables in all."""
    empty = Trace(jnp.full(slots, -1, jnp.int32), jnp.zeros(slots, jnp.int32), jnp.int32(0))
    return empty.then(question.given, question.value)


class VariableModel(eqx.Module):
    """A model of strings `target, variable = value, variable = value, ...` over binary variables."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The number of variables."""

    @abc.abstractmethod
    def log_next(self, trace: Trace, target: int | Int[Array, ""]) -> Float[Array, " variables"]:
        """Unnormalized log-probability of each variable to be the next one."""

    @abc.abstractmethod
    def log_value(
        self, trace: Trace, target: int | Int[Array, ""], variable: int | Int[Array, ""]
    ) -> Float[Array, " 2"]:
        """Log-probability of each value of `variable` if it is the next one."""


class TabularModel(VariableModel):
    """A model that looks back one variable: an exactly solvable stand-in for one that is trained on local strings.

    `log_values[i, a, j]` are the unnormalized log-probabilities of variable j after variable i had the value a;
    `log_nexts[i, j]` that of j to follow i.

    Law: the value of a variable depends on the last variable and its value alone.

    Raises: ValueError for shapes that do not fit.
    """

    log_values: Float[Array, "variables 2 variables 2"] = eqx.field(converter=partial(floating, "log_values"))
    log_nexts: Float[Array, "variables variables"] = eqx.field(converter=partial(floating, "log_nexts"))

    def __check_init__(self):
        """Rejects tables of different sizes."""
        n = self.log_nexts.shape[0]
        if self.log_values.shape != (n, 2, n, 2) or self.log_nexts.shape != (n, n):
            raise ValueError(
                f"tables of {n} variables have shapes ({n}, 2, {n}, 2) and ({n}, {n}), got {self.log_values.shape} and "
                f"{self.log_nexts.shape}"
            )

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.log_nexts.shape[0]

    def log_next(self, trace: Trace, target: int | Int[Array, ""]) -> Float[Array, " variables"]:
        """The row of the last variable."""
        del target
        return self.log_nexts[trace.last[0]]

    def log_value(
        self, trace: Trace, target: int | Int[Array, ""], variable: int | Int[Array, ""]
    ) -> Float[Array, " 2"]:
        """The row of the last variable and its value."""
        del target
        i, a = trace.last
        return jax.nn.log_softmax(self.log_values[i, a, variable])

    def log_answer(self, question: Question, scaffold: Int[Array, " steps"]) -> Float[Array, " 2"]:
        """Log of the expected answer through given variables (-1 after the last), in closed form.

        Law: the product of the tables of the steps: what `probinf.samplers.scaffolded` estimates without bias.
        """
        tables = jax.nn.log_softmax(self.log_values, axis=-1)
        at, row = question.given, jnp.where(jnp.arange(2) == question.value, 0.0, -jnp.inf)
        for variable in [*scaffold, question.target]:
            after = jax.nn.logsumexp(row[:, None] + tables[at, :, variable], axis=0)
            row, at = jnp.where(variable >= 0, after, row), jnp.where(variable >= 0, variable, at)
        return row


def local_model(
    log_conditionals: Float[Array, "variables 2 variables 2"],
    log_marginals: Float[Array, "variables 2"],
    adjacent: Bool[Array, "variables variables"],
    *,
    shrinkage: float | None = None,
) -> TabularModel:
    """What a look-back of one variable learns from strings of neighbors only.

    Neighbors follow each other with their true conditionals; a variable after one that is no neighbor has its marginal,
    for nothing else is known of it. With a `shrinkage` s all tables are mixed with a uniform one of weight s, and a
    pair that is never seen is uniform: the minimizer of (1 - s) times the cross-entropy to the data plus s times that
    to uniform values; s = 1/2 is the setting of the published theorem. The next variable is any neighbor.

    Raises: ValueError for a shrinkage outside [0, 1).

    Source: Prystawski, Li and Goodman, arXiv 2304.03843, section 3 and appendix A.
    """
    log_conditionals, log_marginals = (
        floating("log_conditionals", log_conditionals),
        floating("log_marginals", log_marginals),
    )
    adjacent = mask("adjacent", adjacent, "variables variables")
    if shrinkage is not None and not 0 <= shrinkage < 1:
        raise ValueError(f"the weight of uniform values must lie in [0, 1), got {shrinkage}")
    if not isinstance(adjacent, Tracer) and np.any(np.diag(np.asarray(adjacent))):
        raise ValueError("no variable is its own neighbor: clear the diagonal of `adjacent`")
    near = adjacent[:, None, :, None]
    if shrinkage is None:
        values = jnp.where(near, log_conditionals, log_marginals[None, None])
    else:
        known = jnp.logaddexp(jnp.log1p(-shrinkage) + log_conditionals, jnp.log(shrinkage / 2))
        values = jnp.where(near, known, jnp.log(0.5))
    return TabularModel(values, jnp.where(adjacent, 0.0, -jnp.inf))
