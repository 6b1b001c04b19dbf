"""Losses of runs by the kernels of training beside those of the clear path (`--kernels reference`).

A run of 200 steps is made twice with the same weights and data, once by each. Rounding differs, so the losses drift apart;
how far is judged by a third run, of the clear path in chunks of another length, which is equal but for rounding too. The
kernels are within noise where the difference from them is no larger than three times that one, or a thousandth of the loss.

$ python Benchmarks/training/losses.py --preset retnet-1m --set model.layer_count=2
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--preset", default="retnet-1m")
parser.add_argument("--set", dest="changes", action="append", default=[], help="a setting of the runs")
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--data", help="a text; without one, a text of numbers and words is made")
parser.add_argument("--binary", default="./retnet")
a = parser.parse_args()


def made_text(path):
    """A text with some structure: counting, in words."""
    words = "zero one two three four five six seven eight nine".split()
    with open(path, "w") as file:
        for number in range(60_000):
            file.write(f"{number} is {' '.join(words[int(digit)] for digit in str(number))}.\n")


def losses(folder, name, *options):
    command = [
        a.binary, "train", "--preset", a.preset, "--data", a.data, "--out", os.path.join(folder, name), "--steps", a.steps,
        "--seed", 7, "--set", f"precision={a.precision}", "--set", "data.batch_size=4", "--set", "data.length=256",
        "--set", "log.every=1", "--set", "evaluation.every=0", "--set", "sample.every=0", "--set", "checkpoint.every=0", *sum((["--set", change] for change in a.changes), []), *options,
    ]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr.strip() or f"'{name}' failed")
    with open(os.path.join(folder, name, "metrics.jsonl")) as file:
        records = [json.loads(line) for line in file]
    return [record["loss"] for record in records if "loss" in record and "step" in record]


with tempfile.TemporaryDirectory() as folder:
    if not a.data:
        a.data = os.path.join(folder, "text.txt")
        made_text(a.data)
    clear = losses(folder, "clear", "--kernels", "reference")
    other = losses(folder, "other", "--kernels", "reference", "--set", "form=chunkwise:96")
    kernels = losses(folder, "kernels")


def tail(values):
    return sum(values[-20:]) / len(values[-20:])


def apart(first, second):
    return max(abs(x - y) for x, y in zip(first, second)), abs(tail(first) - tail(second))


print(f"{a.preset}, {a.precision}, {len(clear)} steps: loss {clear[0]:.4f} to {tail(clear):.4f} (mean of the last 20)")
print("| beside the clear path | largest difference of a step | difference of the last 20 |")
print("| --- | ---: | ---: |")
noise, mine = apart(clear, other), apart(clear, kernels)
print(f"| the clear path in other chunks | {noise[0]:.2e} | {noise[1]:.2e} |")
print(f"| the kernels | {mine[0]:.2e} | {mine[1]:.2e} |")
within = all(m <= max(3 * n, 1e-3 * tail(clear)) for m, n in zip(mine, noise))
print("within noise" if within else "NOT within noise")
sys.exit(0 if within else 1)
