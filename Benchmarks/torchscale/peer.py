"""What both scripts need: torchscale's decoder, imported without fairscale."""

import sys
import types

import torch

_nn = types.ModuleType("fairscale.nn")
_nn.checkpoint_wrapper = lambda module, *_, **__: module
_nn.wrap = lambda module, *_, **__: module
sys.modules.setdefault("fairscale", types.ModuleType("fairscale"))
sys.modules.setdefault("fairscale.nn", _nn)

from torchscale.architecture.config import RetNetConfig  # noqa: E402
from torchscale.architecture.retnet import RetNetDecoder  # noqa: E402


def decoder(width, value_width, inner, layers, heads, vocabulary=256, **options):
    """A RetNetDecoder over so many tokens with its embedding."""
    configuration = RetNetConfig(
        vocab_size=vocabulary,
        decoder_embed_dim=width,
        decoder_value_embed_dim=value_width,
        decoder_retention_heads=heads,
        decoder_ffn_embed_dim=inner,
        decoder_layers=layers,
        no_scale_embedding=True,
        **options,
    )
    embedding = torch.nn.Embedding(vocabulary, width)
    torch.nn.init.normal_(embedding.weight, std=width**-0.5)
    return RetNetDecoder(configuration, embed_tokens=embedding)
