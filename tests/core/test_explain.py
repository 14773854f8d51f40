"""Explanations say what the code means, and citations name what it comes from."""

import ast
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import probinf
from probinf import (
    Density,
    Draw,
    Guarantee,
    Measure,
    Move,
    Named,
    Particles,
    Resample,
    Reweight,
    citation,
    explain,
    kernels,
)
from probinf._citation import bibliography, names, sources
from probinf._explain import parts
from probinf.cases import shipped_cases
from probinf.kernels import hmc
from probinf.samplers import Product, parallel_tempering, particle_filtering, tempered_smc
from probinf.validity import SamplerCase, log_wealth_of_categories

ROOT = Path(__file__).resolve().parents[2]
PRIOR = Named("prior", dist.Normal(0.0, 1.0))
LIKELIHOOD = Density("like_100%", lambda x: -(x**2))
KERNEL = eqx.Partial(hmc, step_size=0.1, steps=2)


def tempered():
    return tempered_smc(PRIOR, LIKELIHOOD, KERNEL, jnp.array([0.25, 1.0]))


def test_each_stage_is_told_with_the_measure_that_it_leaves():
    sampler = Draw(PRIOR) >> Reweight(LIKELIHOOD) >> Resample()
    steps = explain(sampler).steps
    m = Measure()
    for step, stage in zip(steps, sampler.stages, strict=True):
        m = stage.meaning(m)
        assert step.measure is not None and step.measure.same_law(m) and step.measure.guarantee is m.guarantee
    assert [step.name for step in steps][0] == "Draw(distribution=prior)"
    assert steps[1].law.startswith("m -> m * potential") and m.guarantee is Guarantee.PROPER


def test_parts_are_told_beneath_what_holds_them():
    text = str(explain(tempered()))
    lines = text.splitlines()
    assert [line.strip().split("(")[0] for line in lines if re.match(r" *(\w+: )?[A-Z]\w+\(", line)] == [
        "Draw",
        "Scan",
        "stage: Reweight",
        "stage: Resample",
        "stage: Move",
        "kernel: HamiltonianMonteCarlo",
    ]
    # The first row stands for all: its temperature, and the whole measure after the last.
    assert "stage: Reweight(potential=like_100%^0.25)" in text and "now: prior * like_100%   [proper]" in text


def test_what_is_invalid_is_told_and_not_raised():
    wrong = Draw(PRIOR) >> Move(hmc(Measure() * LIKELIHOOD, step_size=0.1, steps=2)) >> Resample()
    steps = [step for step in explain(wrong).steps if step.depth == 0]
    assert steps[0].problem is None and "invariant" in str(steps[1].problem)
    assert steps[1].measure is None and steps[2].measure is None
    assert "INVALID" in str(explain(wrong)) and "<b>invalid</b>" in wrong._repr_html_()


def test_explain_refuses_what_is_no_sampler():
    with pytest.raises(TypeError, match="sampler or a kernel"):
        explain(3)


def test_pictures_in_notebooks():
    assert "$\\text{prior} \\cdot \\text{like\\_100\\%}^{0.25}$" in (PRIOR * LIKELIHOOD**0.25)._repr_latex_()
    assert "<code>Draw(distribution=prior)</code>" in tempered()._repr_html_()
    assert "HamiltonianMonteCarlo" in hmc(Measure() * PRIOR, step_size=0.1, steps=2)._repr_html_()
    cloud = Particles(jnp.zeros(4), jnp.log(jnp.array([1.0, 1.0, 0.0, 0.0])), jnp.zeros(()), jnp.zeros(4))
    assert "f32[4]" in cloud._repr_html_() and '<td style="text-align:left">2.0</td>' in cloud._repr_html_()
    dead = cloud.replace(log_weights=jnp.full(4, -jnp.inf))
    assert '<td style="text-align:left">0.0</td>' in dead._repr_html_()
    seen = []
    jax.jit(lambda c: seen.append(c._repr_html_()) or c)(cloud)
    assert "traced" in seen[0]


