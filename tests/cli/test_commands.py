"""What the commands print and write, on a toy model."""

import json

import numpy as np
import pytest

from probinf.cli import main
from probinf.figures import FIGURES, Budget, Figure, lm_constraints_claims, lm_constraints_data, plot_lm_constraints
from probinf.lm import enumerate_sequences
from probinf.verifiers import parse_verifier

SPEC = "words:dog,river;max=4"


@pytest.fixture
def on_toy(monkeypatch, toy_model):
    monkeypatch.setattr("probinf.cli._generate.load", lambda path: toy_model)
    return toy_model


def generated(capsys, *options):
    code = main(["generate", "Write.", "--verifier", SPEC, "--max-tokens", "6", "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", ["particle-filter", "best-of-n"])
def test_generate_prints_accepted_texts_and_their_evidence(capsys, on_toy, method):
    code, report = generated(capsys, "--method", method, "--particles", "512", "--seed", "3")
    assert code == 0
    verifier = parse_verifier(SPEC)
    assert all(verifier.accepts(text) for text in report["texts"])
    assert len(set(report["texts"])) == len(report["texts"]) >= report["distinct_successes"] > 3
    assert sum(report["weights"]) == pytest.approx(1.0)
    assert report["weights"] == sorted(report["weights"], reverse=True)
    assert report["status"] == "ok" and report["seconds"] > 0
    texts, log_prob = enumerate_sequences(on_toy.lm, np.array([3]), 6)
    good = [verifier.accepts(on_toy.tokenizer.decode(t).partition("\n")[0]) for t in texts]
    assert np.exp(report["log_z"]) == pytest.approx(np.exp(log_prob)[good].sum(), abs=0.06)
    assert 512 <= report["tokens"] <= 512 * 6


def test_the_same_seed_gives_the_same_texts(capsys, on_toy):
    runs = [generated(capsys, "--particles", "16", "--seed", seed)[1] for seed in ("1", "1", "2")]
    assert runs[0]["texts"] == runs[1]["texts"] != runs[2]["texts"]


def test_generate_prints_a_table(capsys, on_toy):
    assert main(["generate", "Write.", "--verifier", SPEC, "--max-tokens", "6", "--particles", "64"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "weight" in printed and "dog" in printed and "log Z = -" in printed and "status ok" in printed


def test_a_dead_cloud_is_told_in_one_sentence_with_its_own_exit_code(capsys, on_toy):
    code = main(["generate", "Write.", "--verifier", "words:zebra", "--max-tokens", "6", "--particles", "4", "--json"])
    printed = capsys.readouterr()
    assert code == 3
    assert "none of the 4 texts was accepted" in printed.err and printed.err.count("\n") == 1
    report = json.loads(printed.out)
    assert report["log_z"] is None and report["texts"] == [] and report["status"] == "degenerate"


def test_figures_writes_everything_and_keeps_other_claims(capsys, tmp_path, monkeypatch, toy_model, toy_tasks):
    # One step: the command is tested here, not the sampler.
    plan = Budget(lanes=16, seeds=2, particles=(1, 8, 16), prompts=None, tokens_per_step=5)

    def data(key, budget, **options):
        assert budget == "smoke"
        return lm_constraints_data(key, plan, model=toy_model, tasks=toy_tasks, **options)

    figure = Figure("toy", "arXiv:0000.00000", data, plot_lm_constraints, claims_of_toy,
                    table=lambda dataset: f"{dataset.attrs['model']}\n")  # fmt: skip
    monkeypatch.setitem(FIGURES, "toy", figure)
    (tmp_path / "claims.json").write_text(json.dumps([{"id": "other/x", "verdict": "fails"}]))
    assert main(["figures", "toy", "--budget", "smoke", "--out", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    claims = json.loads((tmp_path / "claims.json").read_text())
    assert claims[0] == {"id": "other/x", "verdict": "fails"}
    assert all(claim["id"].startswith("toy/") for claim in claims[1:]) and len(claims) == 1 + 10
    counts = {v: sum(claim["verdict"] == v for claim in claims[1:]) for v in ("holds", "fails", "undecided")}
    assert ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) in printed
    assert (tmp_path / "toy" / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "toy" / "toy.md").read_text() == "toy\n"
    import xarray

    stored = xarray.load_dataset(tmp_path / "toy" / "toy.nc", engine="h5netcdf")
    assert stored["successes"].shape == (3, 2, 3, 16)
    assert stored.attrs["model"] == "toy"


def test_figures_of_a_group_are_made_together(tmp_path, monkeypatch):
    made = []

    def make(figure, budget, folder, *, data, progress):
        assert data is None
        made.append(figure.name)
        return []

    monkeypatch.setattr("probinf.figures.make_figure", make)
    assert main(["figures", "validity", "validity_bias", "--out", str(tmp_path)]) == 0
    assert made == [name for name, figure in FIGURES.items() if figure.group == "validity"]
    assert len(made) >= 2


def claims_of_toy(dataset):
    """The same claims under the toy figure's name."""
    import dataclasses

    findings = lm_constraints_claims(dataset)
    rename = lambda claim: dataclasses.replace(claim, id=claim.id.replace("lm_constraints/", "toy/"))  # noqa: E731
    return [dataclasses.replace(finding, claim=rename(finding.claim)) for finding in findings]


def test_check_hands_its_options_on(monkeypatch, tmp_path):
    called = []

    def run(*, planted, json_path, pattern):
        called.append((planted, json_path, pattern))
        return 0

    monkeypatch.setattr("probinf.cli._check.run", run)
    assert main(["check", "--planted", "--json", str(tmp_path / "checks.json")]) == 0
    assert main(["check", "--name", "*gibbs*"]) == 0
    assert called == [(True, tmp_path / "checks.json", "*"), (False, None, "*gibbs*")]
