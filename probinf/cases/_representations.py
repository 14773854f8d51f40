"""Programs that are stopped, hoisted and traced, and kernels of the Metropolis-Hastings-Green theorem."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Info, Kernel, Map, Move, Particles, Resample, Sampler
from probinf.cases._jumps import digits_case, digits_kernel, ring_case, ring_kernel
from probinf.cases._traced_models import (
    branching,
    branching_measure,
    lattice,
    small_program,
    stopping,
    stopping_log_weights,
)
from probinf.kernels import Involutive, ReversibleJump
from probinf.kernels._reversible_jump import _Completion, _Match
from probinf.representations import (
    First,
    Rejuvenate,
    Spawn,
    Suspended,
    Then,
    Traced,
    TraceMetropolis,
    TraceValue,
    advance,
    checkpoints,
    finish,
    hoist,
    hoist_first,
    marginal,
    sequentially,
    smc,
    trace_metropolis,
    trace_resample_move,
)
from probinf.resampling import Multinomial
from probinf.validity import KernelCase, SamplerCase
from probinf.validity.planted import small_paths
from probinf.validity.planted._resampling import ForgetsEvidence

_MULTINOMIAL = Resample(Multinomial())


def representations_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    program, paths = small_program(), small_paths()
    spawned = hoist_first(First(Spawn(2)), program)
    return (
        SamplerCase("suspend, Spawn, finish", finish(spawned), n=1, target=paths),
        SamplerCase("advance, hoist_first", finish(hoist_first(Then(_MULTINOMIAL), advance(spawned))), 1, target=paths),
        SamplerCase("hoist", finish(hoist(Then(_MULTINOMIAL), program)), target=paths),
        SamplerCase("smc, sequentially", smc(program, 2), n=1, target=paths),
        SamplerCase("marginal, on a lattice", marginal(branching()), target=branching_measure(4), grid=4, lattice=True),
        SamplerCase(
            "trace_resample_move between checkpoints, on a lattice",
            trace_resample_move(branching(), 2),
            n=1,
            target=branching_measure(2),
            grid=2,
            lattice=True,
        ),
        _trace_case("trace_metropolis, on a lattice", trace_metropolis(stopping())),
        ring_case("Involutive", ring_kernel()),
        digits_case("ReversibleJump", digits_kernel()),
    )


def representations_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    program, paths = small_program(), small_paths()
    ring, digits, traced = ring_kernel(), digits_kernel(), trace_metropolis(stopping())
    return (
        SamplerCase("spawn that divides weights", _with_spawn(program, SplitsWeight(2)), n=1, target=paths),
        SamplerCase("advance that skips what it passes", finish(_skipping(program)), target=paths),
        SamplerCase(
            "hoisted resampling without evidence", smc(program, 2, resample=ForgetsEvidence()), n=1, target=paths
        ),
        SamplerCase(
            "resample-move that looks ahead", _looking_ahead(branching()), n=1, target=branching_measure(2), grid=2
        ),
        _trace_case("trace Metropolis-Hastings without n/n'", WithoutFactor(traced.traced, traced.checkpoint)),
        _trace_case("trace Metropolis-Hastings that keeps stale coordinates", KeepsStale(traced)),
        ring_case("involution that is none", Involutive(ring.target, ring.auxiliary, _step_on)),
        ring_case("involution without its auxiliary density", WithoutAuxiliary(*_fields(ring))),
        digits_case("reversible jump without its move probabilities", WithoutMoves(*_fields(digits))),
        digits_case("reversible jump without what it filled in", WithoutFill(*_fields(digits))),
    )


class SplitsWeight(Spawn):
    """Copies get weight w / n each, though a cloud is already a mean."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Spawn, divided once too often."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=after.log_weights - jnp.log(self.n)), info


class LooksAhead(TraceMetropolis):
    """Trace Metropolis-Hastings for the weight at the next checkpoint, which says that it keeps the present one."""

    @property
    def move(self) -> Involutive:
        """The right exchange in the wrong place."""
        return TraceMetropolis(self.traced, self.checkpoint + 1).move


class RejuvenatesAhead(Rejuvenate):
    """Resample-move whose moves see scores that the weights do not hold yet."""

    def _at(self, checkpoint: Int[Array, ""]) -> Sampler:
        return self.resample >> Move(LooksAhead(self.traced, checkpoint))


class WithoutFactor(TraceMetropolis):
    """Trace Metropolis-Hastings that accepts by weights only."""

    @property
    def move(self) -> Involutive:
        """The exchange, as if every site were as likely on the way back as on the way."""
        return WithoutAuxiliary(*_fields(super().move))


class KeepsStale(Kernel):
    """Trace Metropolis-Hastings that accepts a run on fresh coordinates and stores the old ones in their place."""

    right: TraceMetropolis

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """The right transition, its coordinates beyond the old run taken back."""
        y, info = self.right(key, x)
        beyond = jnp.arange(x.shape[0]) >= self.right.traced.run(x).used[self.right.checkpoint]
        return jnp.where(beyond, x, y), info

    @property
    def invariant(self) -> Any:
        """What the right kernel keeps."""
        return self.right.invariant


class WithoutAuxiliary(Involutive):
    """Accepts by the target and the Jacobian only."""

    def log_ratio(self, x: Any, v: Any, y: Any, u: Any) -> Float[Array, ""]:
        """Green's ratio, without the auxiliary variable's densities."""
        return self.target.log_density(y) - self.target.log_density(x) + self.log_jacobian(x, v)


class WithoutMoves(ReversibleJump):
    """Forgets that a jump and its way back are not proposed equally often."""

    @property
    def move(self) -> Involutive:
        """The jump, by what it filled in only."""
        return Involutive(self.target, FillOnly(self), _Match(self))


class FillOnly(_Completion):
    """A completion whose choice of model is said to have density one."""

    def log_density(self, x: Any, v: Any) -> Float[Array, ""]:
        """The completion's, without its model."""
        return super().log_density(x, v) - jax.nn.log_softmax(self.jump.log_moves[x.model])[v.model]


class WithoutFill(ReversibleJump):
    """Forgets the density of the coordinates that it draws."""

    @property
    def move(self) -> Involutive:
        """The jump, by its choice of model only."""
        return Involutive(self.target, MovesOnly(self), _Match(self))


class MovesOnly(_Completion):
    """A completion whose coordinates are said to have density one."""

    def log_density(self, x: Any, v: Any) -> Float[Array, ""]:
        """The choice of model."""
        return jax.nn.log_softmax(self.jump.log_moves[x.model])[v.model]


def _with_spawn(program: Suspended, spawn: Spawn) -> Any:
    return finish(hoist(Then(_MULTINOMIAL), hoist_first(First(spawn), program)))


def _looking_ahead(traced: Traced) -> Sampler:
    program = hoist_first(First(Spawn(2)), checkpoints(traced))
    return finish(sequentially(RejuvenatesAhead(traced), program)) >> Map(TraceValue(traced))


def _skipping(program: Suspended) -> Suspended:
    """Goes to the next checkpoint without running the part in between."""
    return Suspended(program.head, advance(program).rest)


def _step_on(x: Any, v: Any) -> tuple[Any, Any]:
    return (x + 2 * v - 1) % 5, v


def _fields(kernel: Any) -> tuple:
    return tuple(getattr(kernel, name) for name in kernel.__dataclass_fields__)


def _trace_case(name: str, kernel: Kernel) -> KernelCase:
    return KernelCase(name, kernel, lattice(3, 4), stopping_log_weights(lattice(3, 4)), grid=4)
