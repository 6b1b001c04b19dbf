"""Folders of flash-linear-attention: GLA, DeltaNet, Gated DeltaNet and hybrids of them with attention.

Needs torch, transformers, einops, triton (never run) and a checkout of flash-linear-attention, whose folder is the
argument. The models, configurations and caches are its own; kernels for GPUs are replaced by its naive recurrences
(`fla/ops/*/naive.py`) and by PyTorch's operators.
"""

import subprocess
import sys
import warnings

import torch
import torch.nn.functional as F
import triton

warnings.filterwarnings("ignore")
FLA = sys.argv[1] if len(sys.argv) > 1 else "flash-linear-attention"


def unchanged(*_, **__):
    return lambda kernel: kernel


# Kernels are declared when modules are imported; newer versions of Triton refuse some of the declarations.
triton.autotune, triton.heuristics = unchanged, unchanged


def attention(q, k, v, causal, window_size):
    """flash_attn_func: [B, T, H, A] each, queries at the end of the keys."""
    assert causal and window_size == (-1, -1)
    times = k.shape[1] - q.shape[1]
    mask = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).tril(times)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


sys.path.insert(0, FLA)

import fla.layers.attn
import fla.layers.delta_net
import fla.layers.gated_deltanet
import fla.layers.gla
import fla.modules
import fla.modules.mlp
from fla.models import (
    DeltaNetConfig, DeltaNetForCausalLM, GatedDeltaNetConfig, GatedDeltaNetForCausalLM, GLAConfig, GLAForCausalLM,
)
from fla.ops.delta_rule.naive import delta_rule_recurrence
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule
from fla.ops.gla.naive import naive_recurrent_gla


def unit(x):
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def gla(q, k, v, gk=None, g=None, initial_state=None, output_final_state=False, **_):
    return naive_recurrent_gla(q, k, v, gk if gk is not None else g, initial_state, output_final_state)


def delta_rule(q, k, v, beta, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, **_):
    q, k = (unit(x) for x in (q, k)) if use_qk_l2norm_in_kernel else (q, k)
    o, state = delta_rule_recurrence(*(x.transpose(1, 2) for x in (q, k, v, beta)), initial_state=initial_state)
    return o.transpose(1, 2), state


def gated_delta_rule(q, k, v, g, beta, A_log, dt_bias, initial_state=None, allow_neg_eigval=False, **_):
    gates = -A_log.exp() * F.softplus(g + dt_bias)
    beta = beta.sigmoid() * (2 if allow_neg_eigval else 1)
    return naive_recurrent_gated_delta_rule(
        unit(q), unit(k), v, beta, gates, initial_state=initial_state, output_final_state=True)


def rms_norm(self, x, residual=None, prenorm=False, residual_in_fp32=False):
    x = x if residual is None else x + residual
    y = F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)
    return (y, x) if prenorm else y


def rms_norm_gated(self, x, g, **_):
    return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps) * F.silu(g)


def convolution(self, x, cache=None, output_final_state=False, **_):
    """The last W inputs are the state, [B, C, W]."""
    width = self.kernel_size[0]
    past = x.new_zeros(x.shape[0], x.shape[2], width) if cache is None else cache
    inputs = torch.cat([past, x.mT], dim=2)
    y = F.conv1d(inputs[..., 1:], self.weight, self.bias, groups=self.groups).mT
    return F.silu(y) if self.activation else y, inputs[..., -width:] if output_final_state else None


def rotary(self, q, k, seqlen_offset=0, **_):
    angles = torch.outer(seqlen_offset + torch.arange(q.shape[1]).float(), self._compute_inv_freq())
    cos, sin = (f(angles)[:, None] for f in (torch.cos, torch.sin))

    def turn(x):
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    return turn(q), turn(k)


fla.layers.attn.flash_attn_func = attention
fla.layers.gla.fused_recurrent_gla = fla.layers.gla.chunk_gla = gla
for name in ["fused_recurrent_delta_rule", "chunk_delta_rule"]:
    setattr(fla.layers.delta_net, name, delta_rule)
