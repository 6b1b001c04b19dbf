"""Folders of Hugging Face Transformers: GPT-2, Llama and its relatives, GPT-NeoX, RWKV-4 and Mamba-2.

Needs torch, safetensors and transformers. Some configurations are rewritten as earlier versions wrote them, since
most published checkpoints have that form; what is computed stays the same.
"""

import torch
import transformers
from dialect_folder import prepare, save
from fixture import VOCABULARY
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
VERSIONS = f"transformers {transformers.__version__}"
TOKENS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)


def renamed(**new):
    """Replaces fields; None removes one."""

    def change(fields):
        return {k: v for k, v in {**fields, **new}.items() if v is not None}

    return change


def gpt2():
    """Once as it is saved, and once as the first checkpoints are: without prefix, with masks among the tensors."""
    sizes = dict(
        vocab_size=VOCABULARY, n_positions=24, n_embd=12, n_layer=2, n_head=3, n_inner=None,
        activation_function="gelu_new", bos_token_id=1, eos_token_id=2,
    )
    model, ids = prepare(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)), 41)
    save("gpt2", model, ids, VERSIONS)

    def old(tensors):
        tensors = {k.removeprefix("transformer."): v for k, v in tensors.items()}
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        return tensors

    model, ids = prepare(transformers.GPT2LMHeadModel(transformers.GPT2Config(**{**sizes, "n_inner": 20})), 42)
    save(
        "gpt2-without-prefix", model, ids, VERSIONS, tensors=old,
        fields=renamed(n_ctx=24, dtype=None, tie_word_embeddings=None, transformers_version="4.2.0"),
    )


def llama():
    sizes = dict(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, max_position_embeddings=64, **TOKENS,
    )
    config = transformers.LlamaConfig(
        **sizes, head_dim=6, rms_norm_eps=1e-5, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    model, ids = prepare(transformers.LlamaForCausalLM(config), 43)
    save("llama", model, ids, VERSIONS)

    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    config = transformers.LlamaConfig(
        **{**sizes, "hidden_size": 24}, tie_word_embeddings=True, rms_norm_eps=1e-6,
        rope_parameters={**scaling, "rope_theta": 100.0},
    )
    model, ids = prepare(transformers.LlamaForCausalLM(config), 44)
    save(
        "llama-tied-in-shards", model, ids, VERSIONS, shard="6KB",
        fields=renamed(rope_parameters=None, rope_theta=100.0, rope_scaling=scaling, dtype=None, torch_dtype="float32"),
    )


def mistral():
    """Linear scaling of positions, in the words of earlier versions."""
    config = transformers.MistralConfig(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=3, head_dim=4, max_position_embeddings=64, sliding_window=None, tie_word_embeddings=False,
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}, **TOKENS,
    )
    model, ids = prepare(transformers.MistralForCausalLM(config), 45)
    save(
        "mistral", model, ids, VERSIONS,
        fields=renamed(rope_parameters=None, rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 2.0}),
    )


def qwen2():
    """Biases of queries, keys and values alone."""
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, use_sliding_window=False, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, **TOKENS,
    )
    model, ids = prepare(transformers.Qwen2ForCausalLM(config), 46)
    save("qwen2", model, ids, VERSIONS)


def gpt_neox():
    """Once with parallel residuals and a part of the heads rotated, and once without either, as in the first checkpoints."""
    sizes = dict(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=32, hidden_act="gelu", layer_norm_eps=1e-5, tie_word_embeddings=False, **TOKENS,
    )
    config = transformers.GPTNeoXConfig(
        **sizes, use_parallel_residual=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )
    model, ids = prepare(transformers.GPTNeoXForCausalLM(config), 47)
    save("gpt-neox", model, ids, VERSIONS)

    def old(tensors):
        for layer in range(2):
            prefix = f"gpt_neox.layers.{layer}.attention."
            tensors[prefix + "bias"] = torch.ones(1, 1, 32, 32, dtype=torch.bool).tril()
            tensors[prefix + "masked_bias"] = torch.tensor(-1e9)
            tensors[prefix + "rotary_emb.inv_freq"] = 500.0 ** -(torch.arange(0, 8, 2) / 8)
        return tensors

    config = transformers.GPTNeoXConfig(
        **sizes, use_parallel_residual=False,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 1.0},
    )
    model, ids = prepare(transformers.GPTNeoXForCausalLM(config), 48)
    save(
        "gpt-neox-sequential", model, ids, VERSIONS, tensors=old,
        fields=renamed(rope_parameters=None, rotary_pct=1.0, rotary_emb_base=500, attention_bias=None, dtype=None),
    )


