"""The network: tokens of components attend to one another and to the data."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from probinf._arguments import is_count
from probinf.distributions import GMM
from probinf.transformers_dist._heads import (
    DirectHead,
    MixtureHead,
    ResidualHead,
    SiteHead,
    component_features,
    expand_components,
)
from probinf.transformers_dist._layers import Block, mlp
from probinf.transformers_dist._view import Look, View


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Sizes and choices.

    head: "direct" gives the posterior's parameters outright (the paper's); "residual" changes those of the prior;
    "site" translates each datum into a linear-Gaussian observation for each component, conditions on it in closed
    form, and then changes what is left. expand: components of the posterior for each of the prior. normalize: whether
    the network works in the frame in which the prior is standard. count: whether it is told how many data there are
    (attention averages, so it cannot know). components: for a prior that is no mixture, how many components stand for
    it.
    """

    width: int = 32
    layers: int = 2
    heads: int = 4
    feed_forward: int = 64
    embedding: int = 32
    head: Literal["direct", "residual", "site"] = "site"
    expand: int = 1
    normalize: bool = True
    count: bool = True
    pre_norm: bool = True
    components: int = 5

    def __post_init__(self):
        sizes = (self.width, self.layers, self.heads, self.feed_forward, self.embedding, self.expand, self.components)
        if not all(map(is_count, sizes)):
            raise ValueError(
                "width, layers, heads, feed_forward, embedding, expand and components must be whole numbers from 1, "
                f"got {sizes}"
            )
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}: choose another width")
        if self.head not in ("direct", "residual", "site"):
            raise ValueError(f"head must be direct, residual or site, not {self.head!r}")


def published_config(
    *, width: int = 64, layers: int = 6, heads: int = 8, feed_forward: int = 2048, components: int = 5
) -> NetworkConfig:
    """The architecture of the paper: the norm after each part, absolute outputs, raw inputs; by default its sizes.

    Source: arXiv 2502.02463, section 3 and appendix D.
    """
    return NetworkConfig(
        width=width,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        embedding=32,
        head="direct",
        normalize=False,
        count=False,
        pre_norm=False,
        components=components,
    )


class Encoder(nnx.Module):
    """What a problem looks like to a head: tokens of the prior's components and of the data.

    Law: equivariant in the order of the prior's components, invariant in the order of the data; absent components
    and padding rows change nothing.

    Source: arXiv 2502.02463, section 3.2.
    """

    def __init__(self, config: NetworkConfig, view: View, rngs: nnx.Rngs) -> None:
        width, hidden, d = config.width, config.embedding, view.dimension
        self.config = config
        if view.mixture_prior:
            features = component_features_size(d) + view.feature_size
            self.component_embedding = mlp(features, hidden, width, rngs)
        else:
            self.feature_embedding = mlp(view.feature_size, hidden, width, rngs)
            self.tokens = nnx.List([mlp(width, 2 * hidden, width, rngs) for _ in range(config.components)])
            self.prior_head = DirectHead(config, d, rngs)
        if config.expand > 1:
            self.slots = nnx.Param(0.5 * jax.random.normal(rngs.params(), (config.expand, width)))
        self.row_embedding = mlp(view.row_size + config.count, hidden, width, rngs)
        self.sink = nnx.Param(0.1 * jax.random.normal(rngs.params(), (1, width)))
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = nnx.LayerNorm(width, rngs=rngs) if config.pre_norm else None

    def encode(self, look: Look) -> tuple[GMM, Float[Array, "K width"], Float[Array, "N width"]]:
        """The prior as a mixture; its components' tokens, which have seen the data; and the data's, which have not."""
        base, tokens = self._prior(look)
        rows = squash(look.rows)
        if self.config.count:
            log_count = jnp.log1p(jnp.sum(look.present, dtype=rows.dtype))
            rows = jnp.concatenate([rows, jnp.broadcast_to(log_count, (rows.shape[0], 1))], axis=1)
        data = self.row_embedding(rows)
        # With a sink there is something to attend to where there are no data, and less to it the more there are.
        memory = jnp.concatenate([self.sink[...], data])
        held = jnp.concatenate([jnp.ones(1, bool), look.present])
        for block in self.blocks:
            tokens = block(tokens, memory, base.present, held)
        if self.norm is not None:
            tokens = self.norm(tokens)
        return base, tokens, data

    def _prior(self, look: Look) -> tuple[GMM, Float[Array, "K width"]]:
        if look.prior is None:
            shared = self.feature_embedding(squash(look.features))
            tokens = jnp.stack([token(jax.nn.gelu(shared)) for token in self.tokens])
            base = self.prior_head.mixture(tokens, jnp.ones(tokens.shape[0], bool))
        else:
            base = look.prior
            common = jnp.broadcast_to(squash(look.features), (base.components, look.features.size))
            tokens = self.component_embedding(jnp.concatenate([component_features(base), common], axis=1))
        if self.config.expand > 1:
            base = expand_components(base, self.config.expand)
            tokens = jnp.repeat(tokens, self.config.expand, axis=0)
            tokens = tokens + jnp.tile(self.slots[...], (tokens.shape[0] // self.config.expand, 1))
        return base, tokens


class Network(Encoder):
    """From a look at a problem to two mixtures in its frame: one for the prior, one for the posterior.

    Law: that of the encoder.

    Source: arXiv 2502.02463, section 3.2; the heads "residual" and "site" are this library's.
    """

    def __init__(self, config: NetworkConfig, view: View, rngs: nnx.Rngs) -> None:
        super().__init__(config, view, rngs)
        self.head: MixtureHead = _HEADS[config.head](config, view.dimension, rngs, row_size=view.row_size)

    def __call__(self, look: Look) -> tuple[GMM, GMM]:
        """What the network makes of the prior alone, and of prior and data, in the frame of the look."""
        base, tokens, data = self.encode(look)
        return base, self.head(base, tokens, data, look.rows, look.present)


def component_features_size(dimension: int) -> int:
    """Numbers in the token of a component."""
    return 2 + dimension + dimension * (dimension + 1) // 2


def squash(x: Array) -> Array:
    """Numbers of any size, in a range that a network can read: linear near zero, logarithmic far from it."""
    return jnp.arcsinh(x)


def count_parameters(network: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))


_HEADS = {"direct": DirectHead, "residual": ResidualHead, "site": SiteHead}
