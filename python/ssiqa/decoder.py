"""Queries to a transformer's tokens: how the network of the authors' published code is read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HEAD_WIDTH = 64
"""Features of an attention head, as in the transformers that are read."""


class Decoder(nn.Module):
    """A transformer's tokens to one vector: the mean of what some queries make of them.

    Each query is the class token and a vector of its own, and asks the other tokens in one decoder layer (Qin et al.,
    "Data-Efficient Image Quality Assessment with Attention-Panel Decoder", AAAI 2023).
    """

    def __init__(self, width: int, prefix: int, queries: int) -> None:
        """
        Args:
            width: Features of a token.
            prefix: Tokens before those of the image, the class token first.
            queries: How many ask.
        """
        super().__init__()
        self._prefix = prefix
        self.queries = nn.Parameter(torch.empty(queries, width))
        nn.init.trunc_normal_(self.queries, std=0.02)
        heads = max(1, width // HEAD_WIDTH)
        self.layer = nn.TransformerDecoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """``(n, tokens, width)`` to ``(n, width)``."""
        asked = tokens[:, :1] + self.queries
        answers: Tensor = self.layer(asked, tokens[:, self._prefix :])
        return answers.mean(1)
