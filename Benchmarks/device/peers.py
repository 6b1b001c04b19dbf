"""Retention and attention by PyTorch and fla on a device, one JSON object per length.

    python3 Benchmarks/device/peers.py fla --device cuda --batch 4 --heads 8 --key 256 --value 512 --lengths 2048,16384
    python3 Benchmarks/device/peers.py versions
"""

import argparse
import importlib.metadata
import json
import math
import statistics
import sys
import time

import torch
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("form", choices=["versions", "fla", "attention", "chunkwise"])
parser.add_argument("--device", default="cuda")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--heads", type=int, default=8)
parser.add_argument("--key", type=int, default=256)
parser.add_argument("--value", type=int, default=512)
parser.add_argument("--lengths", default="2048")
parser.add_argument("--repetitions", type=int, default=5)
arguments = parser.parse_args()


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not here"


if arguments.form == "versions":
    print(json.dumps({"PyTorch": torch.__version__, "Triton": version("triton"), "fla": version("flash-linear-attention")}))
    sys.exit()

DEVICE = torch.device(arguments.device)
TYPE = torch.float32 if DEVICE.type == "cpu" else torch.bfloat16


def synchronize():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def log_gammas(heads):
    # torchscale's schedule for experiments: 1 - exp of equal steps from ln 1/32 to ln 1/512.
    steps = torch.linspace(math.log(1 / 32), math.log(1 / 512), heads, dtype=torch.float64)
    return torch.log1p(-torch.exp(steps))


def chunkwise(q, k, v, chunk=256):
    """The chunkwise form of the paper (equation 7) by PyTorch's operators; q, k [B, H, T, A], v [B, H, T, V]."""
    logs = log_gammas(q.shape[1]).to(q.device, torch.float32)
    state, outputs = None, []
    for start in range(0, q.shape[2], chunk):
        a, b, c = (x[:, :, start:start + chunk] for x in (q, k, v))
        n = torch.arange(a.shape[2], device=q.device, dtype=torch.float32)
        distance = n[:, None] - n[None, :]
        decay = torch.exp(distance * logs[:, None, None]).masked_fill(distance < 0, 0)
        out = ((a @ b.transpose(-1, -2)).float() * decay).to(c.dtype) @ c
        zeta = torch.exp((a.shape[2] - 1 - n) * logs[:, None])[..., None]
        update = b.transpose(-1, -2).float() @ (c.float() * zeta)
        if state is None:
            state = update
        else:
            out = out + ((a.float() * torch.exp((n + 1) * logs[:, None])[..., None]) @ state).to(c.dtype)
            state = state * torch.exp(a.shape[2] * logs)[:, None, None] + update
        outputs.append(out)
    return torch.cat(outputs, dim=2)


def operation():
    if arguments.form == "fla":
        try:
            from fla.ops.retention import chunk_retention
        except ImportError as error:
            sys.exit(f"flash-linear-attention is not here: {error}")

        def run(q, k, v):
            out = chunk_retention(q, k, v)
            return out[0] if isinstance(out, tuple) else out
        return run, True
    if arguments.form == "attention":
        # A Transformer of the same width: keys and values of the size of the keys.
        return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), False
    return chunkwise, False


def measure(run, is_time_first, length):
    value = arguments.key if arguments.form == "attention" else arguments.value

    def random(size):
        shape = [arguments.batch, length, arguments.heads, size] if is_time_first else \
            [arguments.batch, arguments.heads, length, size]
        return torch.randn(shape, device=DEVICE, dtype=TYPE).requires_grad_()

    q, k, v = random(arguments.key), random(arguments.key), random(value)
    seed = torch.randn_like(v)

    def both():
        torch.autograd.grad(run(q, k, v), (q, k, v), seed)

    def timed(body):
        times = []
        for _ in range(arguments.repetitions):
            synchronize()
            start = time.perf_counter()
            body()
            synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    for _ in range(2):
        both()
    return {"length": length, "forward": timed(lambda: run(q, k, v)), "both": timed(both)}


run, is_time_first = operation()
for length in map(int, arguments.lengths.split(",")):
    try:
        print(json.dumps(measure(run, is_time_first, length)), flush=True)
    except torch.OutOfMemoryError:
        print(f"out of memory at {length}", file=sys.stderr)
        sys.exit(1)
