"""What the scripts of the dialects share: folders that a project's own code saves, and what that code computes with them.

Each folder holds the project's files under the project's names, and `expected.safetensors`: tokens [2, 21], the logits of
all at once, and those of the tokens from 9 on, in pieces after the state or cache of the first 9.
"""

import json
import shutil
from pathlib import Path

import torch
from fixture import ROOT, VOCABULARY, randomize
from safetensors.torch import load_file, save_file

FOLDERS = ROOT / "Tests" / "RetNetCheckpointsTests" / "Fixtures" / "dialects"
PROMPT = 9


def prepare(model, number):
    """Random weights at which every part matters, and tokens."""
    torch.manual_seed(number)
    randomize(model)
    return model.eval(), torch.randint(0, VOCABULARY, (2, 21))


@torch.no_grad()
def answers(model, ids, cache="past_key_values", piece=1):
    """Logits of all tokens, and of those behind the prompt in pieces from the model's own state."""
    logits = model(input_ids=ids, use_cache=False).logits
    output = model(input_ids=ids[:, :PROMPT], use_cache=True)
    steps = []
    for position in range(PROMPT, ids.shape[1], piece):
        output = model(input_ids=ids[:, position : position + piece], use_cache=True, **{cache: output[cache]})
        steps.append(output.logits)
    continued = torch.cat(steps, dim=1)
    difference = (continued - logits[:, PROMPT:]).norm() / logits[:, PROMPT:].norm()
    assert difference < 1e-5, f"the peer's own forms differ by {difference:.1e}"
    return {"tokens": ids, "logits": logits, "continued": continued}


def save(name, model, ids, versions, cache="past_key_values", piece=1, shard=None, fields=None, tensors=None):
    """Saves a model as its own code does, computes with it, and changes fields of its configuration and tensors."""
    folder = FOLDERS / name
    shutil.rmtree(folder, ignore_errors=True)
    expected = answers(model, ids, cache, piece)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if fields:
        path = folder / "config.json"
        path.write_text(json.dumps(fields(json.loads(path.read_text())), indent=2) + "\n")
    if tensors:
        path = folder / "model.safetensors"
        save_file({k: v.contiguous() for k, v in tensors(load_file(path)).items()}, path, metadata={"format": "pt"})
    save_file(
        {k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors",
        metadata={"peer": versions, "torch": torch.__version__},
    )
    files = list(folder.iterdir())
    size = sum(file.stat().st_size for file in files)
    assert size < 60 * 1024, f"{name} takes {size} bytes"
    print(f"{name}: {size / 1024:.0f} KiB in {len(files)} files, {versions}")
