"""Checkpoints of fkodom/yet-another-retnet, and what its model computes.

Needs torch, safetensors, einops, and a checkout of yet-another-retnet, whose folder is the argument. Its state needs no
change: products of scaled, rotated keys and values, [B, H, A, V].
"""

import subprocess
import sys

import torch
from dialect_fixture import write_dialect
from fixture import VOCABULARY, randomize, seed

FOLDER = sys.argv[1]
sys.path.insert(0, FOLDER)
from yet_another_retnet.retnet import RetNet  # noqa: E402

COMMIT = subprocess.run(
    ["git", "-C", FOLDER, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "fdd1c0e"


def retnet(name, number, **options):
    seed(number)
    arguments = {"num_tokens": VOCABULARY, "d_model": 16, "nhead": 2, "num_layers": 2, "dim_feedforward": 12, **options}
    model = RetNet(**arguments).eval()
    randomize(model)
    ids = torch.randint(0, VOCABULARY, (2, 21))
    with torch.no_grad():
        expected = {"tokens": ids, "logits": model.forward_parallel(ids)}
        for i, state in enumerate(model.forward_chunkwise(ids, 0)[1]):
            expected[f"state.{i}.memory"] = state
    write_dialect(name, arguments, model.state_dict(), expected, f"fkodom/yet-another-retnet {COMMIT}")


if __name__ == "__main__":
    retnet("fkodom-retnet", 80)
    retnet("fkodom-retnet-gelu", 81, activation="gelu", layer_norm_eps=1e-5)
