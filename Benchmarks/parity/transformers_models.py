"""Fixtures from Hugging Face Transformers: LLaMA, GPT-NeoX, Mamba-2, RWKV-4, T5, Switch and the AltUp cell of Gemma 3n.

Needs torch, safetensors and transformers, from which all numbers come.
"""

import json

import torch
import transformers
from fixture import FIXTURES, VOCABULARY, Names, answers, language_model, randomize, seed, tokens, write
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
VERSIONS = f"transformers {transformers.__version__}"


def logits_of(model, ids):
    def forward(ids):
        return model.eval()(input_ids=ids, use_cache=False).logits

    return answers(forward, model.get_input_embeddings().weight, ids)


def llama():
    """Grouped heads, rotation in halves, gated feed-forward with swish."""
    seed(1)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=4, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ))
    randomize(model)
    names = Names(model.state_dict())
    names.copy("model.embed_tokens", "embedding")
    for i in range(2):
        a, b = f"model.layers.{i}.", f"layers.{i}."
        for theirs, mine in {"q": "query", "k": "key", "v": "value", "o": "output"}.items():
            names.copy(f"{a}self_attn.{theirs}_proj", f"{b}mixer.{mine}")
        # Ours applies the activation to `up` and multiplies by `gate`; LLaMA calls them the other way round.
        for theirs, mine in {"gate": "up", "up": "gate", "down": "down"}.items():
            names.copy(f"{a}mlp.{theirs}_proj", f"{b}feed_forward.{mine}")
        names.copy(a + "input_layernorm", b + "mixer_norm")
        names.copy(a + "post_attention_layernorm", b + "feed_forward_norm")
    names.copy("model.norm", "final_norm")
    names.copy("lm_head", "output")
    configuration = language_model(
        12, 2,
        {"kind": "attention", "head_count": 3, "key_value_head_count": 1, "head_size": 4, "rotation": "halves"},
        {"kind": "gated", "activation": "swish", "inner_size": 10}, norm=("rms", 1e-5),
    )
    write("llama", configuration, names.tensors, logits_of(model, tokens()), VERSIONS)


def gpt_neox():
    """Layer norms, biases everywhere, rotation of whole heads, one residual after the other."""
    seed(2)
    model = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=3,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0},
        use_parallel_residual=False, hidden_act="gelu", layer_norm_eps=1e-5, tie_word_embeddings=False,
        attention_bias=True, hidden_dropout=0.0, attention_dropout=0.0,
    ))
    randomize(model)
    weights = model.state_dict()
    names = Names(weights)
    names.copy("gpt_neox.embed_in", "embedding")
    for i in range(2):
        a, b = f"gpt_neox.layers.{i}.", f"layers.{i}."
        for part in ["weight", "bias"]:
            # [head, query or key or value, channel]
            joint = weights[f"{a}attention.query_key_value.{part}"].unflatten(0, (3, 3, 4))
            for index, mine in enumerate(["query", "key", "value"]):
                names.put(f"{b}mixer.{mine}.{part}", joint[:, index].flatten(0, 1))
        names.copy(a + "attention.dense", b + "mixer.output")
        names.copy(a + "mlp.dense_h_to_4h", b + "feed_forward.up")
        names.copy(a + "mlp.dense_4h_to_h", b + "feed_forward.down")
        names.copy(a + "input_layernorm", b + "mixer_norm")
        names.copy(a + "post_attention_layernorm", b + "feed_forward_norm")
    names.copy("gpt_neox.final_layer_norm", "final_norm")
    names.copy("lm_head", "output")
    configuration = language_model(
        12, 2, {"kind": "attention", "head_count": 3, "head_size": 4, "rotation": "halves", "biases": True},
        {"kind": "plain", "activation": "gelu", "inner_size": 16, "biases": True}, norm=("layer", 1e-5),
    )
    write("gpt-neox", configuration, names.tensors, logits_of(model, tokens()), VERSIONS)


