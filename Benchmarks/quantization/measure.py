"""Perplexity of models whose weights are stored in 32, 16, 8 and 4 bits: `retnet-lite eval perplexity`, as a Markdown table.

    make build lite
    python Benchmarks/quantization/measure.py NAME=MODEL:TEXT [NAME=MODEL:TEXT ...] [--separator blank_lines:1]

MODEL is a model folder or the folder of a run in float32, TEXT a text that it was not trained on. bfloat16 is written by
`retnet convert`, the others by `retnet-lite quantize`, into a temporary folder.
"""

import argparse
import json
import os
import subprocess
import tempfile


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def measured(model, text, separator):
    """Returns perplexity and the bytes of the weights."""
    found = run("./retnet-lite", "eval", "perplexity", "--model", model, "--data", text, "--document-separator", separator, "--json")
    stored = json.loads(run("./retnet-lite", "info", "--model", model, "--json"))
    found = json.loads(found)
    return found["perplexity"], found["bits_per_byte"], found["tokens"], stored["weight_bytes"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL:TEXT")
    parser.add_argument("--separator", default="file")
    options = parser.parse_args()
    print("| model | tokens | float32 | bfloat16 | int8 | int4 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for argument in options.models:
        name, paths = argument.split("=", 1)
        model, text = paths.rsplit(":", 1)
        with tempfile.TemporaryDirectory() as folder:
            forms = [model]
            narrow = os.path.join(folder, "bfloat16")
            run("./retnet", "convert", model, "--out", narrow, "--dtype", "bfloat16")
            forms.append(narrow)
            for scheme in ["int8", "int4"]:
                out = os.path.join(folder, scheme)
                run("./retnet-lite", "quantize", "--model", model, "--to", scheme, "--out", out)
                forms.append(out)
            rows = [measured(form, text, options.separator) for form in forms]
        base = rows[0][0]
        cells = [f"{base:.4f}"] + [f"{row[0]:.4f} ({100 * (row[0] / base - 1):+.2f} %)" for row in rows[1:]]
        sizes = ", ".join(f"{row[3] / 2**20:.1f}" for row in rows)
        print(f"| {name} ({sizes} MiB) | {rows[0][2]:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
