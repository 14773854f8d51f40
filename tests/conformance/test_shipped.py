"""Every shipped sampler and kernel means what it says, and no export goes without a case."""

import jax
import pytest

import probinf
from probinf import Kernel, Sampler, kernels, resampling, samplers
from probinf.cases import shipped_cases
from probinf.resampling import Scheme
from probinf.validity import SamplerCase, check_case

CASES = shipped_cases()
# Without a claim to check: `Chain` and `Scan` are in nearly every case.
GLUE = {"Sampler", "Chain", "Scan"}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_shipped_sampler_means_what_it_says(case):
    # Exact to 1e-10 where it can be enumerated. Where it cannot, the statistical check has a false-alarm rate of 1e-6
    # per case; `probinf check` runs it beside the exact one too, which here would only cost time.
    sampled = isinstance(case, SamplerCase) and case.expectations is not None
    row = check_case(case, jax.random.key(0), replicates=8192 if sampled else 0)
    assert row.verdict == "pass", row
    assert sampled or (row.exact_error is not None and row.exact_error <= 1e-10)


def test_every_export_has_a_case():
    text = " ".join(case.name for case in CASES)
    primitives = {name for name in dir(probinf) if _is_sampler(getattr(probinf, name))} - GLUE
    published = {name for name in dir(samplers) if callable(getattr(samplers, name)) and name.islower()}
    schemes = {name.lower() for name in dir(resampling) if _is(getattr(resampling, name), Scheme)} - {"scheme"}
    made = {name for name in dir(kernels) if _is(getattr(kernels, name), Kernel)}
    constructors = {"ConditionalSMC": "conditional_smc"} | {
        "ParticleIndependentMetropolisHastings": "pimh",
        "ParticleMarginalMetropolisHastings": "pmmh",
    }
    named = primitives | published | schemes | {constructors.get(name, name) for name in made}
    assert len(named) > 20
    assert {name for name in named if name not in text} == set()


def _is(candidate, base):
    return isinstance(candidate, type) and issubclass(candidate, base)


def _is_sampler(candidate):
    return _is(candidate, Sampler)
