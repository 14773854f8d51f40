"""Reversible jump: exact between one digit and two, and between two Gaussian models of known evidence."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.cases._jumps import digit_points, digits_case, digits_kernel
from probinf.kernels import Involutive, ModelPoint, ReversibleJump
from probinf.validity import check_green, check_means, detailed_balance_error, invariance_error, row_sum_error

# One observation, y = theta_1 + noise in model 0 and y = theta_1 + theta_2 + noise in model 1, all standard normal.
Y = 1.2
LOG_PRIOR = np.log([0.4, 0.6])
DIMS = (1, 2)


def test_digits_are_reversible(chains):
    kernel = digits_kernel()
    log_target = digits_case("digits", kernel).log_target
    matrix = chains.matrix(kernel, digit_points())
    assert row_sum_error(matrix) < 1e-14
    assert invariance_error(matrix, log_target) < 1e-15
    assert detailed_balance_error(matrix, log_target) < 1e-15
    # Both models are reached from everywhere.
    assert (np.linalg.matrix_power(matrix, 6) > 0).all()


class Prior(pi.Distribution):
    """A model, then its parameters."""

    name: str = "prior"

    def sample(self, key, x):
        model_key, normal_key = jax.random.split(key)
        model = pi.choice(model_key, jnp.asarray(LOG_PRIOR, jnp.float32))
        return ModelPoint(model, jax.random.normal(normal_key, (2,)) * has(model))

    def log_density(self, x):
        normal = dist.Normal(0.0, 1.0).log_prob(x.parameters)
        return jnp.asarray(LOG_PRIOR, jnp.float32)[x.model] + jnp.sum(normal * has(x.model))


def has(model):
    return jnp.arange(2) < jnp.asarray(DIMS)[model]


def log_likelihood(x):
    return dist.Normal(jnp.sum(x.parameters), 1.0).log_prob(Y)


def split_and_merge(model, proposed, z):
    """Model 0 splits theta into 0.3 theta + 2 u and 0.7 theta - 2 u, with |det| = 2; model 1 merges them."""
    split = jnp.stack([0.3 * z[0] + 2.0 * z[1], 0.7 * z[0] - 2.0 * z[1]])
    merge = jnp.stack([z[0] + z[1], (0.7 * z[0] - 0.3 * z[1]) / 2.0])
    return jnp.where(model == proposed, z, jnp.where(model == 0, split, merge))


def merge_to_the_mean(model, proposed, z):
    """The planted bug: the merge forgets half of what the split did."""
    halved = jnp.stack([(z[0] + z[1]) / 2, z[0] - z[1]])
    return jnp.where((model == 1) & (proposed == 0), halved, split_and_merge(model, proposed, z))


class ByVolume(ReversibleJump):
    """The planted bug: the Jacobian of the split is forgotten."""

    @property
    def move(self):
        right = super().move
        return Involutive(right.target, right.auxiliary, right.involution, no_volume)


def no_volume(x, v):
    return jnp.zeros(())


LIKELIHOOD = pi.Density("likelihood", log_likelihood)
FILL = dist.Normal(jnp.zeros(2), jnp.array([1.0, 0.6]))
MOVES = np.log([[0.2, 0.8], [0.5, 0.5]])


def gaussian(kind=ReversibleJump, match=split_and_merge):
    return kind(Prior() * LIKELIHOOD, DIMS, MOVES, FILL, match)


def exact():
    """Evidence times: one, model 1, theta_1 and theta_1^2, in closed form."""
    evidence = np.exp(LOG_PRIOR) * [normal_density(Y, 2.0), normal_density(Y, 3.0)]
    mean, variance = np.array([Y / 2, Y / 3]), np.array([1 / 2, 2 / 3])
    return np.array([evidence.sum(), evidence[1], evidence @ mean, evidence @ (variance + mean**2)])


def normal_density(y, variance):
    return np.exp(-0.5 * y**2 / variance) / np.sqrt(2 * np.pi * variance)


def moments(x):
    first = x.parameters[0]
    return jnp.stack([jnp.ones(()), x.model.astype(float), first, first**2])


@pytest.mark.parametrize(
    ("kernel", "right"),
    [(gaussian(), True), (gaussian(ByVolume), False)],
    ids=["jump", "without Jacobian"],
)
def test_evidence_of_two_models(kernel, right):
    """Four means by z-tests on 16384 runs of 8 lanes: a right kernel fails with probability 1e-6."""
    moved = pi.Draw(Prior()) >> pi.Reweight(LIKELIHOOD) >> pi.Move(kernel) >> pi.Move(kernel)
    check = check_means(moved, 8, moments, exact(), jax.random.key(17))
    assert check.p_value > 1e-6 if right else check.p_value < 1e-12


def points():
    model = jnp.arange(300) % 2
    normal = jax.random.normal(jax.random.key(4), (300, 2))
    return ModelPoint(model, normal * jax.vmap(has)(model))


def test_green_holds_and_the_jacobian_is_that_of_the_split(x64):
    report = check_green(gaussian(), jax.random.key(0), points())
    assert report.error < 1e-12 and report.jacobian is not None
    lost = check_green(gaussian(ByVolume), jax.random.key(0), points())
    assert lost.jacobian == pytest.approx(np.log(2), abs=1e-12)
    x, v = lost.where["jacobian"]
    assert x.model != v.model


def test_a_merge_that_does_not_undo_the_split_is_refused():
    with pytest.raises(ValueError, match="no involution"):
        check_green(gaussian(match=merge_to_the_mean), jax.random.key(0), points())


def test_new_data_does_not_compile_anew():
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)[0]

    x = jax.tree.map(lambda leaf: leaf[0], points())
    for scale in (0.5, 0.9):
        fill = dist.Normal(jnp.zeros(2), jnp.full(2, scale))
        run(ReversibleJump(Prior() * LIKELIHOOD, DIMS, MOVES * scale, fill, split_and_merge), jax.random.key(0), x)
    assert len(traces) == 1


def test_errors_name_the_fix():
    with pytest.raises(ValueError, match=r"shape \[2, 2\]"):
        ReversibleJump(LIKELIHOOD, DIMS, np.zeros((3, 3)), FILL)
    with pytest.raises(ValueError, match="no negative dimension"):
        ReversibleJump(LIKELIHOOD, (-1, 2), MOVES, FILL)
