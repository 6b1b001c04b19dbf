"""Puts retnet's tokenizers beside Hugging Face's library `tokenizers`: loading, encoding, decoding and training.

Usage: python compare.py TOKENIZER_JSON TEXT [--retnet PATH] [--rounds N] [--vocabulary N] [--no-training]

Both run on the same processor, one after the other, pinned to one core; each round has them in both orders. Times are
medians over all rounds. Ids of both are compared, and so are the merges of the trained byte pairs. The two unigram trainings
differ in their seeds and cuts, so that only the number of their pieces is compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown processor")


def median(body, repetitions=3):
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        result = body()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def run(arguments):
    return json.loads(subprocess.check_output(arguments))


class Ours:
    name = "retnet"

    def __init__(self, options):
        self.options = options

    def code(self):
        found = run([self.options.retnet, "bench", "tokenizer", "--tokenizer", self.options.tokenizer,
                     "--data", self.options.text, "--repetitions", "3", "--json"])
        size = found["bytes"] / 1e6
        return {"loading": found["load_seconds"], "encoding": size / found["encode_mb_per_second"],
                "line by line": size / found["encode_lines_mb_per_second"],
                "decoding": size / found["decode_mb_per_second"]}, (found["tokens"], found["line_tokens"])

    def train(self, kind):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out")
            found = run([self.options.retnet, "tokenizer", "train", "--kind", kind, "--vocabulary",
                         str(self.options.vocabulary), "--data", self.options.text, "--out", out, "--json"])
            with open(os.path.join(out, "tokenizer.json"), encoding="utf-8") as file:
                model = json.load(file)["model"]
        return found["seconds"], model


class Theirs:
    name = "tokenizers"

    def __init__(self, options):
        self.options = options
        with open(options.text, encoding="utf-8", newline="") as file:
            self.text = file.read()

    def code(self):
        lines = self.text.split("\n")
        load, tokenizer = median(lambda: Tokenizer.from_file(self.options.tokenizer))
        tokenizer.encode(self.text, add_special_tokens=False)
        whole, encoding = median(lambda: tokenizer.encode(self.text, add_special_tokens=False))
        each, encodings = median(lambda: [tokenizer.encode(line, add_special_tokens=False) for line in lines])
        decode, _ = median(lambda: tokenizer.decode(encoding.ids))
        return ({"loading": load, "encoding": whole, "line by line": each, "decoding": decode},
                (len(encoding.ids), sum(len(line.ids) for line in encodings)))

    def train(self, kind):
        special = ["<|endoftext|>", "<|padding|>"]
        options = dict(vocab_size=self.options.vocabulary, special_tokens=special, show_progress=False,
                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        if kind == "bpe":
            tokenizer, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer(min_frequency=2, **options)
        else:
            tokenizer, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer(**options)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        start = time.perf_counter()
        # From the file on, as the other side.
        with open(self.options.text, encoding="utf-8", newline="") as file:
            tokenizer.train_from_iterator([file.read()], trainer)
        seconds = time.perf_counter() - start
        return seconds, json.loads(tokenizer.to_str())["model"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer")
    parser.add_argument("text")
    parser.add_argument("--retnet", default="./retnet")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    # Children inherit it.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sides = [Ours(options), Theirs(options)]
    times, counts, trained = {}, {}, {}
    for round in range(options.rounds):
        for side in sides + sides[::-1]:
            found, counts[side.name] = side.code()
            for key, seconds in found.items():
                times.setdefault(key, {}).setdefault(side.name, []).append(seconds)
    if not options.no_training:
        for kind in ["bpe", "unigram"]:
            for side in sides + sides[::-1]:
                seconds, trained[side.name, kind] = side.train(kind)
                times.setdefault(f"training {kind}", {}).setdefault(side.name, []).append(seconds)
    assert counts["retnet"] == counts["tokenizers"], counts
    size = os.path.getsize(options.text) / 1e6
    print(f"{processor()}, one core; tokenizers {tokenizers.__version__}; {size:.1f} MB of text, "
          f"{counts['retnet'][0]} tokens on both sides; medians of {2 * options.rounds} turns in both orders")
    print(f"{'':30}{'retnet':>12}{'tokenizers':>12}{'times':>8}")
    for key, found in times.items():
        ours, theirs = (statistics.median(found[side.name]) for side in sides)
        is_speed = key in ("encoding", "line by line", "decoding")
        shown = [size / ours, size / theirs] if is_speed else [ours, theirs]
        unit = "MB/s" if is_speed else "s"
        digits = 1 if is_speed else 3
        print(f"{key + ', ' + unit:30}{shown[0]:12.{digits}f}{shown[1]:12.{digits}f}{theirs / ours:8.1f}")
    if trained:
        ours, theirs = trained["retnet", "bpe"], trained["tokenizers", "bpe"]
        merges = [[list(pair) for pair in model["merges"]] for model in (ours, theirs)]
        print(f"merges of byte pairs: {len(merges[0])} and {len(merges[1])}, {'equal' if merges[0] == merges[1] else 'different'}")
        sizes = [len(trained[side.name, 'unigram']['vocab']) for side in sides]
        print(f"pieces of the unigram models: {sizes[0]} and {sizes[1]}")


main()
