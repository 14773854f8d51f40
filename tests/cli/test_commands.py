"""What the commands print and write, on a toy model."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import probinf
from probinf.cli import main
from probinf.cli._generate import _reason
from probinf.figures import FIGURES, Budget, Figure, lm_constraints_claims, lm_constraints_data, plot_lm_constraints
from probinf.lm import enumerate_sequences
from probinf.verifiers import parse_verifier
from probinf.verifiers._lane_texts import LaneText
from probinf.verifiers._parse import _EXAMPLES

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


NOTHING = ["generate", "Write.", "--verifier", "words:zebra", "--max-tokens", "6", "--particles", "4"]


def test_a_dead_cloud_is_told_in_one_sentence_with_its_own_exit_code(capsys, on_toy):
    code = main([*NOTHING, "--json"])
    printed = capsys.readouterr()
    assert code == 3
    assert "none of the 4 texts was accepted" in printed.err and printed.err.count("\n") == 1
    report = json.loads(printed.out)
    assert report["log_z"] is None and report["texts"] == [] and report["status"] == "degenerate"
    assert report["rejected"] and all(why == "it lacks zebra" for _, why in report["rejected"])


def test_where_nothing_is_accepted_some_rejected_texts_are_shown_with_the_reason(capsys, on_toy):
    assert main(NOTHING) == 3
    printed = " ".join(capsys.readouterr().err.split())
    assert "rejected texts" in printed and "it lacks zebra" in printed
    assert any(word in printed for word in ("dog", "river", "moon", "the"))


@pytest.mark.parametrize(
    ("spec", "text", "finished", "reason"),
    [
        ("words:lamp,forest,song", "A lamp.", True, "it lacks forest and song"),
        ("words:lamp;max=2", "the old lamp glows", True, "it has 4 words, more than 2"),
        ("words:lamp,song", "A lamp", False, "it was cut off by --max-tokens, and could still have been accepted"),
        ("words:lamp", "a lamp", False, "it was not finished within --max-tokens"),
        ("count:8", "One.", True, "it has 1 word, not 8"),
        ("json:name,age", '{"name": 1}', True, "it lacks age"),
        ("json:name", "Sure!", True, "it is not one JSON object"),
        ("answer:12", "It is 12.", True, "it does not state that the answer is 12"),
    ],
)
def test_the_reason_of_a_rejection(spec, text, finished, reason):
    assert _reason(parse_verifier(spec), LaneText(text, finished)) == reason


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

    monkeypatch.setattr("probinf.cli._figures.make_figure", make)
    assert main(["figures", "validity", "validity_bias", "--out", str(tmp_path)]) == 0
    assert sorted(made) == sorted(name for name, figure in FIGURES.items() if figure.group == "validity")
    assert len(made) >= 2


def test_figures_without_a_name_are_the_quick_ones_and_begin_with_a_list(capsys, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("probinf.cli._figures.make_figure", lambda figure, *a, **k: made.append(figure.name) or [])
    assert main(["figures", "--out", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    seconds = [FIGURES[name].seconds or 0.0 for name in made]
    assert len(made) > 1 and seconds == sorted(seconds) and sum(seconds) <= 600
    assert not any(FIGURES[name].needs_data for name in made)
    beginning = printed[: printed.index("Claims of")]
    assert all(name in beginning for name in FIGURES)
    assert f"{len(made)} figures, about " in beginning and "make all-figures" in beginning
    made.clear()
    assert main(["figures", "all", "--out", str(tmp_path)]) == 0
    assert len(made) == len(FIGURES) - 1
    assert "needs tables that are not part of the package" in " ".join(capsys.readouterr().out.split())


def test_an_interrupted_figure_says_what_was_kept_and_goes_on_from_there(capsys, tmp_path, monkeypatch):
    computed = []

    def data(key, budget, *, cells, progress):
        for part in range(3):
            progress(part, 3, str(part))
            cells.get(f"part {part}", {}, lambda p=part: compute(p))
        return lm_constraints_data

    def compute(part):
        if part == stop:
            raise KeyboardInterrupt
        computed.append(part)
        return part

    monkeypatch.setitem(FIGURES, "toy", Figure("toy", "", data, plot_lm_constraints, claims_of_toy))
    places = str(tmp_path / "toy" / "cells")
    for stop, kept in (
        (0, "no part of toy was finished, so nothing of it was kept"),
        (2, "2 finished parts of toy kept"),
    ):
        assert main(["figures", "toy", "--out", str(tmp_path)]) == 130
        told = capsys.readouterr().err
        assert kept in told and (places in told) == (stop > 0)
    stop = None
    with pytest.raises(AttributeError):  # It has all parts, and fails where the toy has nothing to draw.
        main(["figures", "toy", "--out", str(tmp_path)])
    assert computed == [0, 1, 2]


def test_an_interrupted_run_of_generate_says_that_it_kept_nothing(capsys, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("probinf.cli._generate.load", interrupted)
    assert main(["generate", "Write.", "--verifier", SPEC]) == 130
    assert "the same command starts over" in capsys.readouterr().err


def test_help_lists_every_figure_group_and_verifier(capsys):
    helps = {}
    for command in ("figures", "generate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        helps[command] = capsys.readouterr().out
    groups = {figure.group for figure in FIGURES.values() if figure.group}
    assert all(f"  {name} " in helps["figures"] for name in {*FIGURES, *groups, "quick", "all"})
    assert all(f"  {example}" in helps["generate"] for example in _EXAMPLES.values())


def test_the_version_and_the_known_models(capsys, monkeypatch, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"probinf {probinf.__version__}\n"
    monkeypatch.setenv("PROBINF_CACHE", str(tmp_path))
    assert main(["models", "list"]) == 0
    assert "smollm2  98 MB" in (printed := capsys.readouterr().out) and "not downloaded" in printed


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


SLEEPER = """
import sys, time, jax
from probinf.cli import command
from probinf.figures import FIGURES, Figure

def data(key, budget, *, cells, progress):
    for part in range(100):
        progress(part, 100, str(part))
        cells.get(str(part), {}, lambda: 1)
        if part == 1:
            # A program that runs on while the process ends.
            jax.jit(lambda x: jax.lax.fori_loop(0, 10**9, lambda i, x: jax.numpy.sin(x) + x, x))(1.0)
            print("ready", flush=True)
        if part == 2 and "lost" in sys.argv[1]:
            # A destructor swallows the exception, as call-backs of compiled code do.
            class Deaf:
                def __del__(self):
                    time.sleep(60)
            Deaf()
        elif part >= 2:
            time.sleep(60)

toy = sys.argv.pop(1)
FIGURES[toy] = Figure(toy, "", data, None, None, seconds=1.0)
command()
"""


@pytest.mark.parametrize("how", ["toy", "toy_lost"])
def test_ctrl_c_ends_the_process_cleanly_while_a_program_runs(tmp_path, how):
    command = [sys.executable, "-c", SLEEPER, how, "figures", how, "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        while process.stdout.readline() not in ("ready\n", ""):
            pass
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        # The program would take minutes; the interpreter's shutdown would wait for it.
        process.wait(timeout=30)
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert f"3 finished parts of {how} kept in" in told and told.count("probinf: interrupted") == 1
