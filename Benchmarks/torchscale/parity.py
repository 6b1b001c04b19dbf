"""The same random weights in torchscale and in retnet: relative differences of the logits, float32."""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from peer import decoder
from safetensors.torch import load_file, save_file

LAYERS, LENGTH, CHUNK = 6, 300, 64
torch.manual_seed(0)
model = decoder(512, 864, 864, LAYERS, 2, activation_fn="swish").eval()
names = {"embed_tokens": "embedding", "output_projection": "output", "layer_norm": "final_norm"}
for i in range(LAYERS):
    mine, theirs = f"layers.{i}.", f"layers.{i}."
    for a, b in {"q_proj": "query", "k_proj": "key", "v_proj": "value", "g_proj": "gate", "out_proj": "output"}.items():
        names[f"{theirs}retention.{a}"] = f"{mine}mixer.{b}"
    for a, b in {"fc1": "up", "gate": "gate", "fc2": "down"}.items():
        names[f"{theirs}ffn.{a}"] = f"{mine}feed_forward.{b}"
    names[theirs + "retention_layer_norm"] = mine + "mixer_norm"
    names[theirs + "final_layer_norm"] = mine + "feed_forward_norm"
weights = model.state_dict()
tensors = {f"{b}.weight": weights[f"{a}.weight"].clone().contiguous() for a, b in names.items()}

tokens = torch.randint(0, 253, (2, LENGTH))
with torch.no_grad():
    parallel, _ = model(tokens)
    state, steps = {}, []
    for t in range(LENGTH):
        steps.append(model(tokens[:, : t + 1], incremental_state=state)[0])
    recurrent = torch.cat(steps, 1)
    model.chunkwise_recurrent = True
    model.recurrent_chunk_size = model.retnet_rel_pos.recurrent_chunk_size = CHUNK
    chunkwise, _ = model(tokens)


def difference(a, b):
    return f"{((a - b).norm() / b.norm()).item():.1e}"


print(f"torchscale recurrent    against its parallel form: {difference(recurrent, parallel)}")
print(f"torchscale chunkwise:{CHUNK} against its parallel form: {difference(chunkwise, parallel)}")

configuration = {
    "model_type": "retnet", "format_version": 1, "vocabulary_size": 256, "hidden_size": 512, "layer_count": LAYERS,
    "mixer": {
        "kind": "retention", "head_count": 2, "key_size": 256, "value_size": 432, "decay": "standard",
        "rotation": "interleaved", "head_norm": {"kind": "rms", "affine": "none", "epsilon": 1e-6}, "gate": "swish",
    },
    "feed_forward": {"kind": "gated", "activation": "swish", "inner_size": 864},
    "norm": {"kind": "rms", "epsilon": 1e-6},
}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "tokens.json").write_text(json.dumps(tokens.tolist()))
    save_file(tensors, folder / "model.safetensors")
    for normalization, forms in [
        ("decay_sum_abs", ["parallel"]), ("decay", ["parallel", f"chunkwise:{CHUNK}", "chunkwise:7", "recurrent"]),
    ]:
        configuration["mixer"]["normalization"] = normalization
        (folder / "config.json").write_text(json.dumps(configuration))
        for form in forms:
            command = ["./retnet", "logits", "--model", folder, "--tokens", folder / "tokens.json", "--form", form]
            command += ["--dtype", "float32", "--output", folder / "logits.safetensors"]
            subprocess.run(command, check=True, capture_output=True)
            logits = load_file(folder / "logits.safetensors")["logits"]
            print(f"retnet {normalization} {form}: {difference(logits, parallel)} from torchscale's parallel form")