def mamba2():
    """Two groups of heads, in pieces of 8 positions."""
    seed(3)
    model = transformers.Mamba2ForCausalLM(transformers.Mamba2Config(
        vocab_size=VOCABULARY, hidden_size=8, num_heads=4, head_dim=4, state_size=3, n_groups=2, expand=2,
        num_hidden_layers=2, conv_kernel=4, chunk_size=8, use_bias=False, use_conv_bias=True, rms_norm=True,
        layer_norm_epsilon=1e-5, tie_word_embeddings=False, residual_in_fp32=True,
    ))
    randomize(model)
    names = Names(model.state_dict())
    names.copy("backbone.embeddings", "embedding")
    for i in range(2):
        a, b = f"backbone.layers.{i}.", f"layers.{i}."
        names.copy(a + "norm", b + "mixer_norm")
        for theirs, mine in {"in_proj": "input", "norm": "norm", "out_proj": "output"}.items():
            names.copy(f"{a}mixer.{theirs}", f"{b}mixer.{mine}")
        names.put(f"{b}mixer.convolution.weight", names.weights[f"{a}mixer.conv1d.weight"].squeeze(1))
        names.put(f"{b}mixer.convolution.bias", names.weights[f"{a}mixer.conv1d.bias"])
        for theirs, mine in {"dt_bias": "step_bias", "A_log": "decay_log", "D": "skip"}.items():
            names.put(f"{b}mixer.{mine}", names.weights[f"{a}mixer.{theirs}"])
    names.copy("backbone.norm_f", "final_norm")
    names.copy("lm_head", "output")
    configuration = language_model(
        8, 2,
        {
            "kind": "mamba2", "head_count": 4, "head_size": 4, "state_size": 3, "group_count": 2,
            "convolution_width": 4, "epsilon": 1e-5,
        }, norm=("rms", 1e-5),
    )
    write("mamba2", configuration, names.tensors, logits_of(model, tokens()), VERSIONS)


def rwkv4():
    """Time and channel mixing as halves of a layer, and the initial vectors of all layers."""
    seed(4)
    width, layers = 6, 3
    model = transformers.RwkvForCausalLM(transformers.RwkvConfig(
        vocab_size=VOCABULARY, hidden_size=width, attention_hidden_size=width, intermediate_size=16,
        num_hidden_layers=layers, context_length=64, tie_word_embeddings=False, rescale_every=0,
    ))
    vectors = {
        "attention": ["time_decay", "time_mix_key", "time_mix_value", "time_mix_receptance"],
        "feed_forward": ["time_mix_key", "time_mix_receptance"],
    }
    # Not `time_first`: there Transformers multiplies in the wrong place and starts with ones.
    initial = {
        f"initial.layers.{2 * i + half}.mixer.{name}":
            getattr(getattr(model.rwkv.blocks[i], part), name).detach().flatten().clone()
        for i in range(layers) for half, part in enumerate(vectors) for name in vectors[part]
    }
    randomize(model)
    names = Names(model.state_dict())
    names.copy("rwkv.embeddings", "embedding")
    names.copy("rwkv.blocks.0.pre_ln", "embedding_norm")
    for i in range(layers):
        a = f"rwkv.blocks.{i}."
        for half, part in enumerate(vectors):
            b = f"layers.{2 * i + half}."
            names.copy(f"{a}ln{half + 1}", b + "mixer_norm")
            for name in ["receptance", "key", "value", "output"]:
                names.copy(f"{a}{part}.{name}", f"{b}mixer.{name}")
            for name in vectors[part] + (["time_first"] if half == 0 else []):
                names.put(f"{b}mixer.{name}", names.weights[f"{a}{part}.{name}"].flatten())
    names.copy("rwkv.ln_out", "final_norm")
    names.copy("head", "output")
    none = {"kind": "none"}
    configuration = language_model(
        width, 2 * layers, None, norm=("layer", 1e-5), embedding_norm=True,
        pattern=[
            {"mixer": {"kind": "rwkv", "channel_count": width}, "feed_forward": none},
            {"mixer": {"kind": "rwkv_channel_mix", "channel_count": width, "inner_size": 16}, "feed_forward": none},
        ],
    )
    write("rwkv4", configuration, names.tensors, {**logits_of(model, tokens()), **initial}, VERSIONS)


def rows(lengths):
    return [torch.randint(2, VOCABULARY, (n,)).tolist() + [1] for n in lengths]


def padded(values, fill):
    length = max(map(len, values))
    return torch.tensor([row + [fill] * (length - len(row)) for row in values])


def encoder_decoder(model, sources, targets):
    """What a model computes for rows of sources and targets, padded at their ends."""
    ids, labels = padded(sources, 0), padded(targets, -100)
    mask = padded([[1] * len(row) for row in sources], 0)
    output = model.eval()(input_ids=ids, attention_mask=mask, labels=labels)
    # Not the loss of Transformers, in which a Switch has others beside.
    loss = torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten())
    (gradient,) = torch.autograd.grad(loss, model.get_input_embeddings().weight)
    return {
        "sources": ids, "targets": labels.clamp_min(0), "logits": output.logits, "loss": loss.reshape(1),
        "embedding_gradient": gradient,
    }


