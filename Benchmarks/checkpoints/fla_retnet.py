"""Writes a checkpoint of random weights with the configuration and the tensors of fla-hub/retnet-1.3B-100B.

Needs torch and safetensors. Usage: fla_retnet.py DIR [--layers N]; 24 layers give 267 tensors of 1,351,727,104 parameters,
2.7 GB in bfloat16.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--layers", type=int, default=24)
arguments = parser.parse_args()

WIDTH, HEADS, INNER, VOCABULARY = 2048, 8, 2816, 32000
CONFIGURATION = {
    "architectures": ["RetNetForCausalLM"], "attn_mode": "fused_chunk", "bos_token_id": 1, "conv_size": 4,
    "elementwise_affine": True, "eos_token_id": 2, "expand_k": 1, "expand_v": 2, "fuse_cross_entropy": True,
    "fuse_norm": True, "hidden_act": "swish", "hidden_ratio": 2, "hidden_size": WIDTH, "initializer_range": 0.02,
    "intermediate_size": None, "max_position_embeddings": 2048, "model_type": "retnet", "norm_eps": 1e-6,
    "num_heads": HEADS, "num_hidden_layers": arguments.layers, "num_kv_heads": None, "rms_norm_eps": 1e-6,
    "share_conv_kernel": True, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "transformers_version": "4.40.2", "use_cache": True, "use_output_gate": True, "use_short_conv": False,
    "vocab_size": VOCABULARY,
}


def shapes():
    yield "model.embeddings.weight", (VOCABULARY, WIDTH)
    for i in range(arguments.layers):
        layer = f"model.layers.{i}."
        yield layer + "attn_norm.weight", (WIDTH,)
        for name, size in {"q": WIDTH, "k": WIDTH, "v": 2 * WIDTH, "g": 2 * WIDTH}.items():
            yield f"{layer}attn.{name}_proj.weight", (size, WIDTH)
        yield layer + "attn.o_proj.weight", (WIDTH, 2 * WIDTH)
        yield layer + "attn.g_norm_swish_gate.weight", (2 * WIDTH // HEADS,)
        yield layer + "mlp_norm.weight", (WIDTH,)
        yield layer + "mlp.gate_proj.weight", (INNER, WIDTH)
        yield layer + "mlp.up_proj.weight", (INNER, WIDTH)
        yield layer + "mlp.down_proj.weight", (WIDTH, INNER)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (VOCABULARY, WIDTH)


torch.manual_seed(1)
tensors = {
    name: torch.ones(shape, dtype=torch.bfloat16) if len(shape) == 1
    else torch.empty(shape, dtype=torch.bfloat16).normal_(std=0.02)
    for name, shape in shapes()
}
arguments.folder.mkdir(parents=True)
(arguments.folder / "config.json").write_text(json.dumps(CONFIGURATION, indent=1) + "\n")
save_file(tensors, arguments.folder / "model.safetensors", metadata={"format": "pt"})
count = sum(tensor.numel() for tensor in tensors.values())
print(f"{len(tensors)} tensors, {count:,} parameters")
