"""Checkpoints of syncdoth/RetNet, and what its model computes.

Needs torch, safetensors, transformers 4.38, and a checkout of syncdoth/RetNet, whose folder is the argument. Logits are those
of the recurrent form, and `logits_parallel` those of the parallel form, which divides scores further. The recurrent form
keeps S / sqrt(w) as [B, H, V, A] beside w: the state is multiplied by it and turned. With `--parity` it writes the model of
`Fixtures/parity` in its parallel form instead, with the loss and its gradient.
"""

import subprocess
import sys

import stand_ins  # noqa: F401
import torch
from dialect_fixture import write_dialect
from fixture import VOCABULARY, Names, answers, language_model, randomize, seed, tokens, write

FOLDER = sys.argv[1]
sys.path.insert(0, FOLDER)
from retnet.configuration_retnet import RetNetConfig  # noqa: E402
from retnet.modeling_retnet import RetNetForCausalLM  # noqa: E402

COMMIT = subprocess.run(
    ["git", "-C", FOLDER, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "2634bbf"
VERSIONS = f"syncdoth/RetNet {COMMIT}"


def make(number, **options):
    seed(number)
    options.setdefault("decoder_ffn_embed_dim", 12)
    options.setdefault("decoder_value_embed_dim", 24)
    configuration = RetNetConfig(
        vocab_size=VOCABULARY, decoder_embed_dim=16, decoder_retention_heads=2, decoder_layers=2, **options)
    model = RetNetForCausalLM(configuration).eval()
    randomize(model)
    return configuration, model


def retnet(name, number, **options):
    configuration, model = make(number, **options)
    ids = torch.randint(0, VOCABULARY, (2, 21))
    logits, past = [], None
    with torch.no_grad():
        parallel = model(ids, forward_impl="parallel").logits
        for length in range(1, ids.shape[1] + 1):
            output = model(ids[:, :length], forward_impl="recurrent", past_key_values=past, use_cache=True)
            past = output.past_key_values
            logits.append(output.logits)
    expected = {"tokens": ids, "logits": torch.cat(logits, dim=1), "logits_parallel": parallel}
    for i, state in enumerate(past):
        expected[f"state.{i}.memory"] = (state["prev_key_value"] * state["scale"].sqrt()).transpose(-1, -2)
    fields = configuration.to_dict()
    fields["architectures"] = ["RetNetForCausalLM"]
    stored = dict(model.state_dict())
    if configuration.tie_word_embeddings:
        del stored["lm_head.weight"]
    write_dialect(name, fields, stored, expected, VERSIONS)


def parity():
    """The same model under this package's names."""
    options = {"activation_fn": "swish", "use_lm_decay": True, "layernorm_embedding": True, "no_scale_embedding": False}
    configuration, model = make(74, **options)
    # A padding token would have no gradient; here it is a token as any other.
    model.model.embed_tokens.padding_idx = None
    names = Names(model.state_dict())
    names.copy("model.embed_tokens", "embedding")
    names.copy("model.layernorm_embedding", "embedding_norm")
    names.copy("model.layer_norm", "final_norm")
    names.copy("lm_head", "output")
    for i in range(2):
        a, b = f"model.layers.{i}.", f"layers.{i}."
        for theirs, mine in {"q": "query", "k": "key", "v": "value", "g": "gate", "out": "output"}.items():
            names.copy(f"{a}retention.{theirs}_proj", f"{b}mixer.{mine}")
        for theirs, mine in {"fc1": "up", "gate": "gate", "fc2": "down"}.items():
            names.copy(f"{a}ffn.{theirs}", f"{b}feed_forward.{mine}")
        names.copy(a + "retention_layer_norm", b + "mixer_norm")
        names.copy(a + "final_layer_norm", b + "feed_forward_norm")
    settings = language_model(
        16, 2,
        {
            "kind": "retention", "head_count": 2, "key_size": 8, "value_size": 12, "decay": "experiment",
            "rotation": "interleaved", "normalization": "decay_sum_abs",
            "head_norm": {"kind": "rms", "affine": "none", "epsilon": 1e-6}, "gate": "swish",
        },
        {"kind": "gated", "activation": "swish", "inner_size": 12}, embedding_scale="square_root",
        embedding_norm=True,
    )
    expected = answers(
        lambda ids: model(ids, forward_impl="parallel").logits, model.model.embed_tokens.weight, tokens())
    write("syncdoth-retnet", settings, names.tensors, expected, VERSIONS)


if __name__ == "__main__":
    if "--parity" in sys.argv:
        parity()
    else:
        retnet("syncdoth-retnet", 70)
        retnet("syncdoth-retnet-preset", 71, activation_fn="swish", layernorm_embedding=True, no_scale_embedding=False)
        retnet("syncdoth-retnet-plain", 72, use_glu=False, use_ffn_rms_norm=True, decoder_ffn_embed_dim=16,
               use_lm_decay=True, tie_word_embeddings=True)