for name in ["fused_recurrent_gated_delta_rule", "chunk_gated_delta_rule"]:
    setattr(fla.layers.gated_deltanet, name, gated_delta_rule)
fla.layers.gated_deltanet.GatedDeltaNet._use_fused_qkv_conv = lambda *_: False
fla.layers.gla.ACT2FN["swish"] = F.silu
fla.modules.RMSNorm.forward = rms_norm
fla.modules.FusedRMSNormGated.forward = rms_norm_gated
fla.modules.ShortConvolution.forward = convolution
fla.modules.RotaryEmbedding.forward = rotary
fla.modules.mlp.SwiGLULinear.forward = lambda self, x, y, weight, bias: F.linear(F.silu(x) * y, weight, bias)
# Transformers 5 has another place for this.
for model in [GLAForCausalLM, DeltaNetForCausalLM, GatedDeltaNetForCausalLM]:
    if isinstance(model._tied_weights_keys, list):
        model._tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}

if __name__ == "__main__":
    from dialect_folder import prepare, save
    from fixture import VOCABULARY

    COMMIT = subprocess.run(
        ["git", "-C", FLA, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip() or "bc3b101"
    VERSIONS = f"fla-org/flash-linear-attention {COMMIT}"
    SIZES = dict(
        vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=2, intermediate_size=10, max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2,
    )
    ATTENTION = {"layers": [1], "num_heads": 2, "num_kv_heads": 1, "qkv_bias": True, "rope_theta": 1000.0}

    def fused(tensors):
        """The layout before February 2025: one matrix for both branches of the feed-forward."""
        for name in [name for name in tensors if name.endswith("mlp.up_proj.weight")]:
            gate = name.replace("up_proj", "gate_proj")
            tensors[gate] = torch.cat([tensors[gate], tensors.pop(name)])
        return tensors

    def make(name, number, model, tensors=None, **fields):
        # fla's `return_dict` and outputs are asked for by names that Transformers 5 has no more.
        config = model.config_class(**{**SIZES, **fields})
        config.output_attentions, config.output_hidden_states = False, False
        model, ids = prepare(model(config), number)
        save(name, model, ids, VERSIONS, tensors=tensors)

    make("gla", 61, GLAForCausalLM, num_heads=2, expand_k=0.5, expand_v=1.0)
    make(
        "gla-convolved", 62, GLAForCausalLM, num_heads=1, expand_k=1.0, expand_v=0.75, use_short_conv=True, conv_size=3,
        clamp_min=-0.03, fuse_norm=False, elementwise_affine=True, use_output_gate=True, tie_word_embeddings=True,
    )
    make("gla-fused", 68, GLAForCausalLM, fused, num_heads=1, use_output_gate=False)
    make("gla-hybrid", 63, GLAForCausalLM, num_heads=2, elementwise_affine=False, attn=ATTENTION)
    make("delta-net", 64, DeltaNetForCausalLM, num_heads=2)
    make(
        "delta-net-gated", 65, DeltaNetForCausalLM, num_heads=1, expand_k=0.75, use_gate=True, allow_neg_eigval=True,
        use_short_conv=False, attn=ATTENTION,
    )
    make("delta-net-fused", 69, DeltaNetForCausalLM, fused, num_heads=2, conv_size=3)
    make("gated-deltanet-fused", 70, GatedDeltaNetForCausalLM, fused, num_heads=1, head_dim=5)
    make("gated-deltanet", 66, GatedDeltaNetForCausalLM, num_heads=2, head_dim=3, expand_v=2.0)
    make(
        "gated-deltanet-bare", 67, GatedDeltaNetForCausalLM, num_heads=1, head_dim=4, expand_v=1.5, use_gate=False,
        allow_neg_eigval=True, conv_size=2, tie_word_embeddings=True,
    )
