"""A checkpoint of Jamie-Stirling/RetNet between an embedding and an output, and what it computes.

Needs torch, safetensors, and a checkout of Jamie-Stirling/RetNet, whose folder is the argument. Its state after token T is the
sum of decayed products of keys, damped by zeta^-(p/512), and values, per head as [B, A, V]. Here it is multiplied by A^-1/2
(its keys are not scaled) and damped as seen from the last token; channels go from pairs to halves. Positions of its
recurrent form begin at 1 (with offset n+1, the last position of n+2 is taken), those of its chunkwise form at 0: the state is
that of the latter.
"""

import subprocess
import sys

import torch
from dialect_fixture import write_dialect
from fixture import VOCABULARY, randomize, seed
from torch import nn

FOLDER = sys.argv[1]
sys.path.insert(0, FOLDER + "/src")
from retnet import RetNet  # noqa: E402

COMMIT = subprocess.run(
    ["git", "-C", FOLDER, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "a5841a3"


class Model(nn.Module):
    def __init__(self, width, output_bias, **arguments):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.retnet = RetNet(hidden_dim=width, **arguments)
        self.out = nn.Linear(width, VOCABULARY, bias=output_bias)

    def forward(self, ids):
        return self.out(self.retnet(self.embedding(ids)))


def states(model, ids):
    """The states of its chunkwise form after one chunk of all tokens."""
    stack, length = model.retnet, ids.shape[1]
    key = stack.hidden_dim // stack.heads
    value = stack.v_dim // stack.heads
    zeros = [[torch.zeros(ids.shape[0], key, value)] * stack.heads for _ in range(stack.layers)]
    for layer in stack.forward_chunkwise(model.embedding(ids), zeros, 0)[1]:
        state = torch.stack(layer, dim=1) * key**-0.5
        zeta = stack.retentions[0].retentions[0].xpos.scale ** ((length - 1) / 512)
        state = state * zeta.repeat_interleave(2).view(1, 1, -1, 1)
        yield torch.cat([state[:, :, 0::2], state[:, :, 1::2]], dim=2)


def retnet(name, number, output_bias, **options):
    seed(number)
    model = Model(16, output_bias, layers=2, ffn_size=12, heads=2, **options).eval()
    randomize(model)
    ids = torch.randint(0, VOCABULARY, (2, 21))
    with torch.no_grad():
        expected = {"tokens": ids, "logits": model(ids)}
        for i, state in enumerate(states(model, ids)):
            expected[f"state.{i}.memory"] = state
    write_dialect(name, {}, model.state_dict(), expected, f"Jamie-Stirling/RetNet {COMMIT}")


if __name__ == "__main__":
    retnet("jamie-stirling-retnet", 90, False)
    retnet("jamie-stirling-retnet-wide", 91, True, double_v_dim=True)
