"""The site is built without a network, its links lead somewhere, and its numbers are those of the claims."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = ROOT / "docs" / "claims.json"


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_site_is_built_and_every_link_leads_somewhere():
    command = [sys.executable, str(ROOT / "scripts" / "make_site.py")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    page = (ROOT / "build" / "site" / "api" / "samplers.html").read_text()
    assert "Law: m * prior -&gt; m * prior * likelihood (CONSISTENT)" in page


def test_every_public_package_has_its_page():
    pages = {package for packages in script("make_site").API.values() for package in packages}
    # Cases, figures and the command are for use, not for import; what runs inside the sandbox is nobody's.
    others = {"probinf.cases", "probinf.cli", "probinf.figures", "probinf.verifiers.programs.inside"}
    assert pages | others == set(script("public_api").packages())


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="here">A</h1><a href="b.html#there">b</a><a href="https://x.org">x</a>')
    (tmp_path / "b.html").write_text('<a href="/a.html#here">a</a><a href="c.html">c</a><img src="d.png">')
    assert script("make_site").broken_links(tmp_path) == [
        "a.html: b.html#there has no such heading",
        "b.html: there is no c.html",
        "b.html: there is no d.png",
    ]


def test_laws_are_read_off_the_code():
    page = script("make_site").laws()
    assert "| `Reweight` |" in page and "m -> m * potential (PROPER)." in page
    assert len(re.findall(r"^\| `", page, re.MULTILINE)) > 60


def test_claims_are_told_as_they_came():
    entry = {
        "id": "figure/one",
        "paper": "arXiv:1",
        "statement": "a | b",
        "criterion": "x > 1",
        "value": None,
        "interval": [0.12345, None],
        "published": 3,
        "verdict": "fails",
    }
    page = script("make_site").claims([entry])
    assert "1 claims: 0 holds, 1 fails, 0 undecided." in page
    assert r"| a \| b | x > 1 | not finite | 0.123 to not finite | 3 | **fails** |" in page


def test_every_figure_of_the_published_run_is_in_the_code():
    from probinf.figures import FIGURES

    entries = json.loads(CLAIMS.read_text())
    assert {entry["id"].split("/")[0] for entry in entries} <= set(FIGURES)
    assert len({entry["id"] for entry in entries}) == len(entries)


def test_the_readme_counts_what_the_claims_say():
    entries = json.loads(CLAIMS.read_text())
    rows = re.findall(
        r"^\| `([a-z_]+)` \|.*?\| (\d+) \| (\d+) \| (\d+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    counted = {}
    for entry in entries:
        counts = counted.setdefault(entry["id"].split("/")[0], {"holds": 0, "fails": 0, "undecided": 0})
        counts[entry["verdict"]] += 1
    assert {name: (int(a), int(b), int(c)) for name, a, b, c in rows} == {
        name: (c["holds"], c["fails"], c["undecided"]) for name, c in counted.items()
    }


@pytest.mark.parametrize("text", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_notebooks_with_output_are_those_of_the_text(text):
    import nbformat

    expected = script("make_notebooks").source(text)
    kept = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    pairs = [(cell.cell_type, cell.source) for cell in expected.cells]
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == pairs, "run `make notebooks`"
    ran = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran) and any(cell.outputs for cell in ran)
    outputs = [output for cell in ran for output in cell.outputs]
    # Errors, and warnings with paths of the machine that made them.
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
