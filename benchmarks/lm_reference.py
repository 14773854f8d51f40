"""Write the golden file of the language-model tests with an independent implementation, llama.cpp.

llama.cpp multiplies quantized matrices with 8-bit activations, so the comparison is on a copy of the file
whose tensors are all float32 (made with the `gguf` package): both sides then compute with the same numbers.
Run once; the second command needs an environment with `pip install xllamacpp`:

    python benchmarks/lm_reference.py dequantize model.gguf model-f32.gguf
    python benchmarks/lm_reference.py evaluate model-f32.gguf tests/lm/golden_smollm2.json
"""

import argparse
import importlib
import json
from pathlib import Path

TURN = "<|im_start|>{}\n{}<|im_end|>\n"
SYSTEM = TURN.format("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
QUESTIONS = [
    "What is the capital of France?",
    "Write one sentence with the words dog, river and moon.",
    "Add 27 and 15, and answer with the number only.",
    "Name three primary colors.",
    "Translate 'good morning' to Spanish.",
]
TEXTS = [
    "The quick brown fox",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "1 + 1 = 2\n2 + 2 = 4\n3 + 3 =",
    "import numpy as np\n\tx = np.zeros((3, 4))\n",
    "Caf\u00e9 na\u00efve \u2014 \u00fcber co\u00f6perate, \u00bfqu\u00e9?",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002",
    "\U0001f600\U0001f680 emoji and 12345678 digits",
    "The year 1969 is",
    "   leading spaces and   inner   ones",
    '{"name": "Ada", "age":',
    "A B C D E F G",
    "It's what they've said: we'll go, I'd stay.",
    "Roses are red,\nViolets are",
    "x",
]


def dequantize(source: Path, target: Path) -> None:
    """Copy a GGUF file with every tensor as float32."""
    gguf = importlib.import_module("gguf")
    quants = importlib.import_module("gguf.quants")
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=element)
    for tensor in reader.tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, values.reshape(tuple(reversed(tensor.shape.tolist()))))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def evaluate(model: Path, output: Path) -> None:
    """Evaluate every prompt once and store the most probable next tokens."""
    llama = importlib.import_module("xllamacpp")
    settings = llama.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx, settings.n_parallel = 512, 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    server = llama.Server(settings)
    prompts = [SYSTEM + TURN.format("user", text) + "<|im_start|>assistant\n" for text in QUESTIONS] + TEXTS
    cases = []
    for prompt in prompts:
        reply = server.handle_completions(
            {"prompt": prompt, "n_predict": 1, "temperature": 0.0, "logprobs": 5, "cache_prompt": False}
        )
        top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        cases.append(
            {
                "prompt": prompt,
                "prompt_tokens": reply["usage"]["prompt_tokens"],
                "top": [entry["id"] for entry in top],
                "log_prob": [round(entry["logprob"], 5) for entry in top],
            }
        )
    source = f"xllamacpp, {model.name}"
    output.write_text(json.dumps({"source": source, "cases": cases}, indent=1) + "\n")


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["dequantize", "evaluate"])
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    {"dequantize": dequantize, "evaluate": evaluate}[arguments.command](arguments.model, arguments.output)


if __name__ == "__main__":
    main()
