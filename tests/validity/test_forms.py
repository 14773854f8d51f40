"""Programs are read in the form of every tested version of JAX; an unknown form is refused in one sentence."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core.primitives import cond_p

from probinf.validity import UnknownForm
from probinf.validity._forms import TESTED_VERSIONS, branches, open_jaxpr, scan_form


def equation(f, name, *arguments):
    (found,) = [e for e in open_jaxpr(jax.make_jaxpr(f)(*arguments))[0].eqns if e.primitive.name == name]
    return found


def rewritten(params):
    """A scan of another version of JAX."""
    scan = equation(lambda x: jax.lax.scan(lambda c, _: (c, c), x, length=3), "scan", 1.0)
    return scan.replace(params={"jaxpr": None, "length": 3, "reverse": False, **params})


def tree(*sizes):
    """The trees in which JAX 0.11 and later count a scan's inputs, as far as they are read."""
    return SimpleNamespace(unpack=lambda: tuple([None] * size for size in sizes))


def test_a_scan_of_this_version_is_read():
    def f(k, x):
        return jax.lax.scan(lambda c, x: ((c[0] + x * k, 2 * c[1]), (c[0], x)), (x, x), jnp.arange(3.0), reverse=True)

    form = scan_form(equation(f, "scan", 1.0, 2.0))
    # The one constant is k.
    assert (form.constants, form.carried, form.length, form.reverse) == (1, 2, 3, True)
    assert len(open_jaxpr(form.body)[0].invars) == 4


@pytest.mark.parametrize(
    "counts",
    [{"num_consts": 1, "num_carry": 2}, {"ft_in": tree(1, 2, 1), "ft_out": tree(2, 1)}],
    ids=["0.10", "0.11"],
)
def test_both_forms_of_a_scan_are_read(counts):
    assert scan_form(rewritten(counts))[1:] == (1, 2, 3, False)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"num_consts": 1},
        {"ft_in": tree(1, 2), "ft_out": tree(2, 1)},
        {"ft_in": tree(1, 2, 1), "ft_out": tree(1, 1)},
        {"ft_in": (1, 2, 1), "ft_out": (2, 1)},
    ],
)
def test_an_unknown_form_of_a_scan_is_refused_with_the_tested_range(params):
    with pytest.raises(UnknownForm, match=rf"install jax from {TESTED_VERSIONS[0]} to {TESTED_VERSIONS[1]}"):
        scan_form(rewritten(params))


def test_an_unknown_form_of_a_cond_is_refused():
    with pytest.raises(UnknownForm, match="cond without the parameter branches"):
        branches(rewritten({}).replace(primitive=cond_p))


def test_the_package_states_the_tested_range():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (stated,) = [line for line in project["dependencies"] if line.startswith("jax>")]
    first, last = TESTED_VERSIONS
    major, minor, *_ = last.split(".")
    assert stated == f"jax>={first},<{major}.{int(minor) + 1}"
