"""The folder of RWKV-4 under its authors' names, and what their inference package computes with it.

Needs torch, safetensors, and the authors' package `rwkv` (0.8.32).
"""

import importlib.metadata
import os
import tempfile

os.environ |= {"RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
import torch
from dialect_fixture import write_dialect
from fixture import VOCABULARY, randomize
from rwkv.model import RWKV
from torch import nn

PROMPT = 9


class Part(nn.Module):
    """Time or channel mixing, as names and shapes."""

    def __init__(self, width, inner, mixes):
        super().__init__()
        for mix in mixes:
            setattr(self, f"time_mix_{mix}", nn.Parameter(torch.empty(1, 1, width)))
        self.key = nn.Linear(width, inner, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(inner, width, bias=False)


class Block(nn.Module):
    def __init__(self, width, inner, first):
        super().__init__()
        if first:
            self.ln0 = nn.LayerNorm(width)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.att, self.ffn = Part(width, width, "kvr"), Part(width, inner, "kr")
        for name in ["time_decay", "time_first"]:
            setattr(self.att, name, nn.Parameter(torch.empty(width)))
        self.att.output = nn.Linear(width, width, bias=False)


class Model(nn.Module):
    def __init__(self, width, inner, layers):
        super().__init__()
        self.emb = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width, inner, i == 0) for i in range(layers))
        self.ln_out = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)


def main():
    torch.manual_seed(71)
    model = Model(8, 24, 3)
    randomize(model)
    weights = model.state_dict()
    ids = torch.randint(0, VOCABULARY, (2, 21))
    with tempfile.TemporaryDirectory() as place:
        torch.save(weights, f"{place}/model.pth")
        peer = RWKV(model=f"{place}/model", strategy="cpu fp32", verbose=False)
    logits, continued = [], []
    for row in ids.tolist():
        output, state = None, None
        rows = []
        for token in row:
            output, state = peer.forward([token], state)
            rows.append(output.clone())
        logits.append(torch.stack(rows))
        _, state = peer.forward(row[:PROMPT], None)
        rows, state = peer.forward(row[PROMPT:], state, full_output=True)
        continued.append(rows.clone())
    expected = {"tokens": ids, "logits": torch.stack(logits), "continued": torch.stack(continued)}
    assert (expected["logits"][:, PROMPT:] - expected["continued"]).abs().max() < 1e-4
    write_dialect(
        "rwkv4-authors", {"n_layer": 3, "n_embd": 8, "vocab_size": VOCABULARY, "dim_ffn": 24, "ctx_len": 64},
        weights, expected, f"rwkv {importlib.metadata.version('rwkv')}",
    )


if __name__ == "__main__":
    main()
