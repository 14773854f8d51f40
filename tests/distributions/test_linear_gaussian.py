"""The linear-Gaussian model against the joint normal law of its data, written out in NumPy in float64 or beyond it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import FiniteStateModel, HiddenMarkovModel, LinearGaussianModel, Row, Trajectory
from probinf.distributions import StochasticVolatilityModel as Volatility
from probinf.samplers import auxiliary_filter, backward_simulation, bootstrap_filter, guided_filter, particle_gibbs

A = np.array([[0.9, 0.2], [-0.1, 0.7]])
SCALE = np.array([[0.5, 0.0], [0.3, 0.8]])
H = np.array([[1.0, 0.4], [0.3, 1.0]])
R = np.array([[0.7, 0.0], [0.2, 0.5]])
Y = np.array([[0.4, 1.0], [1.1, np.nan], [np.nan, np.nan], [-0.3, 0.2], [np.nan, 0.7]])
T = len(Y)
# NumPy arrays, which are read as data all the same.
ROWS: Any = Row(np.arange(T), Y)  # pyright: ignore[reportArgumentType]


def model(**fields):
    arguments = {
        "initial_mean": np.array([0.3, -0.5]),
        "initial_scale": SCALE,
        "transition_matrix": A,
        "transition_scale": 0.6 * SCALE,
        "observation_matrix": H,
        "observation_scale": R,
    }
    return LinearGaussianModel(**{**arguments, **fields})


def at(array, t, axes):
    return array if np.ndim(array) == axes else array[t]


def smoothed(model, y):
    """Log-density of what was seen, and moments of all states given it: the joint normal law, conditioned by blocks."""
    m: dict[str, Any] = {k: None if v is None else np.asarray(v, float) for k, v in vars(model).items()}
    steps, d = len(y), len(m["initial_mean"])
    mean, cov = np.zeros(steps * d), np.zeros((steps * d, steps * d))
    mean[:d], cov[:d, :d] = m["initial_mean"], m["initial_scale"] @ m["initial_scale"].T
    for t in range(1, steps):
        a, q = at(m["transition_matrix"], t, 2), at(m["transition_scale"], t, 2)
        b = 0 if m["transition_offset"] is None else at(m["transition_offset"], t, 1)
        before, now = slice((t - 1) * d, t * d), slice(t * d, (t + 1) * d)
        mean[now] = a @ mean[before] + b
        cov[now, : t * d] = a @ cov[before, : t * d]
        cov[: t * d, now] = cov[now, : t * d].T
        cov[now, now] = a @ cov[before, before] @ a.T + q @ q.T
    e = y.shape[1]
    h, r, shift = np.zeros((steps * e, steps * d)), np.zeros((steps * e, steps * e)), np.zeros(steps * e)
    for t in range(steps):
        rows, scale = slice(t * e, (t + 1) * e), at(m["observation_scale"], t, 2)
        h[rows, t * d : (t + 1) * d], r[rows, rows] = at(m["observation_matrix"], t, 2), scale @ scale.T
        shift[rows] = 0 if m["observation_offset"] is None else at(m["observation_offset"], t, 1)
    seen = ~np.isnan(y.ravel())
    h, r, data = h[seen], r[np.ix_(seen, seen)], (y.ravel() - shift)[seen]
    total, surprise = h @ cov @ h.T + r, data - h @ mean
    gain = np.linalg.solve(total, h @ cov).T
    log_y = -0.5 * (surprise @ np.linalg.solve(total, surprise) + np.linalg.slogdet(2 * np.pi * total)[1])
    mean, cov = mean + gain @ surprise, cov - gain @ h @ cov
    blocks = np.stack([cov[t * d : (t + 1) * d, t * d : (t + 1) * d] for t in range(steps)])
    return log_y, mean.reshape(steps, d), blocks


VARYING = {
    "transition_matrix": A * np.linspace(0.5, 1.2, T)[:, None, None],
    "transition_scale": SCALE * np.linspace(0.2, 0.9, T)[:, None, None],
    "observation_matrix": H * np.linspace(1.0, 2.0, T)[:, None, None],
    "observation_scale": R * np.linspace(0.5, 1.5, T)[:, None, None],
    "transition_offset": np.linspace(-1.0, 1.0, 2 * T).reshape(T, 2),
    "observation_offset": np.array([0.3, -2.0]),
}


@pytest.mark.parametrize("fields", [{}, VARYING], ids=["fixed", "inputs and matrices that vary"])
def test_kalman_and_smoother_with_missing_entries_are_the_joint_normal_law(fields, x64):
    m = model(**fields)
    rows = m.rows(Y)
    filtered, whole = jax.jit(lambda m: (m.kalman(rows), m.kalman_smoother(rows)))(m)
    log_y, mean, cov = smoothed(m, Y)
    for result in (filtered, whole):
        assert abs(result.log_likelihood - log_y) < 1e-12
    np.testing.assert_allclose(whole.means, mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(whole.covariances, cov, rtol=0, atol=1e-12)
    for t in range(T):
        _, mean, cov = smoothed(m, Y[: t + 1])
        np.testing.assert_allclose(filtered.means[t], mean[-1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(filtered.covariances[t], cov[-1], rtol=0, atol=1e-12)


def test_gradients_pass_missing_rows_and_states_without_noise(x64):
    def score(a):
        return model(transition_matrix=a * A, transition_scale=np.diag([0.5, 0.0])).kalman(ROWS).log_likelihood

    slope, step = jax.jit(jax.grad(score))(1.0), 1e-5
    # A central difference, wrong by the square of its step.
    assert abs(slope - (score(1.0 + step) - score(1.0 - step)) / (2 * step)) < 1e-7


# Log-likelihoods of WALK by the textbook recursion in mpmath with 80 digits, on the float32 numbers themselves.
WALK = np.array([[0.1], [-0.4], [0.9], [1.6], [1.2], [2.5], [2.3], [3.1]], np.float32)


def diffuse(kind, sd):
    fields: dict[str, Any] = {
        "level": ([0.0], [[sd]], [[1.0]], [[0.6]], [[1.0]], [[0.5]]),
        "trend": (np.zeros(2), sd * np.eye(2), [[1.0, 1.0], [0.0, 1.0]], np.diag([0.6, 0.1]), [[1.0, 0.0]], [[0.5]]),
        "autoregression": (np.zeros(2), sd * SCALE, A, 0.6 * SCALE, [[1.0, 0.4]], [[0.7]]),
        "half of it never seen": (np.zeros(2), sd * np.eye(2), np.eye(2), 0.3 * np.eye(2), [[1.0, 0.4]], [[0.7]]),
        "half of it known": (
            np.zeros(2),
            np.diag([sd, 1]),
            [[1.0, 1.0], [0.0, 1.0]],
            0.1 * np.eye(2),
            [[1, 0]],
            [[0.5]],
        ),
    }[kind]
    return LinearGaussianModel(*(jnp.asarray(x, jnp.float32) for x in fields))


EXACT = {
    ("level", 1e08): -28.242665,
    ("level", 1e15): -44.360760,
    ("level", 1e20): -55.873686,
    ("level", 1e30): -78.899537,
    ("trend", 1e08): -46.429854,
    ("trend", 1e15): -78.666045,
    ("trend", 1e20): -101.691896,
    ("trend", 1e30): -147.743598,
    ("autoregression", 1e08): -44.411258,
    ("autoregression", 1e15): -76.647449,
    ("autoregression", 1e20): -99.673300,
    ("autoregression", 1e30): -145.725002,
    ("half of it never seen", 1e08): -30.143953,
    ("half of it never seen", 1e15): -46.262049,
    ("half of it never seen", 1e20): -57.774974,
    ("half of it never seen", 1e30): -80.800825,
    ("half of it known", 1e08): -27.160423,
    ("half of it known", 1e15): -43.278518,
    ("half of it known", 1e20): -54.791444,
    ("half of it known", 1e30): -77.817295,
}


@pytest.mark.parametrize(("kind", "sd"), list(EXACT))
def test_kalman_in_float32_is_right_from_a_diffuse_start(kind, sd):
    found = diffuse(kind, sd).kalman(diffuse(kind, sd).rows(WALK))
    assert abs(found.log_likelihood - EXACT[kind, sd]) < 1e-5 * abs(EXACT[kind, sd])
    assert found.rounding < 1e-3 and np.all(np.isfinite(found.means)) and not np.any(np.isnan(found.covariances))


def test_kalman_says_where_float32_cannot_hold_the_data():
    m = diffuse("trend", 1e8)
    with pytest.warns(UserWarning, match="subtract their level, or use float64"):
        found = m.kalman(m.rows(WALK + np.float32(1e6)))
    assert found.rounding > 0.1


def test_a_scale_that_is_not_a_cholesky_factor_is_refused():
    full = SCALE @ SCALE.T
    for name in ("initial_scale", "transition_scale", "observation_scale"):
        for wrong in (full, SCALE.T, -SCALE, np.stack([SCALE, full])):
            if name == "initial_scale" and wrong.ndim == 3:
                continue
            with pytest.raises(ValueError, match=rf"{name} must be lower triangular.*np.linalg.cholesky"):
                model(**{name: wrong})
    with pytest.raises(ValueError, match="observation_scale must be lower triangular with a positive diagonal"):
        model(observation_scale=np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match="transition_matrix must be finite"):
        model(transition_matrix=np.nan * A)
    assert model(transition_scale=np.diag([1.0, 0.0])).dimension == 2
    for wrong in ((0.0, 1.0, 1.0), (0.0, 0.9, 0.0), (0.0, 0.9, -1.0), (np.nan, 0.9, 1.0)):
        with pytest.raises(ValueError, match=r"persistence in \(-1, 1\)"):
            Volatility(*wrong)


def test_rows_of_another_shape_are_refused_with_both_shapes():
    one = LinearGaussianModel(np.zeros(1), np.eye(1), np.eye(1), np.eye(1), np.eye(1), np.eye(1))
    for m, y, message in (
        (model(), np.zeros((4, 1)), r"shape \[T, 2\], got \[4, 1\]"),
        (model(), np.zeros(4), r"shape \[T, 2\], got \[4\]"),
        (one, np.zeros(4), r"shape \[T, 1\], got \[4\]: pass y\[:, None\]"),
        (one, np.zeros((4, 2)), r"shape \[T, 1\], got \[4, 2\]"),
        (one, [0.1, 0.2], r"one leading axis of time.*jnp.asarray\(y\)"),
        (one, 0.1, r"one leading axis of time"),
        (Volatility(0.0, 0.9, 0.3), np.zeros((4, 1)), r"one return at a time: pass \[T\], got \(4, 1\)"),
        (Volatility(0.0, 0.9, 0.3), [0.1, 0.2], r"one leading axis of time"),
        (model(**VARYING), np.zeros((T + 1, 2)), "5 times, but there are 6 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            m.rows(y)
    # By hand, past `rows`.
    with pytest.raises(ValueError, match=r"shape \[T, 2\], got \[4, 1\]"):
        model().kalman(Row(jnp.arange(4), jnp.zeros((4, 1))))
    with pytest.raises(ValueError, match="2 numbers at a time got a row of shape"):
        model().log_observation((jnp.array(0.0), jnp.array(0.0)), Row(jnp.int32(0), jnp.zeros(1)))
    with pytest.raises(ValueError, match=r"transition_matrix must be \[2, 2\] or \[T, 2, 2\]"):
        model(transition_matrix=np.eye(3))
    with pytest.raises(ValueError, match="one number of rows"):
        model(transition_matrix=np.stack([A] * 3), transition_offset=np.zeros((4, 2)))


def finite():
    initial, transition, emission = [0.3, 0.7], [[0.8, 0.2], [0.4, 0.6]], [[0.9, 0.1], [0.25, 0.75]]
    return np.log(initial), np.log(transition), np.log(emission)


def test_symbols_that_no_table_has_are_refused():
    hmm, states = HiddenMarkovModel(*finite(), 3), FiniteStateModel(*finite())
    for m, y, message in (
        (hmm, np.array([0, 2]), "whole numbers from 0 to 1"),
        (hmm, np.array([0, -1]), "whole numbers from 0 to 1"),
        (hmm, np.array([0.0, np.nan]), "use FiniteStateModel"),
        (hmm, np.array([0, 1, 0, 1]), "3 steps got 4 observations"),
        (states, np.array([0.5, 1.0]), "whole numbers from 0 to 1"),
        (states, np.array([0, 2]), "whole numbers from 0 to 1"),
        (states, np.array([[0], [1]]), r"given as \[T\]"),
    ):
        with pytest.raises(ValueError, match=message):
            m.rows(y)


def test_a_symbol_that_was_not_seen_is_left_out_of_the_enumerated_law(x64):
    m = FiniteStateModel(*finite())
    rows = m.rows(jnp.array([0.0, jnp.nan, 1.0]))
    paths = jnp.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    found = jax.scipy.special.logsumexp(m.joint(rows).log_density_lanes(Trajectory(paths), 8))
    first, move, see = (np.exp(table) for table in finite())
    # The forward algorithm, without a factor for the symbol in the middle.
    assert abs(found - np.log((first * see[:, 0]) @ move @ move @ see[:, 1])) < 1e-12


def test_filters_leave_out_what_was_not_seen():
    m = model()
    rows, law = m.rows(Y), (m.initial(), m.transition, m.observation)
    # In float64: -4.63 is the joint normal law of the five numbers that are there.
    exact, mean, _ = smoothed(m, Y)
    for sampler in (
        bootstrap_filter(*law, rows),
        guided_filter(m, m.optimal_proposal(), rows),
        auxiliary_filter(*law, m.look_ahead, rows),
        guided_filter(m, m.optimal_proposal(), rows, look_ahead=m.look_ahead),
        backward_simulation(m, rows, 2),
    ):
        result = pi.sample(sampler, jax.random.key(0), n=20_000)
        assert result.status is pi.Status.OK
        # The relative variance of Z-hat is below 4/n a row: six standard errors, a false alarm in 1e-8.
        assert abs(result.particles.log_z - exact) < 6 * np.sqrt(4 * T / 20_000)
    start = Trajectory((jnp.zeros((200, T)), jnp.zeros((200, T))))
    states = pi.sample_chains(particle_gibbs(m, rows, 8, ancestor_sampling=True), jax.random.key(1), start, 40).values
    found = np.stack(states.states, axis=-1)[:, 10:].mean(axis=1)
    error = found.std(axis=0, ddof=1) / np.sqrt(200)
    # 200 independent chains, whose start is forgotten after ten sweeps; 6 standard errors are a false alarm in 1e-7.
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - mean), 6 * error + 0.01)
