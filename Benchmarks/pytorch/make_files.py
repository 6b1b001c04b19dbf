"""Writes small files in every form of torch.save, with the values that PyTorch reads from them.

    python Benchmarks/pytorch/make_files.py Tests/RetNetStorageTests/Fixtures/PyTorch

The tests of the package read them without PyTorch. Needs torch, numpy and omegaconf; `versions.json` says which
versions wrote the files.
"""

import argparse
import collections
import io
import json
import pathlib
import sys
import warnings
import zipfile

import numpy
import omegaconf
import torch

warnings.filterwarnings("ignore")
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
expected = {}


def bytes_of(tensor):
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def described(tensors):
    return {
        name: {
            "type": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "hex": bytes_of(tensor).hex() if tensor.numel() else "",
        }
        for name, tensor in tensors.items()
    }


def write(name, value, tensors, **options):
    torch.save(value, folder / name, **options)
    expected[name] = described(tensors)


torch.manual_seed(1)
base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
tied = torch.nn.Parameter(torch.randn(3, 2))
state = collections.OrderedDict(
    f64=torch.tensor([1.5, -2.25], dtype=torch.float64),
    f32=base,
    transposed=base.t(),
    column=base[:, 2],
    part=base[1:3, 2:5],
    permuted=torch.arange(24, dtype=torch.int16).reshape(2, 3, 4).permute(2, 0, 1),
    expanded=torch.tensor([[1.0], [2.0]]).expand(2, 3),
    f16=torch.tensor([0.5, 65504.0], dtype=torch.float16),
    bf16=torch.tensor([0.5, -3.0e38], dtype=torch.bfloat16),
    i64=torch.tensor([-(2**62), 7]),
    i32=torch.tensor([-7], dtype=torch.int32),
    i8=torch.tensor([-128, 127], dtype=torch.int8),
    u8=torch.tensor([0, 255], dtype=torch.uint8),
    truth=torch.tensor([True, False, True]),
    scalar=torch.tensor(3.25),
    empty=torch.zeros(0, 4),
    complex=torch.tensor([1 + 2j]),
)
state["embed.weight"] = tied
state["output.weight"] = tied
state["größe.重み"] = torch.tensor([1.0])
write("state.pt", state, state)
write("legacy.pt", state, state, _use_new_zipfile_serialization=False)
for protocol in (1, 3, 4, 5):
    write(f"protocol{protocol}.pt", state, state, pickle_protocol=protocol)
write("legacy_protocol4.pt", state, state, _use_new_zipfile_serialization=False, pickle_protocol=4)

late = {"u16": torch.tensor([65535], dtype=torch.uint16), "f8": torch.tensor([1.5]).to(torch.float8_e4m3fn)}
write("late_types.pt", late, late)

module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)).to(torch.bfloat16)
write("pytorch_model.bin", module.state_dict(), module.state_dict())

marked = torch.nn.Parameter(torch.ones(2, 2))
marked.tensor_model_parallel = True
write("attributes.pt", {"w": marked}, {"w": marked})

torch.serialization.set_crc32_options(False)
write("unchecked.pt", {"w": base}, {"w": base})
torch.serialization.set_crc32_options(True)

weights = {"decoder.embed_tokens.weight": torch.ones(2, 2).half(), "decoder.version": torch.tensor([3.0])}
arguments = argparse.Namespace(
    arch="retnet_base", decoder_layers=6, dropout=0.1, share_decoder_input_output_embed=True, tokens_per_sample=512,
    data="/data/pile", adam_betas="(0.9, 0.98)", seeds=[1, 2], update=None)
fairseq = {
    "args": arguments,
    "cfg": {"model": argparse.Namespace(_name="retnet"), "task": {"name": "language_modeling"}},
    "model": collections.OrderedDict(weights),
    "optimizer_history": [{"num_updates": 1000, "best_loss": numpy.float64(2.5), "rank": numpy.int32(-4)}],
    "extra_state": {"epoch": 3, "rng": numpy.random.RandomState(1).get_state(), "device": torch.device("cuda", 1)},
    "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(2), "step": 1000}}, "dtype": torch.float16},
}
write("fairseq.pt", fairseq, weights)
write("fairseq_legacy.pt", fairseq, weights, _use_new_zipfile_serialization=False)
write(
    "omegaconf.pt",
    {"model": weights, "cfg": omegaconf.OmegaConf.create({"model": {"layers": 6, "sizes": [1, 2], "rate": 0.5, "name": "x"}})},
    weights)
write("lightning.ckpt", {"epoch": 2, "state_dict": weights, "hyper_parameters": {"lr": 1e-3}}, weights)
write("nested.pt", {"model": {"state_dict": weights}, "step": 10}, weights)
write("beside.pt", {**weights, "step": 10, "names": ("a", {"b"}), "big": 2**100}, weights)

# A writer that compresses, and one of another byte order.
source = zipfile.ZipFile(folder / "state.pt")
with zipfile.ZipFile(folder / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as target:
    for entry in source.infolist():
        target.writestr(entry.filename, source.read(entry))
expected["deflated.pt"] = expected["state.pt"]
with zipfile.ZipFile(folder / "refused_big_endian.pt", "w") as target:
    for entry in source.infolist():
        target.writestr(entry.filename, b"big" if entry.filename.endswith("byteorder") else source.read(entry))

shards = folder / "shards"
shards.mkdir(exist_ok=True)
parts = {"pytorch_model-00001-of-00002.bin": {"a": base}, "pytorch_model-00002-of-00002.bin": {"b": base.t(), "c": tied}}
for name, part in parts.items():
    torch.save(part, shards / name)
    expected["shards/" + name] = described(part)
index = {"metadata": {"total_size": 216}, "weight_map": {key: name for name, part in parts.items() for key in part}}
(shards / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")

# What the reader refuses.
torch.save(torch.nn.Linear(2, 2), folder / "refused_module.pt")
torch.save(torch.nn.Linear(2, 2), folder / "refused_module_legacy.pt", _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "refused_script.pt")
torch.save({"w": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, folder / "refused_quantized.pt")
torch.save({"w": torch.eye(2).to_sparse()}, folder / "refused_sparse.pt")
torch.save({"model": weights, "module": {"x": base}}, folder / "refused_two.pt")
torch.save([base], folder / "refused_list.pt")
torch.save({"step": 1, "ema": weights}, folder / "refused_other_key.pt")

(folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": numpy.__version__,
            "omegaconf": omegaconf.__version__}
(folder / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
