"""Converts every checkpoint of `Fixtures/dialects` that Transformers or flash-linear-attention loads, and back, and runs both.

    python roundtrip.py path/to/retnet [path/to/flash-linear-attention]

For each: `retnet convert` into a model folder, `retnet convert --to` back, then the project's own code loads what was
written and computes the logits of the fixture. Prints how many tensors have another name (that of newer versions)
or another bit, and the error of the logits relative to those of the original. Exits with 1 if a folder does not load completely or an error exceeds 1e-6.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from dialect_folder import FOLDERS
from safetensors.torch import load_file
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
RETNET = sys.argv[1]
FLA = sys.argv[2] if len(sys.argv) > 2 else None


def classes():
    """The class of every architecture, those of Transformers first."""
    found = {}
    names = {json.loads(path.read_text())["architectures"][0] for path in folders(None)}
    for name in names:
        if hasattr(transformers, name):
            found[name] = getattr(transformers, name)
    if FLA:
        sys.argv[1] = FLA
        import fla_mixer_dialects

        found |= {name: getattr(fla_mixer_dialects, name) for name in names if hasattr(fla_mixer_dialects, name)}
    return found


def folders(known):
    """The configurations of the fixtures whose class is known."""
    for path in sorted(FOLDERS.glob("*/config.json")):
        fields = json.loads(path.read_text())
        if fields.get("architectures") and (known is None or fields["architectures"][0] in known):
            yield path


def retnet(*arguments):
    result = subprocess.run([RETNET, "convert", *arguments, "--json"], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"retnet convert {' '.join(arguments)}: {result.stderr}")
    return json.loads(result.stdout)


def tensors(folder):
    return {k: v for path in folder.glob("model*.safetensors") for k, v in load_file(path).items()}


def main():
    known = classes()
    failures = 0
    print(f"{'folder':22} {'form':24} {'tensors':>7} {'renamed':>7} {'changed':>7} {'error':>8}  loaded by")
    for path in folders(known):
        fixture = path.parent
        architecture = json.loads(path.read_text())["architectures"][0]
        with tempfile.TemporaryDirectory() as place:
            own, back = Path(place) / "own", Path(place) / "back"
            form = retnet(str(fixture), "--out", str(own))["from"]
            retnet(str(own), "--out", str(back), "--to", form)
            before, after = tensors(fixture), tensors(back)
            renamed = sum(name not in before for name in after)
            changed = sum(name in before and not torch.equal(before[name], after[name]) for name in after)
            note = architecture
            fields = json.loads((back / "config.json").read_text())
            if fields["architectures"] != [architecture]:
                failures, note = failures + 1, f"written as {fields['architectures']}"
            if form.endswith("-fused"):
                # The code of that time is not at hand; its checkpoints are loaded here alone.
                print(f"{fixture.name:22} {form:24} {len(after):7} {renamed:7} {changed:7} {'':8}  -")
                continue
            model, report = known[architecture].from_pretrained(
                back, dtype=torch.float32, output_loading_info=True)
            lost = [key for key in ["missing_keys", "unexpected_keys", "mismatched_keys"] if report[key]]
            expected = load_file(fixture / "expected.safetensors")
            with torch.no_grad():
                logits = model.eval()(input_ids=expected["tokens"], use_cache=False).logits
            error = ((logits - expected["logits"]).norm() / expected["logits"].norm()).item()
            if lost or error > 1e-6:
                failures, note = failures + 1, f"{note}: {', '.join(f'{key} {report[key]}' for key in lost) or 'differs'}"
        print(f"{fixture.name:22} {form:24} {len(after):7} {renamed:7} {changed:7} {error:8.0e}  {note}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
