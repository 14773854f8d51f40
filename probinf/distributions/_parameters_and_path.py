"""The joint law of a state-space model's parameters and its trajectory, for Gibbs samplers on both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from probinf._measure import Factor, as_factor
from probinf.distributions._state_space import JointLaw, Row, StateSpaceModel


class ParametersAndPath(Factor):
    """Joint density of parameters, trajectory and data: a factor of `{"theta": parameters, "path": Trajectory}`.

    `gibbs` reads off the law of the path given the parameters, so that particle Gibbs is one of its blocks.

    Args:
        prior: A factor of the parameters, or an object with `sample` and `log_prob` such as numpyro's distributions.
        model: A function from parameters to a `StateSpaceModel`; make it a Module.
        rows: The data, as `rows` of the model makes them.

    Example:
        >>> target = ParametersAndPath(prior, model, rows)
        >>> kernel = gibbs(
        ...     target,
        ...     ("theta", eqx.Partial(MetropolisHastings, proposal=random_walk(0.3))),
        ...     ("path", lambda law: particle_gibbs(law.model, law.rows, 10, ancestor_sampling=True)),
        ... )
        >>> start = {"theta": jnp.full(4, 0.5), "path": Trajectory((jnp.zeros((4, 6)),))}
        >>> draws = sample_chains(kernel, jax.random.key(0), start, 1000)

    Law: density `prior(theta) * model(theta).joint(rows)(path)`.
    """

    prior: Factor = eqx.field(converter=as_factor)
    model: Callable[[Any], StateSpaceModel]
    rows: Row

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The prior's name, and how many rows."""
        return f"{self.prior.name} * joint of {self.rows.t.shape[0]} rows"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of parameters and path."""
        return self.prior.log_density(x["theta"]) + self._law(x["theta"]).log_density(x["path"])

    def given(self, where: Any, x: Any) -> Factor | None:
        """The law of the path given the parameters."""
        return self._law(x["theta"]) if where == "path" else None

    def _law(self, theta: Any) -> JointLaw:
        return JointLaw(self.model(theta), self.rows)
