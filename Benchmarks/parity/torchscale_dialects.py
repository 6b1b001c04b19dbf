"""Checkpoints of RetNet of microsoft/torchscale, and what its decoder computes.

Needs torch, safetensors, einops, and two checkouts of torchscale: the first argument is that of 4d1e0e8, the second that of
bf65397 (July 2023). Logits are those of the recurrent form, and `logits_parallel` those of the parallel form, which
divides scores further; of July 2023 only the parallel form agrees with the paper. The recurrent form keeps S / sqrt(w) as
[B, H, V, A] beside w (S / w in July 2023): the state is multiplied by it and turned.
"""

import argparse
import subprocess
import sys

import stand_ins  # noqa: F401
import torch
from dialect_fixture import FOLDER, write_dialect
from fixture import VOCABULARY, randomize, seed


def versions(folder, commit):
    found = subprocess.run(
        ["git", "-C", folder, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    return f"microsoft/torchscale {found or commit}"


def steps(model, ids):
    """Logits of the recurrent form, and its states after the last token."""
    incremental, logits = {}, []
    for length in range(1, ids.shape[1] + 1):
        logits.append(model(ids[:, :length], incremental_state=incremental)[0])
    return torch.cat(logits, dim=1), [incremental[i] for i in range(len(model.layers))]


def july(sizes):
    """The decoder of July 2023, from the other checkout."""
    for name in [name for name in sys.modules if name.startswith("torchscale")]:
        del sys.modules[name]
    sys.path.insert(0, sys.argv[2])
    from torchscale.architecture.config import RetNetConfig
    from torchscale.architecture.retnet import RetNetDecoder

    return RetNetConfig(**sizes), RetNetDecoder


def current(sizes):
    sys.path.insert(0, sys.argv[1])
    from torchscale.architecture.config import RetNetConfig
    from torchscale.architecture.retnet import RetNetDecoder

    return RetNetConfig(**sizes), RetNetDecoder


def retnet(name, number, make, prefix="", **options):
    seed(number)
    width = options.setdefault("decoder_embed_dim", 16)
    arguments, decoder = make(
        {"vocab_size": VOCABULARY, "decoder_retention_heads": 2, "decoder_ffn_embed_dim": 12, "decoder_layers": 2,
         **options})
    model = decoder(arguments, embed_tokens=torch.nn.Embedding(VOCABULARY, width)).eval()
    randomize(model)
    ids = torch.randint(0, VOCABULARY, (2, 21))
    is_july = make is july
    with torch.no_grad():
        parallel = model(ids)[0]
        recurrent, states = steps(model, ids)
    expected = {"tokens": ids, "logits": parallel if is_july else recurrent}
    if not is_july:
        expected["logits_parallel"] = parallel
    # The recurrent form of July 2023 gives other inputs to the second layer.
    for i, state in enumerate(states[:1] if is_july else states):
        w = state["scale"].view(-1, 1, 1)
        expected[f"state.{i}.memory"] = (state["prev_key_value"] * (w if is_july else w.sqrt())).transpose(-1, -2)
    tensors = {prefix + key: value for key, value in model.state_dict().items()}
    fields = {key: value for key, value in vars(arguments).items() if not key.startswith("_")}
    folder, commit = (sys.argv[2], "bf65397") if is_july else (sys.argv[1], "4d1e0e8")
    write_dialect(name, fields, tensors, expected, versions(folder, commit))
    if name == "torchscale-fairseq":
        # As fairseq saves it: a pickle with an argument bag.
        place = FOLDER.parent / "dialects-pytorch"
        place.mkdir(exist_ok=True)
        torch.save({"model": tensors, "args": argparse.Namespace(arch="retnet_base", **fields), "extra_state": {}},
                   place / f"{name}.pt")


if __name__ == "__main__":
    retnet("torchscale", 60, current, decoder_value_embed_dim=24)
    retnet("torchscale-fairseq", 61, current, "decoder.", decoder_value_embed_dim=16, activation_fn="swish",
           no_scale_embedding=False, layernorm_embedding=True, share_decoder_input_output_embed=True)
    retnet("torchscale-deepnorm", 62, current, decoder_value_embed_dim=16, deepnorm=True,
           decoder_normalize_before=False)
    retnet("torchscale-2023-07", 63, july)
    retnet("torchscale-2023-07-fairseq", 64, july, "decoder.", subln=False, activation_fn="relu")
