"""Tokenizers: what is put around a text, bytes of pieces, ends of texts, and identifiers without a token.

Independent values: the packages `tokenizers` and transformers 5.24 (`tiny_models`), and UTF-8.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers as tk

from probinf.lm import Continue, ModelFileError, Prompt, load_model, start_generation
from probinf.lm._tokenizer_files import tokenizer_from_folder
from probinf.servers import Engine
from tests.lm.files import WIDE, write_folder, write_gguf
from tests.lm.models import random_tensors

PIECES = ["<s>", "</s>", "<0xC3>", "<0xA9>", "\u2581", "h", "i", "\u00e9", "\u2581\u00e9", "\u2581hi", "\u00ff"]


def sentence_pieces(**options):
    """A tokenizer as converters make it from a sentence-piece model."""
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    core = tk.Tokenizer(tk.models.BPE(vocabulary, [("h", "i"), ("\u2581", "\u00e9")][1:], byte_fallback=True))
    core.normalizer = tk.normalizers.Sequence([tk.normalizers.Prepend("\u2581"), tk.normalizers.Replace(" ", "\u2581")])
    core.decoder = tk.decoders.Sequence(
        [
            tk.decoders.Replace("\u2581", " "),
            tk.decoders.ByteFallback(),
            tk.decoders.Fuse(),
            tk.decoders.Strip(" ", 1, 0),
        ]
    )
    core.add_special_tokens(["<s>", "</s>"])
    around = tk.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    core.post_processor = options.get("post_processor", around)
    return core


def folder_with(tmp_path, core, **files):
    folder = write_folder(tmp_path / "m", random_tensors(), eos_token_id=2)
    core.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_texts_begin_and_end_as_the_tokenizer_says(tmp_path):
    core = sentence_pieces()
    tokenizer = tokenizer_from_folder(folder_with(tmp_path, core), 23)
    assert tokenizer.encode("hi").tolist() == core.encode("hi").ids == [0, 4, 5, 6]
    assert tokenizer.encode("hi", add_special_tokens=False).tolist() == [4, 5, 6]
    assert tokenizer.encode("").tolist() == core.encode("").ids == [0]
    # A text that brings the token written out gets no second one.
    assert tokenizer.encode("<s>hi").tolist() == core.encode("<s>hi", add_special_tokens=False).ids
    assert tokenizer.decode(tokenizer.encode("hi h\u00e9")) == "hi h\u00e9"
    both = tk.processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    core = sentence_pieces(post_processor=both)
    core.save(str(tmp_path / "m" / "tokenizer.json"))
    tokenizer = tokenizer_from_folder(tmp_path / "m", 23)
    assert tokenizer.encode("hi").tolist() == [0, 4, 5, 6, 1]
    assert tokenizer.encode("<s>hi").tolist()[::4] == [0, 1]


@pytest.mark.parametrize(
    ("metadata", "begin", "end"),
    [
        ({}, [], []),
        ({"tokenizer__ggml__bos_token_id": 259}, [], []),
        ({"tokenizer__ggml__bos_token_id": 259, "tokenizer__ggml__add_bos_token": False}, [], []),
        ({"tokenizer__ggml__bos_token_id": 259, "tokenizer__ggml__add_bos_token": True}, [259], []),
        ({"tokenizer__ggml__add_eos_token": True}, [], [260]),
    ],
)
def test_a_gguf_file_says_what_is_put_around_a_text(metadata, begin, end, tmp_path):
    tensors = random_tensors(config=WIDE, tied=True)
    tokenizer = load_model(write_gguf(tmp_path / "m.gguf", tensors, **metadata)).tokenizer
    bare = tokenizer.encode("hi", add_special_tokens=False).tolist()
    assert tokenizer.encode("hi").tolist() == [*begin, *bare, *end] and len(bare) == 2
    # A template that writes the token out, as chat does here, is not given another.
    assert tokenizer.encode(tokenizer.chat("hi")).tolist()[:2] == [259, *tokenizer.encode("system")[len(begin) :][:1]]
    assert (tokenizer.encode(str(tokenizer.chat("hi"))) == 259).sum() == 3


def test_a_gguf_file_that_adds_a_token_it_does_not_name_is_refused(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True), tokenizer__ggml__add_bos_token=True)
    with pytest.raises(ModelFileError, match=r"bos_token_id"):
        load_model(path)


def test_saved_truncation_and_padding_do_not_change_a_text(tmp_path):
    core = sentence_pieces()
    core.enable_truncation(2)
    core.enable_padding(length=9)
    tokenizer = tokenizer_from_folder(folder_with(tmp_path, core), 23)
    assert tokenizer.encode("hi").tolist() == [0, 4, 5, 6]


@pytest.mark.parametrize("family", "llama llama2 mistral qwen2 qwen3 gemma2 gemma3 smollm3 phi3 olmo2".split())
def test_identifiers_are_those_of_transformers(family, shared_data):
    folder = shared_data / "tiny_models" / family
    tokenizer = tokenizer_from_folder(folder, 512)
    for prompt in json.loads((folder / "golden.json").read_text())["prompts"]:
        assert tokenizer.encode(prompt["text"]).tolist() == prompt["ids"]
        bare = tokenizer.encode(prompt["text"], add_special_tokens=False).tolist()
        assert bare == prompt["ids_without_special"]
        # Bytes of the pieces: only the space before the text is no part of it.
        joined = b"".join(tokenizer.token_bytes[i] for i in bare).decode()
        assert joined.removeprefix(" ") == prompt["decoded"].removeprefix("<|endoftext|>")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"generation_config": {"eos_token_id": [2, 7]}}, (2, 7)),
        ({"generation_config": {"eos_token_id": 7}}, (7,)),
        ({"generation_config": {"do_sample": True}}, (2,)),
        ({}, (2,)),
        ({"tokenizer_config": {"eos_token": "</s>"}}, (1, 2)),
        ({"tokenizer_config": {"eos_token": {"content": "</s>"}}}, (1, 2)),
        ({"special_tokens_map": {"eos_token": "</s>"}}, (1, 2)),
        ({"generation_config": {"eos_token_id": [2, 7]}, "tokenizer_config": {"eos_token": "</s>"}}, (2, 7)),
    ],
)
def test_all_stop_tokens_of_a_folder_are_read(tokens, expected, tmp_path):
    assert load_model(folder_with(tmp_path, sentence_pieces(), **tokens)).lm.stop_tokens == expected


def test_all_stop_tokens_of_a_gguf_file_are_read(tmp_path):
    named: dict = {"tokenizer__ggml__eot_token_id": 259, "tokenizer__ggml__eom_token_id": 7}
    path = write_gguf(tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True), **named)
    assert load_model(path).lm.stop_tokens == (7, 259, 260)


def test_bytes_of_pieces_follow_the_kind_of_tokenizer(tmp_path):
    tokenizer = tokenizer_from_folder(folder_with(tmp_path, sentence_pieces()), 23)
    expected = {"\u00e9": b"\xc3\xa9", "\u2581\u00e9": b" \xc3\xa9", "\u00ff": b"\xc3\xbf", "<0xC3>": b"\xc3"}
    for piece, data in expected.items():
        assert tokenizer.token_bytes[PIECES.index(piece)] == data
    assert tokenizer.decode([7]) == "\u00e9" and tokenizer.decode([2, 3]) == "\u00e9"
    # In byte-level spelling the same characters are bytes, and `<0x0A>` is six characters.
    level = tk.Tokenizer(tk.models.BPE({"\u00c3": 0, "\u00a9": 1, "<0x0A>": 2, "\u0120a": 3, "\u2581": 4}, []))
    level.pre_tokenizer, level.decoder = tk.pre_tokenizers.ByteLevel(add_prefix_space=False), tk.decoders.ByteLevel()
    level.save(str(tmp_path / "m" / "tokenizer.json"))
    tokenizer = tokenizer_from_folder(tmp_path / "m", 23)
    assert tokenizer.token_bytes == (b"\xc3", b"\xa9", b"<0x0A>", b" a", "\u2581".encode())
    assert tokenizer.decode([0, 1]) == "\u00e9"
    # Metaspace, as in other sentence-piece conversions; and no decoder at all.
    for decoder in (tk.decoders.Metaspace(), None):
        plain = tk.Tokenizer(tk.models.BPE({"\u00e9": 0, "\u2581a": 1, "<0x0A>": 2}, []))
        if decoder is not None:
            plain.decoder = decoder
        plain.save(str(tmp_path / "m" / "tokenizer.json"))
        space = "\u2581a" if decoder is None else " a"
        assert tokenizer_from_folder(tmp_path / "m", 23).token_bytes == (b"\xc3\xa9", space.encode(), b"<0x0A>")


def test_a_decoder_of_another_kind_is_refused_by_name(tmp_path):
    core = sentence_pieces()
    core.decoder = tk.decoders.WordPiece()
    with pytest.raises(ModelFileError, match=r"'WordPiece'"):
        load_model(folder_with(tmp_path, core))


def draws(model, n=64):
    """Tokens of many lanes, and the probability that is left for those without a token."""
    generation = start_generation(Prompt(model.lm, [1], 4), n)
    generation = Continue(model.lm, 4, temperature=50.0).sample_lanes(jax.random.key(0), generation, n)
    state = model.lm.start(jnp.array([1]), 1, 1)
    return np.asarray(generation.tokens), np.exp(np.asarray(model.lm.log_probs(state)[0]))


def test_rows_beyond_the_tokenizer_are_never_drawn(tmp_path):
    model = load_model(folder_with(tmp_path, sentence_pieces()))  # 23 rows, 11 tokens
    tokens, probabilities = draws(model)
    assert tokens.max() == len(PIECES) - 1
    assert probabilities[len(PIECES) :].max() == 0 and probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert model.tokenizer.stop("hi").table.shape[1] == model.lm.vocabulary_size == 23
    Continue(model.lm, 1, model.tokenizer.stop("hi"))
    for wrong in (11, 22, 99, -1):
        with pytest.raises(ValueError, match=f"identifier {wrong} has no token: the tokenizer knows 11"):
            model.tokenizer.decode([5, wrong])
    written = Engine(model.lm, model.tokenizer, "m").complete(
        ["hi"] * 8, max_tokens=8, temperature=50.0, stop=["\n"], seed=0
    )
    assert len(written) == 8


def test_gaps_and_padding_inside_the_vocabulary_are_never_drawn(tmp_path):
    core = tk.Tokenizer(tk.models.BPE({"a": 0, "b": 1, "c": 20}, []))
    gaps = load_model(folder_with(tmp_path, core))
    assert set(np.unique(draws(gaps)[0])) <= {0, 1, 20}
    with pytest.raises(ValueError, match="identifier 7 has no token: the tokenizer knows 3"):
        gaps.tokenizer.decode([7])
    wide = random_tensors(config=WIDE, tied=True)
    wide["embedding"] = np.concatenate([wide["embedding"], 3 * wide["embedding"][:10]])
    padded = load_model(write_gguf(tmp_path / "m.gguf", wide, padding=10))
    assert padded.lm.vocabulary_size == 272
    tokens, probabilities = draws(padded)
    assert tokens.max() < 262 and probabilities[262:].max() == 0


def test_a_token_that_only_the_settings_know_is_refused(tmp_path):
    added = {"11": {"content": "<new>", "special": True}}
    folder = folder_with(tmp_path, sentence_pieces(), tokenizer_config={"added_tokens_decoder": added})
    with pytest.raises(ModelFileError, match=r"'<new>', which tokenizer.json lacks"):
        load_model(folder)
