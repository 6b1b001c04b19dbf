"""Fixtures from microsoft/torchscale: RetNet with gated feed-forward, in its parallel form.

Needs torch, safetensors, einops, timm and an importable torchscale; see ../torchscale/README.md, whose stand-in for
fairscale this takes too.
"""

import sys
from pathlib import Path

import torch
from fixture import VOCABULARY, Names, answers, language_model, randomize, seed, tokens, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "torchscale"))
import peer  # noqa: E402, F401
from torchscale.architecture.config import RetNetConfig  # noqa: E402
from torchscale.architecture.retnet import RetNetDecoder  # noqa: E402

VERSIONS = "microsoft/torchscale 4d1e0e8"


def retnet():
    seed(40)
    width, values, inner, heads, layers = 8, 12, 10, 2, 2
    embedding = torch.nn.Embedding(VOCABULARY, width)
    model = RetNetDecoder(
        RetNetConfig(
            vocab_size=VOCABULARY, decoder_embed_dim=width, decoder_value_embed_dim=values,
            decoder_retention_heads=heads, decoder_ffn_embed_dim=inner, decoder_layers=layers,
            no_scale_embedding=True, activation_fn="swish",
        ), embed_tokens=embedding,
    )
    randomize(model)
    names = Names(model.state_dict())
    names.copy("embed_tokens", "embedding")
    names.copy("output_projection", "output")
    names.copy("layer_norm", "final_norm")
    for i in range(layers):
        a = b = f"layers.{i}."
        for theirs, mine in {"q": "query", "k": "key", "v": "value", "g": "gate", "out": "output"}.items():
            names.copy(f"{a}retention.{theirs}_proj", f"{b}mixer.{mine}")
        for theirs, mine in {"fc1": "up", "gate": "gate", "fc2": "down"}.items():
            names.copy(f"{a}ffn.{theirs}", f"{b}feed_forward.{mine}")
        names.copy(a + "retention_layer_norm", b + "mixer_norm")
        names.copy(a + "final_layer_norm", b + "feed_forward_norm")
    configuration = language_model(
        width, layers,
        {
            "kind": "retention", "head_count": heads, "key_size": width // heads, "value_size": values // heads,
            "decay": "standard", "rotation": "interleaved", "normalization": "decay_sum_abs",
            "head_norm": {"kind": "rms", "affine": "none", "epsilon": 1e-6}, "gate": "swish",
        },
        {"kind": "gated", "activation": "swish", "inner_size": inner},
    )
    expected = answers(lambda ids: model.eval()(ids)[0], model.embed_tokens.weight, tokens())
    write("retnet", configuration, names.tensors, expected, VERSIONS)


if __name__ == "__main__":
    retnet()
