"""The speed of training, this package's and that of its peers, in one table; see README.md."""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys

PRESETS = ["retnet-1m", "retnet-3m"]
MIXERS = [
    "retnet", "transformer", "linear-transformer", "rwkv", "h3", "hyena", "aft", "s4d", "gated-retention", "gla", "mamba2",
    "deltanet", "gated-deltanet", "retnet-plus",
]
# Groups of rows with the minutes that they take on two cores of a server in bfloat16.
GROUPS = {
    "small": ("steps of retnet-1m and retnet-3m over their products", 1),
    "step": ("steps of retnet-22m, 8 × 512, beside torchscale", 6),
    "large": ("a step of 200M parameters, vocabulary 32,000, length 2,048", 8),
    "operator": ("retention alone beside PyTorch's forms", 6),
    "lengths": ("RetNet beside this package's Transformer, by length", 5),
    "long": ("one sequence of 16,384 and 65,536 tokens beside torchscale", 9),
    "prefill": ("8,192 tokens read by 200M parameters", 8),
    "mixers": ("every mixer at 22M parameters", 7),
    "types": ("bfloat16 over float32, restricted to AVX2", 3),
}

parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("groups", nargs="*", help="groups of rows: " + ", ".join(GROUPS))
parser.add_argument("--out", default="training.jsonl", help="the file in which results are collected")
parser.add_argument("--print", action="store_true", help="print the table of the file")
parser.add_argument("--list", action="store_true", help="list the groups")
parser.add_argument("--rounds", type=int, default=3, help="turns of all in a group")
parser.add_argument("--repetitions", type=int, default=3, help="timed repetitions in each turn")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--isa", default="", choices=["", "avx2"], help="restrict everybody to an instruction set")
parser.add_argument("--binary", default="./retnet")
a = parser.parse_args()
HERE = os.path.dirname(os.path.abspath(__file__))
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "RETNET_KERNELS": "avx2",
}


def run(command, isa=None):
    environment = dict(os.environ, **(AVX2 if (isa or a.isa) == "avx2" else {}))
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        return {"error": (result.stderr.strip().splitlines() or ["no message"])[-1][:160]}
    return json.loads(result.stdout[result.stdout.index("{"):])


def retnet(kind, *options, dtype=None, isa=None):
    """One measurement of this package."""
    command = [a.binary, "bench", kind, "--dtype", dtype or a.dtype, "--threads", a.threads, "--json"]
    return lambda: run(command + ["--repetitions", a.repetitions, *options], isa)


def peer(*options, dtype=None):
    """One measurement of a peer."""
    command = [sys.executable, os.path.join(HERE, "peers.py"), *options, "--dtype", dtype or a.dtype]
    return lambda: run(command + ["--threads", a.threads, "--repetitions", a.repetitions])


def processor():
    with open("/proc/cpuinfo") as file:
        text = file.read()
    field = lambda name: next((l.split(":")[1].strip() for l in text.splitlines() if l.startswith(name)), "?")
    flags = field("flags").split()
    best = next((name for flag, name in [
        ("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16"), ("avx512f", "AVX-512"), ("avx2", "AVX2"),
    ] if flag in flags), "?")
    family = f"family {field('cpu family')}, model {field('model')[-3:].strip()}"
    return f"{field('model name')} ({family}), {best}" + (", restricted to AVX2" if a.isa == "avx2" else "")


def measured(group, row, entries):
    """Runs the entries of a row in turns, the order reversed in every other round, and records the medians."""
    found = {name: [] for name in entries}
    for number in range(a.rounds):
        for name in list(entries)[:: 1 if number % 2 == 0 else -1]:
            result = entries[name]()
            found[name].append(result)
            shown = result.get("error") or f"{result['seconds_median'] * 1000:10.1f} ms"
            print(f"{group} | {row} | {name}: {shown}", flush=True)
    record = {
        "group": group, "row": row, "dtype": a.dtype, "processor": processor(), "threads": a.threads,
        "date": datetime.date.today().isoformat(), "entries": {},
    }
    for name, results in found.items():
        good = [result for result in results if "error" not in result]
        if not good:
            record["entries"][name] = results[0]
            continue
        record["entries"][name] = {
            key: statistics.median(result[key] for result in good)
            for key in [
                "seconds_median", "tokens_per_second", "peak_bytes", "step_over_products", "products_flops",
                "products_seconds_median",
            ] if all(key in result for result in good)
        }
    with open(a.out, "a") as file:
        file.write(json.dumps(record) + "\n")


def train(preset, batch, length, *options, **others):
    return retnet("train", "--preset", preset, "--batch", batch, "--length", length, "--warmup", 2, *options, **others)


def small():
    for preset in PRESETS:
        measured("small", f"{preset}, 8 × 512", {"retnet": train(preset, 8, 512)})