def t5(version):
    gated = version == "v1.1"
    seed(10 if gated else 5)
    settings = dict(
        vocab_size=VOCABULARY, d_model=8, d_kv=3, d_ff=10, num_layers=2, num_decoder_layers=2, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=12,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        decoder_start_token_id=0, dropout_rate=0.0, layer_norm_epsilon=1e-6,
    )
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**settings))
    randomize(model)
    if gated:
        # Transformers 5 ties this matrix unless it is another parameter.
        model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 8) * 8**-0.5)
    weights = model.state_dict()
    for name in ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] + ([] if gated else ["lm_head.weight"]):
        weights.pop(name, None)
    write(
        f"t5-{version}", {"model_type": "t5", **settings}, weights,
        encoder_decoder(model, rows([7, 18]), rows([9, 4])), VERSIONS,
    )
    if gated:
        # The same model as Transformers 4 saved it.
        folder = FIXTURES / "t5-v1.1-pytorch"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "t5", **settings}, indent=1) + "\n")
        torch.save(model.state_dict(), folder / "pytorch_model.bin")


def switch():
    """Experts in the second of three layers, with two places each for the tokens of a sequence."""
    seed(6)
    layers, count = 3, 3
    sizes = dict(
        vocab_size=VOCABULARY, d_model=8, d_kv=3, d_ff=10, num_layers=layers, num_decoder_layers=layers, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0,
        dropout_rate=0.0, layer_norm_epsilon=1e-6,
    )
    model = transformers.SwitchTransformersForConditionalGeneration(transformers.SwitchTransformersConfig(
        **sizes, num_experts=count, expert_capacity=2, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1,
        router_bias=False, router_jitter_noise=0.0, feed_forward_proj="relu", tie_word_embeddings=True,
    ))
    randomize(model)
    tensors, banks = {}, {}
    for name, tensor in model.state_dict().items():
        if "embed_tokens" in name or name == "lm_head.weight":
            continue
        name = name.replace(".mlp.", ".DenseReluDense.").replace("router.classifier", "router")
        if ".expert_" in name:
            # One tensor for all experts of a layer.
            layer, rest = name.split("experts.expert_")
            index, matrix, _ = rest.split(".")
            mine = f"{layer}experts.{ {'wi': 'up', 'wo': 'down'}[matrix] }.weight"
            banks.setdefault(mine, {})[int(index)] = tensor
        else:
            tensors[name] = tensor
    for name, bank in banks.items():
        tensors[name] = torch.stack([bank[index] for index in range(count)])
    configuration = {
        "model_type": "t5", **sizes, "feed_forward_proj": "relu", "tie_word_embeddings": True,
        "experts": {"routing": "switch", "count": count, "expert_capacity": 2, "period": 3, "place": "second"},
    }
    sources, targets = rows([9, 18]), rows([12, 6])
    expected = encoder_decoder(model, sources, targets)
    model.encoder.block[1].layer[1].mlp.router.expert_capacity = 64
    model.decoder.block[1].layer[2].mlp.router.expert_capacity = 64
    free = encoder_decoder(model, sources, targets)
    assert (free["logits"][0] - expected["logits"][0]).abs().max() > 0.1, "no token was dropped"
    write("switch", configuration, tensors, expected, VERSIONS)


def gemma_altup():
    """The AltUp cell around a layer, in training and at inference, with coefficients beyond their clip."""
    seed(7)
    from transformers.models.gemma3n.configuration_gemma3n import Gemma3nTextConfig
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nTextAltUp

    streams, width, clip = 3, 8, 0.5
    cell = Gemma3nTextAltUp(Gemma3nTextConfig(
        hidden_size=width, altup_num_inputs=streams, altup_active_idx=0, altup_coef_clip=clip, rms_norm_eps=1e-6,
    ))
    randomize(cell)
    weights = {k: v.clone() for k, v in cell.state_dict().items()}
    assert all(weights[f"{name}_coefs.weight"].abs().max() > clip for name in ["prediction", "correction"])
    x = torch.randn(streams, 2, 5, width)
    names = Names(weights)
    names.copy("router_norm", "layers.0.altup.router_norm")
    names.copy("modality_router", "layers.0.altup.router")
    for name in ["prediction", "correction"]:
        names.copy(f"{name}_coefs", f"layers.0.altup.{name}_coefficients")
    # The ends of the stack, which the cell has not.
    for end in ["expand", "collapse"]:
        for index in range(1, streams):
            names.put(f"altup.{end}.{index}.weight", torch.zeros(width, width))
    expected = {"streams": x}
    with torch.no_grad():
        for mode in ["inference", "training"]:
            cell.load_state_dict(weights)
            cell.train(mode == "training")
            predicted = cell.predict(x)
            # The layer is x + tanh(2 x).
            expected[mode] = cell.correct(predicted, predicted[0] + torch.tanh(2 * predicted[0]))
    assert (expected["inference"] - expected["training"]).abs().max() > 1e-2
    configuration = {"kind": "gemma", "blocks": streams, "coefficient_clip": clip}
    write("gemma-altup", configuration, names.tensors, expected, VERSIONS)


if __name__ == "__main__":
    llama()
    gpt_neox()
    mamba2()
    rwkv4()
    t5("v1.0")
    t5("v1.1")
    switch()
    gemma_altup()
