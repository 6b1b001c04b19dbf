"""What the scripts of this folder share: random weights, and the folders that `make test` reads."""

import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests" / "RetNetCheckpointsTests" / "Fixtures" / "parity"
VOCABULARY = 13


def seed(number):
    """Numbers are such that no norm divides by something tiny, which would magnify the peer's rounding to float32."""
    torch.manual_seed(number)


def randomize(model):
    """Weights at which every part of a model matters: norms that differ from 1, biases from 0, broad matrices."""
    for name, parameter in model.named_parameters():
        data = parameter.data
        if data.dim() >= 2 and min(data.shape[-2:]) > 1:
            data.normal_(std=1.5 * data.shape[-1] ** -0.5)
        elif name.endswith("weight") and data.dim() == 1:
            data.uniform_(0.5, 1.5)
        else:
            data.normal_(std=0.3)


def tokens(batch=2, length=21):
    return torch.randint(0, VOCABULARY, (batch, length))


def answers(forward, embedding, ids):
    """Logits of tokens, the loss of the next ones, and its gradient with respect to the embedding."""
    logits = forward(ids)
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    (gradient,) = torch.autograd.grad(loss, embedding)
    return {"tokens": ids, "logits": logits, "loss": loss.reshape(1), "embedding_gradient": gradient}


def write(name, configuration, tensors, expected, versions):
    """Writes the folder of a model, and what the peer computes with it."""
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(configuration, indent=1) + "\n")
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    save_file(
        {k: v.detach().clone().contiguous() for k, v in expected.items()},
        folder / "expected.safetensors", metadata={"peer": versions, "torch": torch.__version__},
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size / 1024:.0f} KiB, {versions}")


def language_model(width, layers, mixer, feed_forward=None, norm=("rms", 1e-6), pattern=None, **more):
    """The configuration of a language model of equal blocks, or of a pattern of blocks."""
    none = {"kind": "none"}
    blocks = {"mixer": mixer, "feed_forward": feed_forward or none} if pattern is None else {"layer_pattern": pattern}
    return {
        "model_type": "retnet", "format_version": 1, "vocabulary_size": VOCABULARY, "hidden_size": width,
        "layer_count": layers, **blocks, "norm": {"kind": norm[0], "epsilon": norm[1]}, **more,
    }


class Names:
    """Tensors of a model under this package's names."""

    def __init__(self, weights):
        self.weights = weights
        self.tensors = {}

    def copy(self, theirs, mine, parts=("weight", "bias")):
        """Copies the weight and the bias, where there is one, of a layer."""
        for part in parts:
            if f"{theirs}.{part}" in self.weights:
                self.tensors[f"{mine}.{part}"] = self.weights[f"{theirs}.{part}"]

    def put(self, mine, tensor):
        self.tensors[mine] = tensor


class Stack(nn.Module):
    """A language model of two blocks of a norm and a mixer, for peers that have no model around theirs."""

    def __init__(self, width, make):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        self.mixers = nn.ModuleList(make() for _ in range(2))
        self.final_norm = nn.RMSNorm(width, eps=1e-6)
        self.output = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, ids):
        x = self.embedding(ids)
        for norm, mixer in zip(self.norms, self.mixers):
            x = x + mixer(norm(x))
        return self.output(self.final_norm(x))


def write_stack(name, number, width, make, settings, versions, renamed=lambda key: key):
    """Writes a stack of mixers, whose parameters have this package's names but for `renamed`."""
    seed(number)
    model = Stack(width, make)
    randomize(model)
    names = Names(model.state_dict())
    for part in ["embedding", "final_norm", "output"]:
        names.copy(part, part)
    for i in range(2):
        names.copy(f"norms.{i}", f"layers.{i}.mixer_norm")
        for key, tensor in model.mixers[i].state_dict().items():
            names.put(f"layers.{i}.mixer.{renamed(key)}", tensor.squeeze(1) if "convolution" in key else tensor)
    write(
        name, language_model(width, 2, settings), names.tensors, answers(model, model.embedding.weight, tokens()),
        versions,
    )
