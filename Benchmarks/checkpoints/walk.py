"""Takes the checkpoint of every other project through the commands as a user does, and compares what comes out.

    python3 Benchmarks/checkpoints/walk.py [path/to/retnet] [--only NAME]

Needs nothing but Python 3 and the built command. Each folder of `Tests/RetNetCheckpointsTests/Fixtures/dialects` holds a small
checkpoint that a project's own code wrote and the logits that this code computes. It gets a tokenizer of one character per
token, and then

* `convert --check` recognizes it and counts its parameters;
* `convert --out` makes a model folder, which `convert --check` accepts again;
* `logits` of the folder, and of the checkpoint itself, equal the project's (relative error below 1e-5);
* `generate` with temperature 0 continues the project's prompt with the token that the project's logits prefer;
* `convert --to` writes the project's form again, whose tensors have the bits of the first ones, buffers that follow from the
  configuration aside, and which converts into the same model folder, byte for byte.

Prints one row for each and exits with 1 if anything differs.
"""

import argparse
import json
import math
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests" / "RetNetCheckpointsTests" / "Fixtures" / "dialects"
# Tensors without parameters, which are computed again or left out.
BUFFERS = (
    "retnet_rel_pos.angle", "retnet_rel_pos.decay", "attn.bias", "attn.masked_bias", "attention.bias",
    "attention.masked_bias", "rotary_emb.inv_freq", "retention.thetas", "version",
)
# Tensors that newer versions of the projects write under another name.
RENAMED = {"g_norm.weight": "g_norm_swish_gate.weight"}


class Difference(Exception):
    """Something that is not as it should be, in a few words."""


def tensors(path):
    """The tensors of a file or folder of safetensors: name to type, shape and bytes."""
    files = sorted(path.glob("model*.safetensors")) if path.is_dir() else [path]
    found = {}
    for file in files:
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = (8 + length + offset for offset in entry["data_offsets"])
                found[name] = (entry["dtype"], tuple(entry["shape"]), data[start:end])
    return found


def numbers(tensor):
    form = {"F32": "f", "F64": "d", "I64": "q", "I32": "i"}[tensor[0]]
    return struct.unpack(f"<{math.prod(tensor[1])}{form}", tensor[2])


def error(found, expected):
    difference = math.sqrt(sum((a - b) ** 2 for a, b in zip(found, expected)))
    return difference / math.sqrt(sum(b * b for b in expected))


def tokenizer(size):
    """A tokenizer.json of one character for each token, from 0x4E00 on, where every number is a letter."""
    vocabulary = {chr(0x4E00 + i): i for i in range(size)}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": [],
        },
    }


