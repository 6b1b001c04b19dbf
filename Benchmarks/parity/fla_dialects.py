"""Checkpoints of RetNet of fla-org/flash-linear-attention, and what its model computes.

Needs torch, safetensors, einops, transformers, triton, and a checkout of flash-linear-attention, whose folder is the
argument. Its state holds products of keys that are not scaled (the kernel scales queries): it is multiplied by A^-1/2.
"""

import fla_interpreter
import torch
from dialect_fixture import write_dialect
from fixture import VOCABULARY, randomize, seed
from fla.models.retnet.configuration_retnet import RetNetConfig
from fla.models.retnet.modeling_retnet import RetNetForCausalLM

VERSIONS = fla_interpreter.VERSIONS
# Transformers 5 wants a mapping here.
RetNetForCausalLM._tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}


def expected(model, ids):
    with torch.no_grad():
        output = model.eval()(ids, use_cache=True)
    result = {"tokens": ids, "logits": output.logits}
    for i, layer in enumerate(model.model.layers):
        state = output.past_key_values[i]["recurrent_state"]
        result[f"state.{i}.memory"] = state.float() * layer.attn.head_k_dim**-0.5
    return result


def retnet(name, number, change=lambda config, tensors: None, **options):
    seed(number)
    configuration = RetNetConfig(
        hidden_size=16, num_heads=2, num_hidden_layers=2, vocab_size=VOCABULARY, intermediate_size=12,
        fuse_cross_entropy=False, **options,
    )
    model = RetNetForCausalLM(configuration)
    randomize(model)
    answers = expected(model, torch.randint(0, VOCABULARY, (2, 21)))
    fields = configuration.to_dict()
    fields["architectures"] = ["RetNetForCausalLM"]
    tensors = dict(model.state_dict())
    if configuration.tie_word_embeddings:
        del tensors["lm_head.weight"]
    change(fields, tensors)
    write_dialect(name, fields, tensors, answers, VERSIONS)


def fuse_gates(fields, tensors):
    """The layout before February 2025: one matrix, whose upper half is activated."""
    for key in [key for key in tensors if key.endswith("mlp.up_proj.weight")]:
        gate = key.replace("up_proj", "gate_proj")
        tensors[gate] = torch.cat([tensors[gate], tensors.pop(key)])
    fields["rms_norm_eps"] = fields["norm_eps"]
    fields["share_conv_kernel"] = True


if __name__ == "__main__":
    retnet("fla-retnet", 50)
    retnet("fla-retnet-fused", 51, fuse_gates, attn_mode="fused_chunk")
    retnet("fla-retnet-groups", 52, num_kv_heads=1, expand_k=0.5, tie_word_embeddings=True, fuse_norm=False)
    retnet("fla-retnet-plain", 53, use_output_gate=False, elementwise_affine=False, expand_v=1)
