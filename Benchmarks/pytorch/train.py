"""Training speed beside a plain PyTorch Transformer of the same size: 19M parameters, batch 8 of length 512, bfloat16."""

import argparse
import json
import math
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3, help="alternations of the two")
parser.add_argument("--repetitions", type=int, default=5, help="timed steps in each")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--form", default="chunkwise:128", help="the form of retnet")
parser.add_argument("--binary", default="./retnet")
arguments = parser.parse_args()
WIDTH, LAYERS, HEADS, VOCABULARY = 512, 6, 8, 256
torch.set_num_threads(arguments.threads)


def turn(x, cosine, sine):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.projections = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, cosine, sine):
        batch, time_, _ = x.shape
        q, k, v = self.projections(x).view(batch, time_, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        q, k = turn(q, cosine, sine), turn(k, cosine, sine)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(y.transpose(1, 2).reshape(batch, time_, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(WIDTH, eps=1e-6), nn.RMSNorm(WIDTH, eps=1e-6)
        self.attention = Attention()
        self.inner = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.outer = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x, cosine, sine):
        x = x + self.attention(self.norm1(x), cosine, sine)
        return x + self.outer(F.gelu(self.inner(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, length, dtype):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        half = WIDTH // HEADS // 2
        angles = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(half) / half))
        self.cosine, self.sine = angles.cos().to(dtype), angles.sin().to(dtype)

    def forward(self, tokens):
        x = self.embedding(tokens) * math.sqrt(WIDTH)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return self.head(self.norm(x))


def pytorch_speed():
    dtype = getattr(torch, arguments.dtype)
    model = Transformer(arguments.length, dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    shape = (arguments.batch, arguments.length)
    tokens, targets = (torch.randint(0, VOCABULARY, shape) for _ in range(2))
    times = []
    for step in range(arguments.repetitions + 2):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            logits = model(tokens)
            loss = F.cross_entropy(logits.float().view(-1, VOCABULARY), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= 2:
            times.append(time.perf_counter() - start)
    return arguments.batch * arguments.length / statistics.median(times)


def retnet_speed():
    command = f"{arguments.binary} bench train --preset transformer-22m --batch {arguments.batch}"
    command += f" --length {arguments.length} --dtype {arguments.dtype} --threads {arguments.threads}"
    command += f" --form {arguments.form} --repetitions {arguments.repetitions} --warmup 2 --json"
    output = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    return json.loads(output)["tokens_per_second"]


ours, theirs = [], []
for round_number in range(arguments.rounds):
    # Both orders, so that a drift of the machine favours neither.
    for measure, results in [(retnet_speed, ours), (pytorch_speed, theirs)][:: 1 if round_number % 2 == 0 else -1]:
        results.append(measure())
        print(f"{measure.__name__:>14} {results[-1]:8.0f} tokens/s", flush=True)
ratios = [a / b for a, b in zip(ours, theirs)]
print(f"medians: retnet {statistics.median(ours):.0f}, PyTorch {statistics.median(theirs):.0f} tokens/s")
print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
