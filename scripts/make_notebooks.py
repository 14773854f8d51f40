"""Runs the notebooks and keeps them with their output: `python scripts/make_notebooks.py [NAME ...]`."""

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def source(text: Path) -> nbformat.NotebookNode:
    """The notebook that a text stands for, without output."""
    notebook = jupytext.read(text)
    # The text says all there is to say; identifiers are numbered, so that a rebuilt notebook is the same file.
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for i, cell in enumerate(notebook.cells):
        cell["id"], cell["metadata"] = f"cell-{i}", {}
    return notebook


def main(names: list[str]) -> int:
    """Runs the named notebooks, or all of them, and writes each one whole or not at all."""
    for text in sorted(FOLDER.glob("*.py")):
        if names and text.stem not in names:
            continue
        print(text.stem, flush=True)
        notebook = source(text)
        NotebookClient(
            notebook, timeout=1200, record_timing=False, resources={"metadata": {"path": str(FOLDER)}}
        ).execute()
        unfinished = text.with_suffix(".ipynb.part")
        nbformat.write(notebook, unfinished)
        os.replace(unfinished, text.with_suffix(".ipynb"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
