"""Networks for short texts: tokens, int64 (n, length), where 0 is padding.

They have no dropout: what a network memorises is what can be forgotten.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.data.examples import Shape

WIDTH = 128
HEADS = 4
LAYERS = 2


class BagOfEmbeddings(nn.Module):
    """The mean embedding of the words, which ignores their order, and one hidden layer."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, WIDTH, padding_idx=0)
        self.head = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, shape.classes)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(masked_mean(self.embedding(tokens), tokens != 0))


class Transformer(nn.Module):
    """An encoder (Vaswani et al. 2017, normalised before each part) and the mean of its words."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, WIDTH)
        self.position = nn.Parameter(torch.empty(shape.length, WIDTH))
        for table in (self.embedding.weight, self.position):
            nn.init.normal_(table, std=0.02)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, shape.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = tokens != 0
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(masked_mean(self.norm(x), mask))


class Layer(nn.Module):
    """x + attention(x), then x + mlp(x).

    Not nn.TransformerEncoderLayer, whose fused form for evaluation has no forward derivative:
    sgu.methods.curvature needs one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.to_qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self._attention(self.norms[0](x), mask)
        return x + self.mlp(self.norms[1](x))

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:
        heads = self.to_qkv(x).unflatten(2, (3, HEADS, -1)).transpose(1, 3)  # n, heads, 3, length
        q, k, v = heads.unbind(2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.out(mixed.transpose(1, 2).flatten(2))


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of x (n, length, d) over the positions in mask (n, length), 0 for none."""
    weights = mask.unsqueeze(2).to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
