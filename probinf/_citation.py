"""The papers behind a composition, as BibTeX; which they are is read off the `Source:` lines of its parts."""

from __future__ import annotations

import inspect
import re
import sys
import unicodedata
from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

import equinox as eqx
import jax

from probinf._explain import parts


class Reference(NamedTuple):
    """An entry of the bibliography: how a `Source:` line names it, and its BibTeX."""

    author: str
    year: str
    eprint: str
    bibtex: str


def citation(*used: Any) -> str:
    """BibTeX of the papers that samplers, kernels and functions come from, once each.

    A sampler is cited with all its parts: stages, kernels, schemes, weight rules. A function such as
    `particle_filtering` leaves no trace in the composition that it returns, so name it as well:
    `citation(sampler, particle_filtering)`. A part without a source, such as `Draw`, adds nothing.

    Raises: ValueError for nothing to cite; TypeError for what is no module, class or function.
    """
    if not used:
        raise ValueError("citation needs something that was used: a sampler, a kernel, a class or a function")
    for thing in used:
        if not (isinstance(thing, eqx.Module) or inspect.isclass(thing) or inspect.isroutine(thing)):
            raise TypeError(f"citation takes samplers, kernels, classes and functions, got {type(thing).__name__}")
    known = bibliography()
    texts = [text for thing in used for text in sources(thing)]
    return "\n".join(r.bibtex for r in known if any(names(text, r) for text in texts))


def sources(thing: Any) -> Iterator[str]:
    """The `Source:` lines of a class, of a function and the file it stands in, or of all parts of a composition."""
    if inspect.isclass(thing):
        yield from _lines_of(thing, sys.modules[thing.__module__])
    elif inspect.isroutine(thing):
        # One algorithm a file: what a function builds is told beside it.
        file = sys.modules[thing.__module__]
        beside = [x for x in vars(file).values() if getattr(x, "__module__", None) == file.__name__]
        yield from _lines_of(file, *beside)
    else:
        for kind in dict.fromkeys(_kinds(thing)):
            yield from sources(kind)


def bibliography() -> tuple[Reference, ...]:
    """All references of the package, in the order of their keys."""
    text = resources.files("probinf").joinpath("references.bib").read_text(encoding="utf-8")
    return tuple(map(_reference, re.split(r"\n(?=@)", text)))


def names(source: str, reference: Reference) -> bool:
    """Whether a `Source:` line names a reference: by its arXiv number, or by first author and year."""
    if reference.eprint and re.search(rf"(?<![\d.]){re.escape(reference.eprint)}(?!\d)", source):
        return True
    fragments = _plain(source).split(";")
    said = rf"\b{re.escape(reference.author)}\b", rf"\b{reference.year}\b"
    return any(all(re.search(word, fragment) for word in said) for fragment in fragments)


def _lines_of(*documented: Any) -> Iterator[str]:
    for thing in documented:
        text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
        for match in re.finditer(r"^Source: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE):
            yield " ".join(match[1].split())


def _kinds(tree: Any) -> Iterator[Any]:
    """The classes of a module and of the modules in it, and the functions that they hold."""
    if isinstance(tree, eqx.Module):
        yield type(tree)
        for value in vars(tree).values():
            yield from _kinds(value)
        # A kernel that a loop builds row by row is no field of it.
        yield from (kind for _, part in parts(tree) for kind in _kinds(part))
    elif inspect.isroutine(tree):
        yield tree
    elif inspect.isclass(tree):
        return
    else:
        for leaf in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, eqx.Module)):
            if isinstance(leaf, eqx.Module) or inspect.isroutine(leaf):
                yield from _kinds(leaf)


def _reference(bibtex: str) -> Reference:
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", bibtex, re.MULTILINE))
    author = _plain(fields["author"].split(" and ")[0].split(",")[0])
    return Reference(author, fields["year"], fields.get("eprint", ""), bibtex)


def _plain(text: str) -> str:
    """Without accents, be they LaTeX's or Unicode's."""
    bare = re.sub(r"\{\\[^a-zA-Z]\{?(\w)\}?\}", r"\1", text)
    return unicodedata.normalize("NFKD", bare).encode("ascii", "ignore").decode()
