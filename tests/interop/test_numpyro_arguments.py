"""Arguments that Python reads stay what they are; all others are data of one program."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from numpyro.infer.util import log_density

from probinf import Draw, Reweight, sample
from probinf.interop import from_numpyro
from tests.interop.models import draw, gaussian

KEY = jax.random.key(0)
Y = np.random.default_rng(0).normal(size=6).astype(np.float32)
GROUP = np.array([0, 1, 2, 0, 1, 2])
AGE = np.array([1.0, np.nan, 2.0, 3.0, np.nan, 1.0])
FRAME = pd.DataFrame({"x": Y, "y": Y[::-1], "name": list("abcabc")})


def by_group(group, y, count=lambda group: len(np.unique(group))):
    """One level a group, counted in Python."""
    level = draw("level", dist.Normal(0.0, 1.0).expand([count(group)]).to_event(1))
    draw("y", dist.Normal(level[group], 1.0), obs=y)


def imputed(age, y):
    """The missing entries are latent, and how many there are decides a shape."""
    mean = draw("mean", dist.Normal(0.0, 1.0))
    missing = np.nonzero(np.isnan(age))[0]
    found = draw("found", dist.Normal(mean, 1.0).expand([len(missing)]).to_event(1))
    draw("y", dist.Normal(jnp.asarray(age).at[missing].set(found), 1.0), obs=y)


def framed(frame):
    slope = draw("slope", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(slope * frame["x"].to_numpy(), 1.0), obs=frame["y"].to_numpy())


def columns(x, y):
    slope = draw("slope", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(slope * x.to_numpy(), 1.0), obs=y.to_numpy())


def scaled(options, y):
    mean = draw("mean", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(mean, options.scale if options.scale > 1 else 1.0), obs=y)


def thresholded(y, scale):
    mean = draw("mean", dist.Normal(0.0, 1.0))
    draw("y", dist.Normal(mean, 2.0 if scale > 0.5 else 1.0), obs=y)


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (by_group, (GROUP, Y)),
        (by_group, (jnp.asarray(GROUP), Y)),
        (lambda group, y: by_group(group, y, lambda g: int(g.max()) + 1), (GROUP, Y)),
        (lambda names, y: by_group(names.cat.codes.to_numpy(), y), (FRAME["name"].astype("category"), Y)),
        (imputed, (AGE, Y)),
        (framed, (FRAME,)),
        (columns, (FRAME["x"], FRAME["y"])),
        (scaled, (SimpleNamespace(scale=2.0), Y)),
        (thresholded, (Y, 0.7)),
    ],
    ids=["unique", "unique of jax", "maximum", "categories", "imputed", "frame", "columns", "namespace", "float"],
)
def test_models_that_read_arguments_in_python_have_the_density_of_numpyro(model, args):
    ours = from_numpyro(model, *args)
    x = {name: jnp.full(shape, 0.3) for name, shape in ours.sites.unconstrained}
    expected = log_density(model, args, {}, x)[0]
    np.testing.assert_allclose(ours.posterior.log_density(x), expected, rtol=1e-6)


def test_a_column_of_pandas_is_data():
    ours = from_numpyro(gaussian, FRAME["x"], 1.0)
    np.testing.assert_array_equal(ours.args[0], Y)


def test_only_what_python_reads_compiles_anew():
    runs = []

    def counted(group, y):
        runs.append(None)
        by_group(group, y)

    def evidence(group, y):
        model = from_numpyro(counted, group, y)
        before = len(runs)
        sample(Draw(model.prior) >> Reweight(model.likelihood), KEY, n=10)
        return len(runs) - before

    assert evidence(GROUP, Y) > 0
    assert evidence(GROUP.copy(), 2 * Y) == 0
    assert evidence(np.array([0, 1, 0, 1, 0, 1]), Y) > 0


def test_a_frame_that_changes_later_leaves_the_model_as_it_was():
    frame = FRAME.copy()
    ours = from_numpyro(framed, frame)
    x = {"slope": jnp.asarray(0.3)}
    before = float(ours.likelihood.log_density(x))
    frame["y"] = 7.0
    assert float(ours.likelihood.log_density(x)) == before


def test_keys_that_are_no_sites_are_refused():
    def keyed(y):
        x = draw("x", dist.Normal(0.0, 1.0))
        noise = jax.random.normal(numpyro.prng_key())  # pyright: ignore[reportArgumentType]
        draw("y", dist.Normal(x + noise, 1.0), obs=y)

    with pytest.raises(ValueError, match=r"numpyro\.prng_key\(\), so its density would be random: pass the key"):
        from_numpyro(keyed, 0.0)


def test_python_may_not_read_what_jax_computes_or_the_model_draws():
    with pytest.raises(ValueError, match=r"NumPy \(np.unique, not jnp.unique\) for data"):
        from_numpyro(lambda group, y: by_group(group, y, lambda g: len(jnp.unique(g))), GROUP, Y)

    def branching(y):
        z = draw("z", dist.Bernoulli(0.3))
        draw("y", dist.Normal(1.0 if z else 0.0, 1.0), obs=y)

    with pytest.raises(ValueError, match="latent site 'z' is discrete, and the model decides in Python"):
        from_numpyro(branching, 0.0)
