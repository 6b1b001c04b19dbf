"""Fixtures from the naive forms of flash-linear-attention: GLA, gated retention, DeltaNet and Gated DeltaNet.

Needs torch, safetensors, einops, and a checkout of flash-linear-attention, whose folder is the argument. The
recurrences are its `fla/ops/*/naive.py`; projections, convolutions, norms and gates, which fla fuses in kernels for
GPUs, are written here with PyTorch's operators as its `fla/layers` state them.
"""

import importlib.util
import subprocess
import sys

import torch
import torch.nn.functional as F
from fixture import write_stack
from torch import nn

FLA = sys.argv[1]
COMMIT = subprocess.run(
    ["git", "-C", FLA, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "bc3b101"
VERSIONS = f"fla-org/flash-linear-attention {COMMIT}"


def naive(operator):
    """The module of an operator's naive form, without the package around it, which needs Triton."""
    spec = importlib.util.spec_from_file_location(operator, f"{FLA}/fla/ops/{operator}/naive.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gla, simple_gla = naive("gla"), naive("simple_gla")
delta_rule, gated_delta_rule = naive("delta_rule"), naive("gated_delta_rule")


class Mixer(nn.Module):
    """Projections to heads, and from heads to the width."""

    def __init__(self, width, heads, key_size, value_size, gate=True, taps=0):
        super().__init__()
        self.heads, self.taps = heads, taps
        sizes = {"query": key_size, "key": key_size, "value": value_size}
        for name, size in sizes.items():
            setattr(self, name, nn.Linear(width, heads * size, bias=False))
            if taps:
                setattr(self, f"{name}_convolution", nn.Conv1d(
                    heads * size, heads * size, taps, padding=taps - 1, groups=heads * size, bias=False))
        if gate:
            self.gate = nn.Linear(width, heads * value_size, bias=False)
        self.output = nn.Linear(heads * value_size, width, bias=False)

    def project(self, name, x):
        """[B, T, H, size]; after a convolution comes silu."""
        y = getattr(self, name)(x)
        if self.taps:
            y = F.silu(getattr(self, f"{name}_convolution")(y.mT)[..., : x.shape[1]].mT)
        return y.unflatten(-1, (self.heads, -1))

    def finish(self, x, o, norm):
        """The norm over the values of each head, the gate, and the output."""
        o = norm(o)
        if hasattr(self, "gate"):
            o = o * F.silu(self.gate(x)).unflatten(-1, (self.heads, -1))
        return self.output(o.flatten(2))


class GatedLinearAttention(Mixer):
    def __init__(self, width, heads, key_size, value_size, rank):
        super().__init__(width, heads, key_size, value_size)
        self.decay_down = nn.Linear(width, rank, bias=False)
        self.decay_up = nn.Linear(rank, heads * key_size)
        self.head_norm = nn.RMSNorm(value_size, eps=1e-5)

    def forward(self, x):
        gates = F.logsigmoid(self.decay_up(self.decay_down(x))).unflatten(-1, (self.heads, -1)) / 16
        q, k, v = (self.project(name, x) for name in ["query", "key", "value"])
        return self.finish(x, gla.naive_recurrent_gla(q, k, v, gates)[0], self.head_norm)


class GatedRetention(Mixer):
    """One decay per head and position, a norm without weights of epsilon 1e-5."""

    def __init__(self, width, heads, key_size, value_size):
        super().__init__(width, heads, key_size, value_size)
        self.decay = nn.Linear(width, heads, bias=False)

    def forward(self, x):
        gates = F.logsigmoid(self.decay(x)) / 16
        q, k, v = (self.project(name, x) for name in ["query", "key", "value"])
        o = simple_gla.naive_recurrent_simple_gla(q, k, v, gates)[0]
        return self.finish(x, o, lambda o: F.rms_norm(o, o.shape[-1:], eps=1e-5))


class DeltaNet(Mixer):
    def __init__(self, width, heads, key_size, value_size, taps, decays):
        super().__init__(width, heads, key_size, value_size, gate=decays, taps=taps)
        self.strength = nn.Linear(width, heads, bias=False)
        self.head_norm = nn.RMSNorm(value_size, eps=1e-5)
        if decays:
            self.decay = nn.Linear(width, heads, bias=False)
            self.step_bias = nn.Parameter(torch.empty(heads))
            self.decay_log = nn.Parameter(torch.empty(heads))

    def forward(self, x):
        q, k, v = (self.project(name, x) for name in ["query", "key", "value"])
        q, k = (y * torch.rsqrt(y.square().sum(-1, keepdim=True) + 1e-6) for y in [q, k])
        beta = self.strength(x).sigmoid()
        if hasattr(self, "decay"):
            gates = -self.decay_log.exp() * F.softplus(self.decay(x) + self.step_bias)
            o = gated_delta_rule.naive_recurrent_gated_delta_rule(q, k, v, beta, gates)[0]
        else:
            by_head = (y.transpose(1, 2) for y in [q, k, v, beta])
            o = delta_rule.delta_rule_recurrence(*by_head)[0].transpose(1, 2)
        return self.finish(x, o, self.head_norm)


if __name__ == "__main__":
    sizes = {"head_count": 2, "key_size": 4, "value_size": 3}
    write_stack("gla", 34, 8, lambda: GatedLinearAttention(8, 2, 4, 3, 5),
         {"kind": "gated_linear_attention", **sizes, "gate_rank": 5}, VERSIONS)
    # The head norm is the default one, whose epsilon is that of YOCO.
    write_stack("gated-retention", 31, 8, lambda: GatedRetention(8, 2, 4, 3),
         {"kind": "gated_retention", **sizes, "rotation": "none"}, VERSIONS)
    write_stack("deltanet", 32, 8, lambda: DeltaNet(8, 2, 4, 3, 4, False),
         {"kind": "gated_delta_net", **sizes, "convolution_width": 4, "decays": False, "gate": "none"}, VERSIONS)
    write_stack("gated-deltanet", 33, 8, lambda: DeltaNet(8, 2, 4, 3, 3, True),
         {"kind": "gated_delta_net", **sizes, "convolution_width": 3}, VERSIONS)
