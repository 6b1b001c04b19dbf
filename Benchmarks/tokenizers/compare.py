"""Puts `retnet bench tokenizer` beside Hugging Face's library `tokenizers`, on one thread, on the same text.

Usage: python compare.py TOKENIZER_JSON TEXT [path of retnet]
"""

import json
import os
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers


def fastest(body, repetitions=3):
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        result = body()
        times.append(time.perf_counter() - start)
    return min(times), result


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown processor")


def main():
    path, data = sys.argv[1], sys.argv[2]
    command = sys.argv[3] if len(sys.argv) > 3 else "./retnet"
    ours = json.loads(subprocess.check_output(
        [command, "bench", "tokenizer", "--tokenizer", path, "--data", data, "--repetitions", "3", "--json"]))
    with open(data, encoding="utf-8", newline="") as file:
        text = file.read()
    size = len(text.encode()) / 1e6
    lines = text.split("\n")
    load, tokenizer = fastest(lambda: tokenizers.Tokenizer.from_file(path))
    whole, encoding = fastest(lambda: tokenizer.encode(text, add_special_tokens=False))
    each, encodings = fastest(lambda: [tokenizer.encode(line, add_special_tokens=False) for line in lines])
    decode, _ = fastest(lambda: tokenizer.decode(encoding.ids))
    assert len(encoding.ids) == ours["tokens"], (len(encoding.ids), ours["tokens"])
    assert sum(len(line.ids) for line in encodings) == ours["line_tokens"]
    print(f"{processor()}, tokenizers {tokenizers.__version__}, {size:.1f} MB of text, {ours['tokens']} tokens on both sides")
    print(f"{'':24}{'retnet':>12}{'tokenizers':>12}")
    print(f"{'loading, s':24}{ours['load_seconds']:12.3f}{load:12.3f}")
    print(f"{'encoding, MB/s':24}{ours['encode_mb_per_second']:12.1f}{size / whole:12.1f}")
    print(f"{'line by line, MB/s':24}{ours['encode_lines_mb_per_second']:12.1f}{size / each:12.1f}")
    print(f"{'decoding, MB/s':24}{ours['decode_mb_per_second']:12.1f}{size / decode:12.1f}")


main()