def rwkv4():
    """The residual stream is halved twice."""
    config = transformers.RwkvConfig(
        vocab_size=VOCABULARY, hidden_size=6, attention_hidden_size=6, intermediate_size=16, num_hidden_layers=5,
        context_length=64, rescale_every=2, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )
    model, ids = prepare(transformers.RwkvForCausalLM(config), 49)
    # With a single token and several rows, Transformers 5.24 mixes the rows up.
    save("rwkv4", Unscaled(model), ids, VERSIONS, cache="state", piece=6)


class Unscaled:
    """Saves RWKV-4 with the weights that it was loaded with: its own code divides some when it computes."""

    def __init__(self, model):
        self.model = model
        self.weights = {k: v.clone() for k, v in model.state_dict().items()}

    def __call__(self, **inputs):
        return self.model(**inputs)

    def save_pretrained(self, folder, **more):
        self.model.save_pretrained(folder, state_dict=self.weights, **more)


def mamba2():
    """Two groups, biases and bounded steps."""
    config = transformers.Mamba2Config(
        vocab_size=VOCABULARY, hidden_size=8, num_heads=4, head_dim=4, state_size=3, n_groups=2, expand=2,
        num_hidden_layers=2, conv_kernel=4, chunk_size=8, use_bias=False, use_conv_bias=True,
        layer_norm_epsilon=1e-5, tie_word_embeddings=False, residual_in_fp32=True, **TOKENS,
    )
    model, ids = prepare(transformers.Mamba2ForCausalLM(config), 50)
    save("mamba2", model, ids, VERSIONS, cache="cache_params")
    config = transformers.Mamba2Config(**{
        **config.to_dict(), "use_bias": True, "use_conv_bias": False, "tie_word_embeddings": True, "n_groups": 1,
    })
    model, ids = prepare(transformers.Mamba2ForCausalLM(config), 51)
    save("mamba2-biases", model, ids, VERSIONS, cache="cache_params")


def mamba2_of_authors():
    """The same model in the authors' words, which Transformers 4 had a script to read: names and a rounded vocabulary."""
    config = transformers.Mamba2Config(
        vocab_size=16, hidden_size=8, num_heads=4, head_dim=4, state_size=3, n_groups=1, expand=2, num_hidden_layers=2,
        conv_kernel=4, chunk_size=8, layer_norm_epsilon=1e-5, tie_word_embeddings=True,
    )
    model, ids = prepare(transformers.Mamba2ForCausalLM(config), 52)

    def fields(_):
        return {
            "d_model": 8, "d_intermediate": 0, "n_layer": 2, "vocab_size": VOCABULARY, "attn_layer_idx": [],
            "attn_cfg": {}, "ssm_cfg": {"layer": "Mamba2", "headdim": 4, "d_state": 3}, "rms_norm": True,
            "residual_in_fp32": True, "fused_add_norm": True, "pad_vocab_size_multiple": 16, "tie_embeddings": True,
        }

    def tensors(given):
        table = given.pop("backbone.embeddings.weight")
        return given | {"backbone.embedding.weight": table, "lm_head.weight": table.clone()}

    save("mamba2-authors", model, ids, VERSIONS, cache="cache_params", fields=fields, tensors=tensors)


if __name__ == "__main__":
    gpt2()
    llama()
    mistral()
    qwen2()
    gpt_neox()
    rwkv4()
    mamba2()
    mamba2_of_authors()
