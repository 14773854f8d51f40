"""The hypotheses of the Metropolis-Hastings-Green theorem, checked point by point.

Law checked: with J = target(dx) q(x, dv) and phi the exchange of a pair with its image, a kernel that accepts with
probability min(1, rho) keeps the target if phi is an involution, rho(phi(e)) = 1 / rho(e) where rho is not zero, and
rho is the density of the image of J under phi with respect to J.

Source: arXiv 1711.03219; Tierney, Annals of Applied Probability 8 (1998).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from probinf._choice import check_key
from probinf._sampler import Kernel
from probinf.kernels import Involutive, MetropolisHastings
from probinf.kernels._accept import log_accept_ratio
from probinf.kernels._involutive import log_abs_det_of
from probinf.validity._program import promote

LogProposal = Callable[[Any, Any], Float[Array, ""]]


class NotInvolution(ValueError):
    """A map that is not its own inverse; the sentence says at which point, and by how much."""


class GreenReport(NamedTuple):
    """The largest error of each hypothesis over the pairs that were tried; None is a check that was not possible.

    involution: largest coordinate of phi(phi(e)) - e, relative to one or to the coordinate. antisymmetry: of
    log rho(phi(e)) + log rho(e). support: how many pairs can be left but not returned to. ratio: of log rho against the
    densities on both sides and the differentiated Jacobian. jacobian: of the kernel's log |det| against the
    differentiated one. where: for each error the pair (value, auxiliary variable) at which it is largest.
    """

    involution: float
    antisymmetry: float
    support: int
    ratio: float | None
    jacobian: float | None
    pairs: int
    where: dict[str, Any]

    @property
    def error(self) -> float:
        """The largest of all; infinite if the support is not symmetric."""
        found = [self.involution, self.antisymmetry, self.ratio, self.jacobian, np.inf if self.support else 0.0]
        return max(x for x in found if x is not None)


def check_green(
    kernel: Kernel,
    key: PRNGKeyArray,
    points: PyTree,
    *,
    log_proposal: LogProposal | None = None,
    tolerance: float = 1e-6,
) -> GreenReport:
    """Draws one pair at each point (leading axis of every leaf), in float64, and reports how far each hypothesis fails.

    Takes `Involutive`, kernels that are built on one (`kernel.move`), and `MetropolisHastings`, for which
    `log_proposal` gives log q(x -> y): without it nothing says what the ratio should be, and `ratio` is None. Points
    should come from all regions, each of them several times: a check at points is no proof, and none can see an
    auxiliary variable or a proposal that is not drawn from the density it states: enumerate that, or test it by draws.

    Raises: NotInvolution where phi(phi(e)) is further than `tolerance` from e; TypeError for another kernel; ValueError
    for a point at which the target vanishes.
    """
    check_key(key)
    with jax.enable_x64(True):
        theorem = promote(_as_theorem(kernel, log_proposal))
        points = promote(points)
        keys = jax.random.split(key, len(jax.tree.leaves(points)[0]))
        tried = jax.tree.map(np.asarray, _try(theorem, keys, points))
        return _report(tried, tolerance)


class _Swap(eqx.Module):
    """Metropolis-Hastings as the exchange of the value and the proposed one."""

    kernel: MetropolisHastings
    log_proposal: LogProposal | None

    def draw(self, key: PRNGKeyArray, x: Any) -> Any:
        return self.kernel.proposal.sample(key, x)

    def image(self, x: Any, y: Any) -> tuple[Any, Any]:
        return y, x

    def log_ratio(self, x: Any, y: Any) -> Array:
        log_target = self.kernel.target.log_density
        return log_accept_ratio(log_target(x), log_target(y), self.kernel.proposal.log_ratio(x, y))

    def log_joint(self, x: Any, y: Any) -> Array | None:
        log_target = self.kernel.target.log_density(x)
        return None if self.log_proposal is None else log_target + self.log_proposal(x, y)

    def log_jacobian(self, x: Any, y: Any) -> Array | None:
        """None: an exchange keeps volume."""
        del x, y

    def log_target(self, x: Any) -> Array:
        return self.kernel.target.log_density(x)


class _Mapped(eqx.Module):
    """An involutive kernel as it is."""

    kernel: Involutive

    def draw(self, key: PRNGKeyArray, x: Any) -> Any:
        return self.kernel.auxiliary.sample(key, x)

    def image(self, x: Any, v: Any) -> tuple[Any, Any]:
        return self.kernel.mapped(x, v)

    def log_ratio(self, x: Any, v: Any) -> Array:
        return self.kernel.log_ratio(x, v, *self.kernel.mapped(x, v))

    def log_joint(self, x: Any, v: Any) -> Array:
        return self.kernel.target.log_density(x) + self.kernel.auxiliary.log_density(x, v)

    def log_jacobian(self, x: Any, v: Any) -> Array:
        return self.kernel.log_jacobian(x, v)

    def log_target(self, x: Any) -> Array:
        return self.kernel.target.log_density(x)


class _Tried(NamedTuple):
    """What happened at each pair."""

    pair: Any
    back: Any
    log_target: Float[Array, " P"]
    log_ratio: Float[Array, " P"]
    log_ratio_back: Float[Array, " P"]
    should_be: Float[Array, " P"] | None
    log_jacobian: Float[Array, " P"] | None
    differentiated: Float[Array, " P"]


def _as_theorem(kernel: Kernel, log_proposal: LogProposal | None) -> Any:
    kernel = getattr(kernel, "move", kernel)
    if isinstance(kernel, Involutive):
        return _Mapped(kernel)
    if isinstance(kernel, MetropolisHastings):
        return _Swap(kernel, log_proposal)
    raise TypeError(
        f"check_green reads Involutive and MetropolisHastings kernels, got {type(kernel).__name__}: "
        "enumerate it with kernel_matrix"
    )


@eqx.filter_jit
def _try(theorem: Any, keys: Array, points: Any) -> _Tried:
    def one(key: PRNGKeyArray, x: Any) -> _Tried:
        v = theorem.draw(key, x)
        image = theorem.image(x, v)
        joint, joint_back = theorem.log_joint(x, v), theorem.log_joint(*image)
        differentiated = log_abs_det_of(theorem.image, x, v)
        should_be = None
        if joint is not None:
            should_be = jnp.where(joint_back == -jnp.inf, -jnp.inf, joint_back - joint + differentiated)
        return _Tried(
            (x, v),
            theorem.image(*image),
            theorem.log_target(x),
            theorem.log_ratio(x, v),
            theorem.log_ratio(*image),
            should_be,
            theorem.log_jacobian(x, v),
            differentiated,
        )

    return eqx.filter_vmap(one)(keys, points)


def _report(tried: Any, tolerance: float) -> GreenReport:
    if np.any(~np.isfinite(tried.log_target)):
        i = int(np.argmax(~np.isfinite(tried.log_target)))
        raise ValueError(
            f"the target vanishes at point {i}, {_told(_at(tried.pair[0], i))}: choose points of its support"
        )
    where: dict[str, Any] = {}

    def worst(name: str, errors: np.ndarray) -> float:
        i = int(np.argmax(errors))
        where[name] = _at(tried.pair, i)
        return float(errors[i])

    involution = worst("involution", _distance(tried.pair, tried.back))
    if not involution <= tolerance:
        x, v = where["involution"]
        raise NotInvolution(
            f"the map of this kernel is no involution: applied twice it misses the pair it started from by "
            f"{involution:.3g} at value {_told(x)}, auxiliary {_told(v)}: make it its own inverse"
        )
    usable = np.isfinite(tried.log_ratio)
    stuck: Bool[np.ndarray, " P"] = usable & ~np.isfinite(tried.log_ratio_back)
    support = int(worst("support", stuck.astype(float)) and stuck.sum())
    both = usable & ~stuck
    antisymmetry = worst("antisymmetry", np.where(both, np.abs(_sum(tried.log_ratio, tried.log_ratio_back, both)), 0.0))
    ratio, jacobian = None, None
    if tried.should_be is not None:
        ratio = worst("ratio", _gap(tried.log_ratio, tried.should_be))
    if tried.log_jacobian is not None:
        jacobian = worst("jacobian", _gap(tried.log_jacobian, tried.differentiated))
    return GreenReport(involution, antisymmetry, support, ratio, jacobian, len(usable), where)


def _sum(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, a, 0.0) + np.where(where, b, 0.0)


def _gap(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Absolute difference; zero for equal infinities, infinite for one of them, or NaN, alone."""
    finite = np.isfinite(found) & np.isfinite(right)
    gap = np.abs(_sum(found, -right, finite))
    return np.where(finite, gap, np.where(found == right, 0.0, np.inf))


def _distance(pair: Any, back: Any) -> np.ndarray:
    """Largest difference over all leaves of each pair, relative to entries above one; infinite for NaN."""
    gaps = []
    for a, b in zip(jax.tree.leaves(pair), jax.tree.leaves(back), strict=True):
        a, b = (leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in (a, b))
        gap = np.abs(a - b) / np.maximum(1.0, np.abs(a))
        gaps.append(np.where(np.isnan(gap), np.inf, gap).max(axis=1, initial=0.0))
    return np.max(gaps, axis=0)


def _at(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


def _told(tree: Any) -> str:
    return ", ".join(np.array2string(np.asarray(leaf), precision=4) for leaf in jax.tree.leaves(tree))