def step():
    size = ["--width", 512, "--layers", 6, "--heads", 2, "--batch", 8, "--length", 512]
    measured("step", "retnet-22m, 8 × 512", {
        "retnet": train("retnet-22m", 8, 512),
        "torchscale": peer("train", "torchscale", *size),
        "torchscale compiled": peer("train", "torchscale", "--form", "compiled", *size),
        "torchscale chunkwise": peer("train", "torchscale", "--form", "chunkwise", *size),
    })
    measured("step", "transformer-22m, 8 × 512", {
        "retnet": train("transformer-22m", 8, 512),
        "PyTorch SDPA": peer("train", "transformer", *size[:-6], "--heads", 8, *size[-4:]),
    })


def large():
    size = ["--width", 1024, "--layers", 16, "--heads", 4, "--vocabulary", 32000, "--length", 2048, "--warmup", 1]
    measured("large", "200M, vocabulary 32,000, 1 × 2,048", {
        "retnet": train("retnet-200m", 1, 2048),
        "torchscale": peer("train", "torchscale", *size),
        "torchscale chunkwise": peer("train", "torchscale", "--form", "chunkwise", *size),
    })


def operator():
    for heads, key, value in [(2, 256, 512), (8, 64, 128)]:
        for length in [2048, 8192]:
            sizes = ["--heads", heads, "--length", length]
            ours = ["--key-size", key, "--value-size", value]
            theirs = ["operator", *sizes, "--key", key, "--value", value]
            measured("operator", f"{heads} heads of {key} × {value}, length {length:,}", {
                "retnet": retnet("retention", *sizes, *ours),
                "PyTorch parallel": peer(*theirs),
                "PyTorch parallel compiled": peer(*theirs, "--form", "compiled"),
                "PyTorch chunkwise": peer(*theirs, "--form", "chunkwise"),
            })


def lengths():
    for batch, length in [(8, 512), (2, 2048), (1, 8192)]:
        measured("lengths", f"22M, {batch} × {length:,}", {
            "retnet": train("retnet-22m", batch, length),
            "our Transformer": train("transformer-22m", batch, length),
        })


def long():
    for length in [16384, 65536]:
        size = ["--width", 320, "--layers", 6, "--heads", 5, "--length", length, "--warmup", 1]
        measured("long", f"retnet-8m, 1 × {length:,}", {
            "retnet": train("retnet-8m", 1, length, "--steps-only"),
            "torchscale chunkwise": peer("train", "torchscale", "--form", "chunkwise", *size),
        })


def prefill():
    size = ["--width", 1024, "--layers", 16, "--vocabulary", 32000, "--length", 8192, "--warmup", 1]
    measured("prefill", "200M, 8,192 tokens", {
        "retnet": retnet("prefill", "--preset", "retnet-200m", "--length", 8192),
        "torchscale chunkwise": peer("prefill", "torchscale", "--form", "chunkwise", "--heads", 4, *size),
        "PyTorch SDPA": peer("prefill", "transformer", "--heads", 8, *size),
    })


def mixers():
    listing = subprocess.run([a.binary, "presets"], capture_output=True, text=True).stdout
    names = [name for mixer in MIXERS if f"{(name := mixer + '-22m')} " in listing]
    measured("mixers", "22M, 8 × 512", {name: train(name, 8, 512, "--steps-only") for name in names})


def types():
    for preset in ["retnet-3m", "retnet-22m"]:
        measured("types", f"{preset}, 8 × 512, AVX2 only", {
            "bfloat16": train(preset, 8, 512, "--steps-only", dtype="bfloat16", isa="avx2"),
            "float32": train(preset, 8, 512, "--steps-only", dtype="float32", isa="avx2"),
        })


def shown(entry):
    if "error" in entry:
        return "failed: " + entry["error"]
    text = f"{entry['tokens_per_second']:,.0f} tokens/s"
    if "step_over_products" in entry:
        text += f", {entry['step_over_products']:.2f} of its products"
    if "peak_bytes" in entry:
        text += f", {entry['peak_bytes'] / 2**30:.1f} GiB"
    return text


def table():
    with open(a.out) as file:
        records = [json.loads(line) for line in file]
    print("| what | type | measured | tokens/s, over the first |\n| --- | --- | --- | ---: |")
    for record in records:
        entries = record["entries"]
        first = next(iter(entries.values()))
        for index, (name, entry) in enumerate(entries.items()):
            ratio = ""
            if index and "error" not in entry and "error" not in first:
                ratio = f"{entry['tokens_per_second'] / first['tokens_per_second']:.2f}"
            what = record["row"] if index == 0 else ""
            print(f"| {what} | {record['dtype'] if index == 0 else ''} | {name}: {shown(entry)} | {ratio} |")
    for place in sorted({f"{r['processor']}, {r['threads']} threads, {r['date']}" for r in records}):
        print(f"\n{place}")


if a.list:
    for name, (what, minutes) in GROUPS.items():
        print(f"{name:10} {minutes:2} min  {what}")
unknown = [name for name in a.groups if name not in GROUPS]
if unknown:
    parser.error(f"unknown groups {', '.join(unknown)}; there are {', '.join(GROUPS)}")
for name in a.groups:
    globals()[name]()
if a.print:
    table()
