"""Small random models shared by the tests of this folder."""

import numpy as np

from probinf.lm import Llama, LlamaConfig
from probinf.lm._weights import assemble_llama

CONFIG = LlamaConfig(
    vocabulary_size=23,
    dimension=12,
    layers=2,
    heads=4,
    key_value_heads=2,
    head_dimension=6,
    hidden_dimension=20,
    context_length=64,
)


MATRICES = ("query", "key", "value", "output", "gate", "up", "down")


def random_tensors(
    seed: int = 0, *, tied: bool = False, config: LlamaConfig = CONFIG, biases: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Draw every tensor of a model, under the names that `assemble_llama` asks for."""
    rng = np.random.default_rng(seed)
    query = config.heads * config.head_dimension
    pair = config.key_value_heads * config.head_dimension
    width, hidden = config.dimension, config.hidden_dimension
    shapes = {"embedding": (config.vocabulary_size, width), "norm": (width,)}
    if not tied:
        shapes["head"] = (config.vocabulary_size, width)
    for i in range(config.layers):
        layer = {
            "attention_norm": (width,), "query": (query, width), "key": (pair, width), "value": (pair, width),
            "output": (width, query), "feed_forward_norm": (width,), "gate": (hidden, width),
            "up": (hidden, width), "down": (width, hidden),
        }  # fmt: skip
        shapes |= {f"layer.{i}.{name}": shape for name, shape in layer.items()}
        shapes |= {f"layer.{i}.{name}_bias": layer[name][:1] for name in biases}
    return {name: rng.normal(size=shape).astype(np.float32) * 0.7 for name, shape in shapes.items()}


def random_llama(seed: int = 0, *, tied: bool = False, stop_tokens: tuple[int, ...] = ()) -> Llama:
    """Assemble a model from random tensors."""
    tensors = random_tensors(seed, tied=tied)
    return assemble_llama(CONFIG, lambda name, shape: tensors[name], tied=tied, stop_tokens=stop_tokens)


def full_log_probs(lm: Llama, tensors: dict[str, np.ndarray], ids: np.ndarray, *, stretch: float = 1.0) -> np.ndarray:
    """Log-probabilities after every position of one text, by plain numpy in float64 and without any cache.

    Rotation is written for complex numbers, attention as one loop over heads: nothing is shared with the
    library. `stretch` is the factor of linear rotary scaling, by which positions are divided.
    """
    cfg = lm.config
    w = {name: value.astype(np.float64) for name, value in tensors.items()}
    half = cfg.head_dimension // 2
    turn = np.exp(1j * np.outer(np.arange(len(ids)) / stretch, cfg.rope_base ** (-np.arange(half) / half)))

    def rms(x, scale):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + cfg.norm_epsilon) * scale

    def rotated(x):
        pairs = (x[:, :half] + 1j * x[:, half:]) * turn
        return np.concatenate([pairs.real, pairs.imag], axis=1)

    def times(h, part, name):
        return h @ part[name].T + part.get(f"{name}_bias", 0.0)

    x = w["embedding"][ids]
    for i in range(cfg.layers):
        part = {name.split(".")[-1]: value for name, value in w.items() if name.startswith(f"layer.{i}.")}
        h = rms(x, part["attention_norm"])
        q, k, v = (times(h, part, n).reshape(len(ids), -1, cfg.head_dimension) for n in ("query", "key", "value"))
        heads = []
        for j in range(cfg.heads):
            scores = rotated(q[:, j]) @ rotated(k[:, j // cfg.group]).T / np.sqrt(cfg.head_dimension)
            scores[np.triu_indices(len(ids), 1)] = -np.inf
            weights = np.exp(scores - scores.max(1, keepdims=True))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, j // cfg.group])
        x = x + times(np.concatenate(heads, axis=1), part, "output")
        h = rms(x, part["feed_forward_norm"])
        gate = times(h, part, "gate")
        x = x + times(gate / (1 + np.exp(-gate)) * times(h, part, "up"), part, "down")
    logits = rms(x, w["norm"]) @ w.get("head", w["embedding"]).T
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))
