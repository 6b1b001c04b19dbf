"""One measurement of a peer, in a process of its own: prints one JSON object.

    python Benchmarks/training/peers.py train torchscale --form chunkwise --width 512 --layers 6 --heads 2 --batch 8
    python Benchmarks/training/peers.py operator --form compiled --heads 2 --key 256 --value 512 --length 2048
    python Benchmarks/training/peers.py prefill transformer --width 1024 --layers 16 --heads 8 --length 8192
"""

import argparse
import json
import math
import os
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("task", choices=["train", "prefill", "operator"])
parser.add_argument("model", nargs="?", default="torchscale", choices=["torchscale", "transformer"])
parser.add_argument("--form", default="parallel", choices=["parallel", "chunkwise", "compiled"])
parser.add_argument("--chunk", type=int, default=256)
parser.add_argument("--width", type=int, default=512)
parser.add_argument("--layers", type=int, default=6)
parser.add_argument("--heads", type=int, default=2)
parser.add_argument("--key", type=int, default=256)
parser.add_argument("--value", type=int, default=512)
parser.add_argument("--vocabulary", type=int, default=256)
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--warmup", type=int, default=2)
parser.add_argument("--repetitions", type=int, default=5)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
TYPE = getattr(torch, arguments.dtype)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x, cosine, sine):
        batch, length, width = x.shape
        q, k, v = self.projections(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (turned(y, cosine, sine) for y in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(y.transpose(1, 2).reshape(batch, length, width))


def turned(x, cosine, sine):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.outer = nn.Linear(4 * width, width, bias=False)

    def forward(self, x, cosine, sine):
        x = x + self.attention(self.norm1(x), cosine, sine)
        return x + self.outer(F.gelu(self.inner(self.norm2(x))))


class Transformer(nn.Module):
    """As many parameters as a RetNet of this width: 12 width² a block."""

    def __init__(self, width, layers, heads, vocabulary, length):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.head = nn.Linear(width, vocabulary, bias=False)
        half = width // heads // 2
        angles = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(half) / half))
        self.cosine, self.sine = angles.cos().to(TYPE), angles.sin().to(TYPE)

    def forward(self, tokens, last=False):
        x = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return self.head(self.norm(x[:, -1:] if last else x))


def torchscale():
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "torchscale"))
    from peer import decoder

    # A gated feed-forward of 4/3 of the width has the parameters of the plain one of twice the width.
    a = arguments
    model = decoder(a.width, 2 * a.width, round(a.width * 4 / 3), a.layers, a.heads, vocabulary=a.vocabulary)
    if a.form == "chunkwise":
        model.chunkwise_recurrent = True
        model.recurrent_chunk_size = model.retnet_rel_pos.recurrent_chunk_size = a.chunk
    return model


def timed(body):
    times = []
    for number in range(arguments.warmup + arguments.repetitions):
        start = time.perf_counter()
        body()
        if number >= arguments.warmup:
            times.append(time.perf_counter() - start)
    return times


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=TYPE is torch.bfloat16)


def made_model():
    a = arguments
    if a.model == "torchscale":
        model = torchscale()
        logits = lambda tokens: model(tokens)[0]  # noqa: E731
    else:
        model = Transformer(a.width, a.layers, a.heads, a.vocabulary, a.length)
        logits = model
    return model, torch.compile(logits) if a.form == "compiled" else logits


def train():
    a = arguments
    model, logits = made_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    tokens, targets = (torch.randint(0, a.vocabulary, (a.batch, a.length)) for _ in range(2))

    def step():
        with autocast():
            scores = logits(tokens)
            loss = F.cross_entropy(scores.float().view(-1, a.vocabulary), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()

    return timed(step)


@torch.no_grad()
def prefill():
    a = arguments
    model, _ = made_model()
    model.eval().to(TYPE)
    tokens = torch.randint(0, a.vocabulary, (a.batch, a.length))
    if a.model == "torchscale":
        return timed(lambda: model(tokens, features_only=True))
    return timed(lambda: model(tokens, last=True))


def operator():
    a = arguments
    q, k = (torch.randn(a.batch, a.heads, a.length, a.key, dtype=TYPE).requires_grad_() for _ in range(2))
    v = torch.randn(a.batch, a.heads, a.length, a.value, dtype=TYPE).requires_grad_()
    seed = torch.randn_like(v)
    gammas = torch.log(1 - 2.0 ** (-torch.linspace(5, 9, a.heads)))

    def decay(length):
        positions = torch.arange(length)
        distance = positions[:, None] - positions
        return (distance * gammas[:, None, None]).exp().masked_fill(distance < 0, 0)

    whole = decay(a.length).to(TYPE) if a.form != "chunkwise" else None
    chunk = min(a.chunk, a.length)
    inner = decay(chunk).to(TYPE)
    rows = torch.arange(chunk)
    cross = ((rows + 1) * gammas[:, None]).exp().unsqueeze(-1).to(TYPE)
    kept = ((chunk - 1 - rows) * gammas[:, None]).exp().unsqueeze(-1).to(TYPE)
    carried = (chunk * gammas).exp()[:, None, None].to(TYPE)

    def parallel(q, k, v):
        return (q @ k.transpose(-1, -2) * whole) @ v

    def chunkwise(q, k, v):
        q, k, v = (x.unflatten(2, (-1, chunk)) for x in (q, k, v))
        states, state = [], torch.zeros_like(k[:, :, 0].transpose(-1, -2) @ v[:, :, 0])
        updates = k.transpose(-1, -2) @ (v * kept[:, None])
        for index in range(q.size(2)):
            states.append(state)
            state = carried * state + updates[:, :, index]
        inside = (q @ k.transpose(-1, -2) * inner[:, None]) @ v
        return (inside + (q * cross[:, None]) @ torch.stack(states, 2)).flatten(2, 3)

    form = {"parallel": parallel, "chunkwise": chunkwise}.get(a.form) or torch.compile(parallel)
    return timed(lambda: torch.autograd.grad(form(q, k, v), (q, k, v), seed))


times = {"train": train, "prefill": prefill, "operator": operator}[arguments.task]()
median = statistics.median(times)
print(
    json.dumps({
        "seconds_median": median,
        "seconds_min": min(times),
        "seconds_max": max(times),
        "tokens_per_second": arguments.batch * arguments.length / median,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    })
)
