"""Chat templates: the texts of jinja2, as transformers sets it up, for the templates that models bring."""

import json
from datetime import datetime

import jinja2.sandbox
import numpy as np
import pytest

from probinf.lm import load_model
from probinf.lm._chat import ChatTemplate
from probinf.lm._tokenizer_files import tokenizer_from_folder
from tests.lm.files import WIDE, write_folder, write_gguf
from tests.lm.models import random_tensors

FAMILIES = "llama llama2 mistral qwen2 qwen3 gemma2 gemma3 smollm3 phi3 olmo2".split()
TALK = [
    {"role": "user", "content": "  2 < 3 & \u00e9? "},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "why?"},
]
SYSTEM = [{"role": "system", "content": "Be brief."}, *TALK]

# The manners of Zephyr, Llama 2, and of templates that look at the first message or set their own.
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
SETS_SYSTEM = (
    "{%- if messages[0]['role'] == 'system' -%}{%- set system_message = messages[0]['content'] -%}"
    "{%- set messages = messages[1:] -%}{%- else -%}{% set system_message = 'You are helpful.' -%}{%- endif -%}"
    "{{ '<|im_start|>system\\n' + system_message + '<|im_end|>\\n' }}{%- for m in messages -%}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] | trim + '<|im_end|>\\n' }}{%- endfor -%}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
READS_FIRST = (
    "<|im_start|>system\n{{ messages[0]['content'] }}<|im_end|>\n{% for m in messages[1:] %}"
    "    {% if loop.index0 > 3 %}{% break %}{% endif %}\n"
    "{{ m.role }}: {{ m.content | tojson }}\n{% endfor %}"
)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def by_jinja(source, messages):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(source).render(messages=messages, add_generation_prompt=True, **TOKENS)


@pytest.mark.parametrize("messages", [TALK, SYSTEM], ids=["plain", "system"])
@pytest.mark.parametrize("source", [ZEPHYR, LLAMA2, SETS_SYSTEM, READS_FIRST])
def test_a_template_is_rendered_and_not_taken_for_chatml(source, messages):
    assert ChatTemplate({"default": source}, TOKENS).render(messages) == by_jinja(source, messages)


@pytest.mark.parametrize("family", FAMILIES)
def test_conversations_are_those_of_transformers(family, shared_data):
    folder = shared_data / "tiny_models" / family
    tokenizer = tokenizer_from_folder(folder, 512)
    chats = json.loads((folder / "golden.json").read_text())["chats"]
    for chat in chats:
        given = chat["kwargs"] | ({"tools": chat["tools"]} if "tools" in chat else {})
        if chat["variant"] == "assistant mask":
            given["add_generation_prompt"] = False
        if "error" in chat:
            with pytest.raises(ValueError, match=chat["error"]):
                tokenizer.chat(chat["messages"], **given)
            continue
        text = tokenizer.chat(chat["messages"], **given)
        assert text == chat["text"]
        if "ids" in chat:
            # What begins the text is written once, by the template.
            assert tokenizer.encode(text).tolist() == chat["ids"]
    assert chats


def test_a_gguf_file_and_a_folder_bring_their_template_and_its_tokens(tmp_path):
    path = write_gguf(
        tmp_path / "m.gguf", random_tensors(config=WIDE, tied=True),
        tokenizer__chat_template__tool_use="{{ bos_token }}{{ tools[0]['name'] }}{{ messages[0]['content'] }}",
        tokenizer__ggml__bos_token_id=259,
    )  # fmt: skip
    tokenizer = load_model(path).tokenizer
    assert tokenizer.chat("hi") == (
        "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.chat("hi", add_generation_prompt=False).endswith("<|im_end|>\n")
    assert tokenizer.chat("hi", tools=[{"name": "add"}]) == "<|im_start|>addhi"
    folder = write_folder(tmp_path / "m", random_tensors())
    settings = {"chat_template": ZEPHYR, "eos_token": {"content": "<end>"}, "bos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_model(folder).tokenizer.chat("hi") == "<|user|>\nhi<end>\n<|assistant|>\n"
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}!\n")
    assert load_model(folder).tokenizer.chat("hi") == "hi!"


def test_a_model_without_a_template_says_so(tmp_path):
    tokenizer = load_model(write_folder(tmp_path / "m", random_tensors())).tokenizer
    with pytest.raises(ValueError, match=r"no chat template 'default'"):
        tokenizer.chat("hi")


def test_helpers_are_those_of_transformers():
    render = lambda source, **given: ChatTemplate({"default": source}, {}).render("hi", **given)  # noqa: E731
    assert render("{% generation %}a{{ messages[0].content }}{% endgeneration %}") == "ahi"
    assert render("{{ strftime_now('%Y') }}") == str(datetime.now().year)
    assert render("{{ x | tojson(indent=1) }}", x={"a": "<\u00e9>"}) == '{\n "a": "<\u00e9>"\n}'
    assert render("{% set n = namespace(a=1) %}{% set n.a = 2 %}{{ n.a }}{{ dict(b=3).b }}") == "23"
    assert render("{{ a }}|{{ enable_thinking }}", enable_thinking=False) == "|False"
    assert render("{{ messages[0].thinking }}{{ messages[0].tool_calls is defined }}") == "False"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content + 1 }}", "concatenate"),
        ("{% for m in messages %}", "endfor|end of template"),
        ("{{ messages[7].content }}", "no element 7"),
        # The sandbox: no way into the interpreter, and no change of the conversation.
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe|undefined"),
        ("{{ messages.append(1) }}", "unsafe|not safely"),
        ("{{ namespace(__class__=1) }}", "__class__"),
    ],
)
def test_what_a_template_refuses_is_one_sentence(source, message):
    with pytest.raises(ValueError, match=message) as caught:
        ChatTemplate({"default": source}, {}).render("hi")
    assert str(caught.value).startswith("The model's chat template cannot render")


def test_conversations_hold_plain_values():
    template = ChatTemplate({"default": "{{ messages[0].content }}"}, {})
    with pytest.raises(TypeError, match="ndarray"):
        template.render([{"role": "user", "content": np.zeros(2)}])
