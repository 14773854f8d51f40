"""The shape of a Llama-architecture model."""

from dataclasses import dataclass

from probinf._arguments import is_count, real


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and constants of a Llama-architecture decoder (hashable, so that it is a static field).

    Raises:
        ValueError: the heads cannot be grouped over the key-value heads, or a size is not positive.
    """

    vocabulary_size: int
    dimension: int
    layers: int
    heads: int
    key_value_heads: int
    head_dimension: int
    hidden_dimension: int
    context_length: int
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in (
            "vocabulary_size",
            "dimension",
            "layers",
            "heads",
            "key_value_heads",
            "context_length",
            "hidden_dimension",
        ):
            if not is_count(getattr(self, name)):
                raise ValueError(f"LlamaConfig.{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("rope_base", "norm_epsilon"):
            real(f"LlamaConfig.{name}", getattr(self, name), "", low=0, finite=True)
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of key_value_heads ({self.key_value_heads}).")
        if self.head_dimension % 2:
            raise ValueError(f"head_dimension must be even for rotary embedding, got {self.head_dimension}.")

    @property
    def group(self) -> int:
        """Query heads per key-value head."""
        return self.heads // self.key_value_heads