def keys(bibtex):
    return re.findall(r"^@\w+\{(\w+),", bibtex, re.MULTILINE)


def test_a_composition_cites_its_parts_and_nothing_else():
    assert keys(citation(tempered())) == ["carpenter1999", "delmoral2006", "duane1987", "neal2001", "neal2011"]
    assert keys(citation(Resample())) == ["carpenter1999"]
    assert keys(citation(Draw(PRIOR))) == []
    assert keys(citation(Product)) == ["puri2025", "zhao2024"]
    assert set(keys(citation(Resample(), particle_filtering))) == {"carpenter1999", "puri2025", "zhao2024"}
    # "So" is an author, and no part of a "Society".
    assert set(keys(citation(log_wealth_of_categories))) == {"krichevsky1981", "shafer2021"}
    with pytest.raises(ValueError, match="something that was used"):
        citation()
    with pytest.raises(TypeError, match="got int"):
        citation(3)


def test_kernels_that_are_built_row_by_row_are_cited():
    # Before, only what was a field of the composition: the kernel of a tempering run was not.
    def kernel(target):
        return kernels.MetropolisHastings(target, kernels.random_walk(0.5))

    run = tempered_smc(PRIOR, LIKELIHOOD, kernel, jnp.array([0.25, 1.0]))
    assert "hastings1970" in keys(citation(run))
    assert {"hastings1970"} <= set(keys(citation(parallel_tempering(PRIOR, LIKELIHOOD, kernel, [0.5, 1.0]))))


@pytest.mark.parametrize("case", shipped_cases(), ids=lambda case: case.name)
def test_explanations_agree_with_guarantees(case):
    # A kernel keeps its measure; a composition claims what its meaning claims, and each docstring no more than that.
    thing = case.sampler if isinstance(case, SamplerCase) else case.kernel
    measure = Measure()
    for step, stage in zip(
        [s for s in explain(thing).steps if s.depth == 0], getattr(thing, "stages", (thing,)), strict=True
    ):
        fresh = measure.guarantee is Guarantee.EXACT
        if isinstance(case, SamplerCase):
            measure = stage.meaning(measure)
            assert step.measure is not None and step.measure.guarantee is measure.guarantee
        else:
            assert step.measure is not None and step.measure.guarantee is Guarantee.INVARIANT
        said = [g for g in Guarantee if f"({g.name})" in step.law]
        if fresh and said:
            assert step.measure.guarantee in said, f"{step.name} says {step.law}"
    cited = citation(thing)
    for part in composed(thing):
        assert all(r.bibtex in cited for line in sources(type(part)) for r in bibliography() if names(line, r))


def composed(thing):
    """Every sampler and kernel in a composition, those that are built row by row among them."""
    for stage in getattr(thing, "stages", (thing,)):
        yield stage
        for _, part in parts(stage):
            yield from composed(part)


def test_every_source_in_the_library_is_in_the_bibliography():
    known, cited = bibliography(), set()
    for folder in ("probinf", "samplers", "transformers_dist", "verifiers"):
        for file in (ROOT / folder).rglob("*.py"):
            place = file.relative_to(ROOT).parts
            # What figures and planted bugs come from is no source of a sampler.
            if place[:2] in {("probinf", "figures"), ("probinf", "cases")}:
                continue
            for source in lines_of(file):
                entries = [r for r in known if names(source, r)]
                assert entries, f"{file}: add to probinf/references.bib what is meant by '{source}'"
                cited |= {r.bibtex for r in entries}
    assert len(cited) > 60


def lines_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        text = (ast.get_docstring(node) or "") if documented else ""
        for match in re.finditer(r"^Source: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE):
            yield " ".join(match[1].split())


def test_the_bibliography_is_whole():
    references = bibliography()
    every = [key for r in references for key in keys(r.bibtex)]
    assert len(every) == len(references) == len(set(every)) and every == sorted(every)
    assert all(r.author and r.year.isdigit() for r in references)
    assert probinf.citation is citation
