"""Prompts of conversations, rendered from a model's own chat template as transformers renders it."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from probinf.lm._errors import NoChatTemplateError
from probinf.lm._optional import optional_module

_REASONING = ("reasoning_content", "thinking", "reasoning")


class ChatText(str):
    """The prompt of a conversation: its special tokens are written out, so that encoding adds none."""


class ChatTemplate:
    """Jinja templates of one model by name, rendered in a sandbox.

    Args:
        templates: The sources by name; most models have `default` only.
        special_tokens: What templates may refer to: `bos_token`, `eos_token` and others, as text.
    """

    def __init__(self, templates: Mapping[str, str], special_tokens: Mapping[str, str]) -> None:
        self.templates, self.special_tokens = dict(templates), dict(special_tokens)

    def render(self, messages: str | Sequence[Mapping[str, Any]], **variables: Any) -> ChatText:
        """Return the prompt of a conversation; see `Tokenizer.chat`."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        given = {
            **self.special_tokens, "tools": None, "documents": None, "add_generation_prompt": True,
            **_plain(variables), "messages": [_message(turn) for turn in messages],
        }  # fmt: skip
        name = "tool_use" if given["tools"] and "tool_use" in self.templates else "default"
        if name not in self.templates:
            others = f" (it has {', '.join(sorted(self.templates))})" if self.templates else ""
            raise NoChatTemplateError(
                f"The model has no chat template {name!r}{others}: encode the text without a chat format."
            )
        try:
            return ChatText(self._environment.from_string(self.templates[name]).render(given))
        except ImportError:
            raise
        except Exception as problem:  # a template is a program, and fails in any way
            raise ValueError(f"The model's chat template cannot render these messages: {problem}") from None

    @cached_property
    def _environment(self) -> Any:
        return _environment()


def _environment() -> Any:
    """What templates are written for.

    As `_compile_jinja_template` of transformers 5.24 does.
    """
    jinja2, sandbox = optional_module("jinja2"), optional_module("jinja2.sandbox")
    extension = optional_module("jinja2.ext")

    class Generation(extension.Extension):
        """`{% generation %}`, which marks what the assistant says and renders as its body."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller: Callable[[], str]) -> str:
            return caller()

    class Namespace(jinja2.utils.Namespace):
        """Jinja's namespace without names that reach into the interpreter."""

        def __init__(*arguments: Any, **attributes: Any) -> None:  # noqa: N805, a template may say self=
            own = dict(*arguments[1:], **attributes)
            for name in own:
                _public(name)
            jinja2.utils.Namespace.__init__(arguments[0], own)

        def __setitem__(self, name: str, value: Any) -> None:
            _public(name)
            super().__setitem__(name, value)

    def _public(name: Any) -> None:
        if str(name).startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace has no attribute {name!r}")

    class Dictionaries:
        """What templates know as `dict`; the class itself would lead into the interpreter."""

        def __call__(self, *pairs: Any, **items: Any) -> dict:
            return dict(*pairs, **items)

        def fromkeys(self, names: Any, value: Any = None) -> dict:
            return dict.fromkeys(names, value)

    def refuse(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def to_json(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        # Jinja's filter escapes characters of HTML.
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, extension.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals |= {
        "raise_exception": refuse,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": Dictionaries(),
        "namespace": Namespace,
    }
    return environment


def _message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """One message of plain values: none that is null, and thoughts under the names that templates read."""
    if not isinstance(turn, Mapping):
        raise TypeError(f"A message is a dictionary with 'role' and 'content', got {type(turn).__name__}.")
    message = {name: _plain(value) for name, value in turn.items() if value is not None}
    thought = next((message[name] for name in _REASONING if name in message), None)
    return message if thought is None else {"thinking": thought, **message, "reasoning_content": thought}


def _plain(value: Any) -> Any:
    """A copy of JSON values; a template gets no other objects."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"A conversation holds a {type(value).__name__}: use text, numbers, lists and dictionaries.")
