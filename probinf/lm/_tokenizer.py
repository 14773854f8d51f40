"""Text to token identifiers and back, by the `tokenizers` package, built without any network."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from probinf.lm._chat import ChatTemplate, ChatText
from probinf.lm._pieces import piece_decoder
from probinf.lm._stop import StopTable, stop_table


class Tokenizer:
    """A tokenizer and its chat format.

    `special_tokens` are identifiers that stand for structure and not for text.

    Args:
        core: A tokenizer of the package `tokenizers`.
        special_tokens: See above.
        chat_template: The model's chat format, or None.
        rows: Number of tokens of the model, where that is not `vocabulary_size`.
        unused: Identifiers that only pad the vocabulary.
    """

    def __init__(
        self,
        core: Any,
        *,
        special_tokens: Sequence[int] = (),
        chat_template: ChatTemplate | None = None,
        rows: int | None = None,
        unused: Sequence[int] = (),
    ) -> None:
        # A file may keep the settings of its last use, which would cut or fill up texts.
        core.no_truncation()
        core.no_padding()
        self._core = core
        self._piece_bytes, self._leading_space = piece_decoder(core)
        self._chat = ChatTemplate({}, {}) if chat_template is None else chat_template
        self._rows, self._unused = rows, frozenset(int(token) for token in unused)
        self.special_tokens = frozenset(int(token) for token in special_tokens)

    @property
    def vocabulary_size(self) -> int:
        return len(self.token_bytes)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> np.ndarray:
        """Return the identifiers of a text, int32; special tokens written in it (`<|im_end|>`) are parsed.

        The tokens that the tokenizer puts around every text are added, most often one that begins it. A text
        that brings this one written out, and the result of `chat`, get no second one.

        Args:
            text: The text.
            add_special_tokens: Whether to add them.
        """
        bare = self._core.encode(str(text), add_special_tokens=False).ids
        if not add_special_tokens or isinstance(text, ChatText):
            return np.asarray(bare, np.int32)
        whole = self._core.encode(str(text), add_special_tokens=True)
        # Where the text itself begins; an empty one has nothing that could be written out.
        first = next((k for k, part in enumerate(whole.sequence_ids) if part is not None), 0)
        written = 0 < first <= len(bare) and bare[:first] == whole.ids[:first]
        return np.asarray(whole.ids[first if written else 0 :], np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray, *, skip_special: bool = True) -> str:
        """Return the text of identifiers; bytes that are not UTF-8 show as the replacement character.

        A tokenizer that writes a space before each text takes it away again behind the token that begins one.

        Raises:
            ValueError: an identifier has no token.
        """
        ids = [int(i) for i in ids]
        for i in ids:
            if i not in self._tokens:
                raise ValueError(f"The identifier {i} has no token: the tokenizer knows {len(self._tokens)}.")
        kept = (i for i in ids if not (skip_special and i in self.special_tokens))
        text = b"".join(self.token_bytes[i] for i in kept).decode("utf-8", errors="replace")
        begins = skip_special and self._leading_space and ids[:1] and ids[0] in self.special_tokens
        return text.removeprefix(" ") if begins else text

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each identifier stands for (a special token: its written form; no token: none)."""
        vocabulary = self._core.get_vocab(with_added_tokens=True)
        added = {int(i): token.content for i, token in self._core.get_added_tokens_decoder().items()}
        table = [b""] * (1 + max(vocabulary.values(), default=-1))
        for piece, i in vocabulary.items():
            table[i] = added[i].encode() if i in added else self._piece_bytes(piece)
        return tuple(table)

    @cached_property
    def _tokens(self) -> frozenset[int]:
        """The identifiers that have a token."""
        return frozenset(self._core.get_vocab(with_added_tokens=True).values()) - self._unused

    def has_token(self, size: int) -> np.ndarray:
        """Which of the first `size` identifiers have a token, bool of shape [size]."""
        return np.isin(np.arange(size), list(self._tokens))

    def token_id(self, written: str) -> int | None:
        """The identifier of a token by its written form, or None."""
        return self._core.token_to_id(written)

    def chat(self, messages: str | Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """Return the prompt text of a conversation, up to the start of the assistant's reply.

        The model's own chat template is rendered, as transformers does it. `encode` adds no special tokens to
        the result, which has them written out.

        Args:
            messages: Dictionaries with `role` and `content`, or one user message.
            variables: What the template may read besides: `tools`, `enable_thinking`, `date_string` and others;
                `add_generation_prompt=False` ends the prompt with the last message.

        Raises:
            ValueError: the model has no chat template, or the template refuses the conversation.
            TypeError: the conversation holds other things than text, numbers, lists and dictionaries.
            ImportError: the package `jinja2` is not installed.
        """
        return self._chat.render(messages, **variables)

    def stop(self, *strings: str) -> StopTable:
        """Return the table that stops a `Continue` at the first of these strings, wherever token borders
        fall.
        """
        rows = len(self.token_bytes) if self._rows is None else self._rows
        table = [b"" if i in self.special_tokens else text for i, text in enumerate(self.token_bytes[:rows])]
        table += [b""] * (rows - len(table))
        return stop_table(table, [string.encode() for string in strings])
