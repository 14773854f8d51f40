"""A long prompt is read in pieces that show progress, and a model without a chat format goes on with the text."""

import dataclasses
import json

import numpy as np
import pytest

from probinf.cli import main
from probinf.lm._errors import NoChatTemplateError
from tests.lm.models import random_llama

OPTIONS = ["--verifier", "words:dog", "--max-tokens", "4", "--particles", "2", "--json"]


@pytest.fixture
def on_llama(monkeypatch, toy_model):
    """A random decoder whose tokenizer gives 600 tokens."""
    lm = random_llama()
    lm = dataclasses.replace(lm, config=dataclasses.replace(lm.config, context_length=1024))
    model = type("Model", (), {"lm": lm, "tokenizer": toy_model.tokenizer, "name": "random"})()
    monkeypatch.setattr("probinf.cli._generate.load", lambda path: model)
    monkeypatch.setattr(toy_model.tokenizer, "encode", lambda text: np.arange(600) % 23)
    monkeypatch.setattr(toy_model.tokenizer, "decode", lambda ids: "dog")
    monkeypatch.setattr(toy_model.tokenizer, "stop", lambda *strings: None)
    return model


def test_a_long_prompt_shows_how_much_of_it_is_read(capsys, on_llama):
    assert main(["generate", "Write.", *OPTIONS]) == 0
    printed = capsys.readouterr()
    # Pieces of 128 tokens; each passes a tenth of the 600.
    lines = [f"probinf: read {done} of 600 tokens of the prompt" for done in (128, 256, 384, 512, 600)]
    assert printed.err.splitlines() == lines
    assert json.loads(printed.out)["texts"] == ["dog"]


def test_a_prompt_without_room_for_the_answer_is_refused_before_it_is_read(capsys, on_llama):
    assert main(["generate", "Write.", *OPTIONS, "--max-tokens", "500"]) == 1
    printed = capsys.readouterr().err
    assert "context length 1024" in printed and "read" not in printed


def test_a_model_without_a_chat_format_goes_on_with_the_prompt(capsys, monkeypatch, toy_model):
    seen = []

    def refuse(messages):
        raise NoChatTemplateError("none")

    monkeypatch.setattr("probinf.cli._generate.load", lambda path: toy_model)
    monkeypatch.setattr(toy_model.tokenizer, "chat", refuse, raising=True)
    monkeypatch.setattr(toy_model.tokenizer, "encode", lambda text: seen.append(text) or np.array([3]))
    assert main(["generate", "Write.", "--verifier", "words:dog", "--max-tokens", "4", "--json"]) == 0
    assert seen == ["Write."] and "goes on with the text of the prompt" in capsys.readouterr().err
