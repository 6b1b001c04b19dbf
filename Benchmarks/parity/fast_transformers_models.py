"""A fixture from idiap/fast-transformers: the Linear Transformer in its recurrent form, with elu + 1.

Needs torch, safetensors, and a checkout of fast-transformers, whose folder is the argument. Its recurrent modules are
plain PyTorch; the causal ones need a compiled extension and compute the same.
"""

import subprocess
import sys

import torch
from fixture import write_stack
from torch import nn

FOLDER = sys.argv[1]
sys.path.insert(0, FOLDER)

from fast_transformers.recurrent.attention.self_attention.attention_layer import RecurrentAttentionLayer  # noqa: E402
from fast_transformers.recurrent.attention.self_attention.linear_attention import RecurrentLinearAttention  # noqa: E402

COMMIT = subprocess.run(
    ["git", "-C", FOLDER, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "2ad36b9"


class LinearTransformer(nn.Module):
    """The layer of fast-transformers, position by position."""

    def __init__(self, width, heads):
        super().__init__()
        self.layer = RecurrentAttentionLayer(RecurrentLinearAttention(width // heads), width, heads)

    def forward(self, x):
        outputs, state = [], None
        for position in range(x.shape[1]):
            token = x[:, position]
            output, state = self.layer(token, token, token, state=state)
            outputs.append(output)
        return torch.stack(outputs, 1)


def renamed(key):
    """`layer.query_projection.weight` → `query.weight`."""
    part, name = key.removeprefix("layer.").split(".")
    return part.removesuffix("_projection").replace("out", "output") + "." + name


if __name__ == "__main__":
    write_stack(
        "linear-transformer", 60, 8, lambda: LinearTransformer(8, 2),
        {"kind": "linear_attention", "head_count": 2, "head_size": 4, "biases": True},
        f"idiap/fast-transformers {COMMIT}", renamed,
    )
