"""Verifiers from one line of text, for the command line and configuration files."""

from collections.abc import Callable
from typing import Any, TypeVar

from probinf.verifiers._answer import Answer
from probinf.verifiers._json_object import JsonObject
from probinf.verifiers._verifier import Verifier
from probinf.verifiers._word_count import WordCount
from probinf.verifiers._words import Words

T = TypeVar("T")
_EXAMPLES = {
    "answer": "answer:12;intermediate=5,7",
    "count": "count:8",
    "json": "json:name,age",
    "words": "words:lamp,forest,song;max=12",
}


def _number(kind: Callable[[str], T], noun: str, text: str, spec: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} in the verifier {spec!r} is not {noun}.") from None


def _integer(text: str, spec: str) -> int:
    return _number(int, "a whole number", text, spec)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(","))


def parse_verifier(spec: str) -> Verifier:
    """Build a verifier from `kind:arguments;option=value`.

    The kinds are "words:lamp,forest,song;max=12", "count:8", "json:name,age" and
    "answer:12;intermediate=5,7"; each takes the option `strength` too.

    Law: `parse_verifier(verifier.name)` equals `verifier`, unless one of its keys holds a comma, a semicolon
    or outer white space.

    Raises: ValueError for an unknown kind or malformed arguments, in one sentence that names the fix.
    """
    kind, _, rest = (part.strip() for part in spec.partition(":"))
    if kind not in _EXAMPLES:
        raise ValueError(
            f"unknown verifier {kind!r}: choose one of {', '.join(_EXAMPLES)}, for example {_EXAMPLES['words']!r}."
        )
    argument, *pairs = (part.strip() for part in rest.split(";"))
    if not argument:
        raise ValueError(f"the verifier {spec!r} has no argument: write it like {_EXAMPLES[kind]!r}.")
    known = {"words": ("max", "strength"), "answer": ("intermediate", "strength")}.get(kind, ("strength",))
    options: dict[str, str] = {}
    for pair in pairs:
        option, equals, value = (part.strip() for part in pair.partition("="))
        if option not in known or option in options or not equals or not value:
            raise ValueError(
                f"{pair!r} in the verifier {spec!r} is not an option: give each of {', '.join(known)} "
                "at most once, as option=value."
            )
        options[option] = value
    knobs: dict[str, Any] = {}
    if "strength" in options:
        knobs["strength"] = _number(float, "a number", options["strength"], spec)
    if "max" in options:
        knobs["max_words"] = _integer(options["max"], spec)
    if "intermediate" in options:
        knobs["intermediate"] = tuple(_integer(item, spec) for item in _listed(options["intermediate"]))
    if kind == "words":
        return Words(_listed(argument), **knobs)
    if kind == "count":
        return WordCount(_integer(argument, spec), **knobs)
    if kind == "json":
        return JsonObject(_listed(argument), **knobs)
    return Answer(_integer(argument, spec), **knobs)