class Walk:
    def __init__(self, command, fixture, place):
        self.command, self.fixture, self.place = command, fixture, place
        self.source, self.own = place / "source", place / "own"
        self.expected = tensors(fixture / "expected.safetensors")
        self.vocabulary = self.expected["logits"][1][-1]

    def retnet(self, *arguments, **options):
        result = subprocess.run([self.command, *map(str, arguments)], capture_output=True, text=True, **options)
        if result.returncode != 0:
            raise Difference(f"retnet {' '.join(map(str, arguments[:2]))}: {result.stderr.strip()}")
        return result.stdout

    def convert(self, *arguments):
        return json.loads(self.retnet("convert", *arguments, "--json"))

    def check(self):
        """Recognizes the checkpoint, with a tokenizer beside it."""
        shutil.copytree(self.fixture, self.source)
        (self.source / "expected.safetensors").unlink()
        text = json.dumps(tokenizer(self.vocabulary), ensure_ascii=False)
        (self.source / "tokenizer.json").write_text(text, encoding="utf-8")
        self.found = self.convert(self.source, "--check")
        return self.found

    def convert_in(self):
        self.convert(self.source, "--out", self.own)
        again = self.convert(self.own, "--check")
        if again["parameters"] != self.found["parameters"] or again["from"] != "retnet":
            raise Difference("the model folder has other parameters")

    def logits(self):
        """The greatest error of the logits of the checkpoint and the folder."""
        shape = self.expected["tokens"][1]
        ids = numbers(self.expected["tokens"])
        rows = [list(ids[row * shape[1] : (row + 1) * shape[1]]) for row in range(shape[0])]
        errors = []
        for model in [self.source, self.own]:
            output = self.place / "logits.safetensors"
            self.retnet("logits", "--model", model, "--tokens", "-", "-o", output, input=json.dumps(rows))
            errors.append(error(numbers(tensors(output)["logits"]), numbers(self.expected["logits"])))
        if max(errors) > 1e-5:
            raise Difference(f"the logits differ by {max(errors):.0e}")
        return max(errors)

    def generate(self):
        """The first token after the first prompt, which the project's logits name."""
        length = self.expected["tokens"][1][1]
        ids = numbers(self.expected["tokens"])[:length]
        last = numbers(self.expected["logits"])[(length - 1) * self.vocabulary : length * self.vocabulary]
        wanted = max(range(self.vocabulary), key=last.__getitem__)
        output = self.retnet(
            "generate", "--model", self.own, "--prompt", "".join(chr(0x4E00 + i) for i in ids), "--temperature", "0",
            "-n", "3", "--ignore-end", "--repetition-penalty", "1", "--dtype", "float32", "--json")
        (row,) = json.loads(output)["results"]
        if row["prompt_tokens"] != length or row["tokens"][0] != wanted:
            raise Difference(f"it generates {row['tokens'][:1]} after {row['prompt_tokens']} tokens, not {wanted}")
        return len(row["tokens"])

    def convert_back(self):
        back, again = self.place / "back", self.place / "again"
        self.convert(self.own, "--out", back, "--to", self.found["from"])
        before, after = tensors(self.source), tensors(back)
        kept, renamed, buffers = 0, 0, 0
        for name, tensor in before.items():
            if name.endswith(BUFFERS):
                buffers += 1
            elif after.get(name) == tensor:
                kept += 1
            elif any(after.get(other) == tensor for other in self.new_names(name)):
                renamed += 1
            else:
                raise Difference(f"'{name}' is written {'with other bits' if name in after else 'not at all'}")
        for name in ["tokenizer.json", "generation_config.json"]:
            file = self.source / name
            if file.exists() and file.read_bytes() != (back / name).read_bytes():
                raise Difference(f"{name} is not copied")
        self.convert(back, "--out", again)
        for name in ["model.safetensors", "config.json"]:
            if (again / name).read_bytes() != (self.own / name).read_bytes():
                raise Difference(f"on the second way, {name} differs")
        return kept, renamed, buffers

    @staticmethod
    def new_names(name):
        yield "transformer." + name
        for old, new in RENAMED.items():
            if name.endswith(old):
                yield name.removesuffix(old) + new


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", type=Path, default=ROOT / "retnet")
    parser.add_argument("--only", help="the folder of one checkpoint")
    arguments = parser.parse_args()
    if not arguments.command.exists():
        parser.error(f"there is no command at '{arguments.command}': run `make build` first")
    fixtures = sorted(path.parent for path in FIXTURES.glob("*/expected.safetensors"))
    fixtures = [path for path in fixtures if arguments.only in (None, path.name)]
    if not fixtures:
        parser.error(f"there is no checkpoint '{arguments.only}' in {FIXTURES}")
    print(f"{'checkpoint':27} {'form':27} {'parameters':>10} {'logits':>7} {'generated':>9} "
          f"{'same':>5} {'renamed':>7} {'buffers':>7}")
    failures = 0
    for fixture in fixtures:
        with tempfile.TemporaryDirectory() as place:
            walk = Walk(arguments.command, fixture, Path(place))
            try:
                found = walk.check()
                walk.convert_in()
                relative, made = walk.logits(), walk.generate()
                kept, renamed, buffers = walk.convert_back()
                print(f"{fixture.name:27} {found['from']:27} {found['parameters']:10,} {relative:7.0e} {made:9} "
                      f"{kept:5} {renamed:7} {buffers:7}", flush=True)
            except Difference as difference:
                failures += 1
                print(f"{fixture.name:27} FAILED: {difference}", flush=True)
    print(f"{len(fixtures) - failures} of {len(fixtures)} checkpoints convert, match, generate and go back")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
