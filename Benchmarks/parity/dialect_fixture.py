"""What the scripts of dialects share: a small checkpoint as another project writes it, and what its code computes.

Each folder holds the project's own configuration and tensors under its own names, and `expected.safetensors` with tokens,
logits, and, where the project keeps one, the state after the last token. A state is written in the layout and the scale
of this package, [B, H, A, V]: the sum of decayed products of keys (scaled by A^-1/2, rotated) and values, so that it can
be compared; each script says how it gets there.
"""

import json
import shutil
from pathlib import Path

import torch
from fixture import ROOT
from safetensors.torch import save_file

FOLDER = ROOT / "Tests" / "RetNetCheckpointsTests" / "Fixtures" / "dialects"


def write_dialect(name, configuration, tensors, expected, versions, configuration_file="config.json"):
    """Writes the folder of one checkpoint."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = json.dumps(configuration, indent=1, sort_keys=True) + "\n"
    (folder / configuration_file).write_text(text)
    save_file(
        {k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    save_file(
        {k: v.detach().clone().contiguous() for k, v in expected.items()},
        folder / "expected.safetensors", metadata={"peer": versions, "torch": torch.__version__},
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size / 1024:.0f} KiB, {versions}")
