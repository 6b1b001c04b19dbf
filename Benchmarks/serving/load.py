"""Times of the server beside llama.cpp's: first token, tokens per second, time between tokens; in one run.

    pip install xllamacpp gguf numpy
    make server lite
    python Benchmarks/serving/load.py --folder models                       # all that is below: an hour on two cores
    python Benchmarks/serving/load.py --folder models --types int8 --streams 8 --prompts 4096 --servers retnet

The models are those of Benchmarks/llamacpp: random, retnet-200m and a Llama of as many parameters, weights of as many bits. For
every type, length and number of streams each server is started anew and asked, by as many clients as there are streams at once,

1. cold: a prompt of its own for each stream, one token: the time to that token, from the first byte sent;
2. warm: the same prompts with --tokens tokens: the server has their states or caches (llama.cpp in the slot of the
   stream), so that all streams generate. Tokens per second of all streams are counted from the moment when the last one has its
   first token to the moment when the first one ends; times between tokens are of that part, too;
3. stall: the same again while --intruders clients, one after the other, send a prompt of 4,096 tokens that is new: the times between
   tokens of the running streams, and the time to the first token of the intruders. For llama.cpp one more slot is there for them.

With --one-prompt all streams are choices of one prompt (`n`), which is read once: what many streams of long prompts cost can
be measured without the time to read them all; both servers then copy what they have read.

The client takes part of the processor: about 30 µs per token. Written for xllamacpp 2026.10 (llama.cpp build 11549).
"""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../llamacpp"))
sys.path.insert(0, os.path.join(HERE, "../../Server/Tests/Soak"))

import decode  # noqa: E402
from client import Client  # noqa: E402

INTRUDER_LENGTH = 4096


def write_tokenizer(folder):
    """Writes a tokenizer for random weights: every token is a word."""
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        return
    # The letters of the 256 bytes as byte-level tokenizers write them.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    letters |= {byte: chr(256 + index) for index, byte in enumerate(b for b in range(256) if b not in letters)}
    names = [letters[byte] for byte in range(256)]
    names += [f"Ġt{index}" for index in range(decode.VOCABULARY - len(names))]
    value = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {name: i for i, name in enumerate(names)}, "merges": []},
    }
    with open(path, "w") as file:
        json.dump(value, file)


def models(options, kind):
    """Returns the model folder and the GGUF file of an element type, and writes them where they are missing."""
    os.makedirs(options.folder, exist_ok=True)
    path = lambda name: os.path.join(options.folder, f"{options.size}-{name}")
    for name in ("bfloat16", kind):
        folder = path(name)
        if os.path.exists(os.path.join(folder, "model.safetensors")):
            continue
        if name in ("bfloat16", "float32"):
            decode.write_retnet(folder, options.size, name)
        else:
            subprocess.run([options.lite, "quantize", "--model", path("bfloat16"), "--to", name, "--out", folder], check=True, stdout=subprocess.DEVNULL)
    write_tokenizer(path(kind))
    peer = path(kind) + ".gguf"
    if not os.path.exists(peer):
        decode.write_llama(peer + ".part", options.size, kind)
        os.rename(peer + ".part", peer)
    return path(kind), peer


class Server:
    """A server that runs while a case is measured."""

    def __init__(self, name, options, kind, streams, length):
        folder, peer = models(options, kind)
        self.is_peer = name == "llama.cpp"
        threads = str(options.threads)
        if self.is_peer:
            context = max(length, INTRUDER_LENGTH if options.intruders else 0) + options.tokens + 64
            command = [sys.executable, os.path.join(HERE, "llama_server.py"), peer, "--threads", threads,
                       "--parallel", str(streams + (1 if options.intruders else 0)), "--context", str(context)]
        else:
            command = [options.server, "--model", folder, "--port", "0", "--threads", threads, "--parallel", str(max(2, streams + 1)), "--queue", "256",
                       "--state-memory", options.state_memory, "--request-timeout", "3600", "--log-level", "error", "--state-dtype", options.state_type]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.url = None
        is_ready = self.is_peer
        tail = []
        for line in self.process.stdout:
            tail.append(line)
            # llama.cpp's own lines may stand in front of it.
            if "listening at " in line:
                self.url = line.split("listening at ")[1].split()[0]
            is_ready = is_ready or line.startswith("ready")
            if self.url and is_ready:
                break
        else:
            sys.exit(f"{name} did not start: {''.join(tail[-20:])}")
        # Nobody reads what comes later, and a full pipe would stop the server.
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        if "://" not in self.url:
            self.url = "http://" + self.url

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) / 2**20 for line in file if line.startswith("VmHWM"))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def prompt(seed, length):
    numbers = random.Random(seed)
    # Above the special tokens and the single bytes of both vocabularies.
    return [numbers.randrange(300, 31_000) for _ in range(length)]


async def generate(client, server, tokens, count, slot=None):
    """Returns the times of the start and of all tokens of one text."""
    body = {"prompt": tokens, "max_tokens": count, "ignore_eos": True, "temperature": 0, "stream": True, "cache_prompt": True}
    if server.is_peer:
        body |= {"id_slot": slot} if slot is not None else {}
    else:
        # Rates must not depend on words that are no whole characters; the chosen token is named in every event.
        body["stream_options"] = {"include_usage": True}
    start, times, usage = time.perf_counter(), [], None
    async for at, event in client.stream("/v1/completions", body):
        usage = event.get("usage") or usage
        if event.get("choices") and event["choices"][0].get("text"):
            times.append(at)
    if len(times) < count * 0.9:
        raise RuntimeError(f"{len(times)} events for {count} tokens: {usage}")
    return start, times


async def generate_choices(client, server, tokens, count, choices):
    """Returns the time of the start, and the times of all tokens of each of the texts that continue one prompt."""
    body = {"prompt": tokens, "max_tokens": count, "ignore_eos": True, "temperature": 1, "seed": 1, "stream": True, "n": choices}
    start, times = time.perf_counter(), [[] for _ in range(choices)]
    async for at, event in client.stream("/v1/completions", body):
        for choice in event.get("choices", []):
            if choice.get("text"):
                times[choice["index"]].append(at)
    if min(map(len, times)) < count * 0.8:
        raise RuntimeError(f"{[len(each) for each in times]} events for {count} tokens")
    return start, times


def between(all_times, begin, end):
    return [b - a for times in all_times for a, b in zip(times, times[1:]) if a >= begin and b <= end]


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def rates(times):
    """Tokens per second while all texts are generated, and the times between tokens."""
    begin, end = max(each[0] for each in times), min(each[-1] for each in times)
    count = sum(begin < at <= end for each in times for at in each)
    gaps = between(times, begin, end)
    return {"rate": count / (end - begin) if end > begin else float("nan"), "gap_median": quantile(gaps, 0.5), "gap_p99": quantile(gaps, 0.99)}


async def measure(server, options, streams, length, seed):
    client = Client(server.url)
    # Code and weights are in memory before anything counts.
    await generate(client, server, prompt(seed + 999, 32), 4, 0)
    if options.one_prompt:
        # Memory for as many texts has been used once.
        await generate_choices(client, server, prompt(seed + 998, 32), 4, streams)
        start, times = await generate_choices(client, server, prompt(seed, length), options.tokens, streams)
        first = [each[0] - start for each in times]
        return {"first_median": statistics.median(first), "first_largest": max(first), "warm_first_median": float("nan"),
                **rates(times), "memory_gib": server.memory()}
    prompts = [prompt(seed + index, length) for index in range(streams)]
    cold = await asyncio.gather(*(generate(client, server, tokens, 1, slot) for slot, tokens in enumerate(prompts)))
    first = [times[0] - start for start, times in cold]
    result = {"first_median": statistics.median(first), "first_largest": max(first)}
    warm = await asyncio.gather(*(generate(client, server, tokens, options.tokens, slot) for slot, tokens in enumerate(prompts)))
    result |= {"warm_first_median": statistics.median(t[0] - s for s, t in warm), **rates([times for _, times in warm])}
    if options.intruders:
        result |= await stall(client, server, options, prompts, seed)
    result["memory_gib"] = server.memory()
    return result


async def stall(client, server, options, prompts, seed):
    """Times between tokens while new prompts are read."""
    waits = []

    async def intrude():
        await asyncio.sleep(0.5)
        begin = time.perf_counter()
        for number in range(options.intruders):
            start, times = await generate(client, server, prompt(seed + 5000 + number, INTRUDER_LENGTH), 1, len(prompts))
            waits.append(times[0] - start)
        return begin, time.perf_counter()

    tasks = [asyncio.create_task(stream_times(client, server, tokens, slot)) for slot, tokens in enumerate(prompts)]
    begin, end = await intrude()
    for task in tasks:
        task.cancel()
    found = [times for times in await asyncio.gather(*tasks)]
    gaps = between(found, begin, end)
    return {"stall_median": quantile(gaps, 0.5), "stall_p99": quantile(gaps, 0.99), "intruder_first": statistics.median(waits)}


async def stream_times(client, server, tokens, slot):
    """The times of an endless text's tokens until it is cancelled."""
    body = {"prompt": tokens, "max_tokens": 4000, "ignore_eos": True, "temperature": 0, "stream": True, "cache_prompt": True}
    if server.is_peer:
        body["id_slot"] = slot
    times = []
    try:
        async for at, event in client.stream("/v1/completions", body):
            if event.get("choices") and event["choices"][0].get("text"):
                times.append(at)
    except (asyncio.CancelledError, RuntimeError):
        pass
    return times


def main():
    numbers = lambda text: [int(x) for x in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, help="where models are kept: 2 GB")
    parser.add_argument("--size", choices=decode.SIZES, default="200m")
    parser.add_argument("--types", default="int8,bfloat16")
    parser.add_argument("--streams", type=numbers, default=[1, 8, 64])
    parser.add_argument("--prompts", type=numbers, default=[32, 4096])
    parser.add_argument("--servers", default="retnet,llama.cpp")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--one-prompt", action="store_true", help="all streams continue one prompt")
    parser.add_argument("--intruders", type=int, default=0)
    parser.add_argument("--state-type", default="float32", help="--state-dtype of ours")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--server", default=os.path.join(HERE, "../../retnet-server"))
    parser.add_argument("--lite", default=os.path.join(HERE, "../../retnet-lite"))
    parser.add_argument("--state-memory", default="6144", help="MiB for states that ours keeps: 64 streams have 64 prompts and texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="file to which results are added, a line each")
    parser.add_argument("--prepare", action="store_true", help="only write the models")
    options = parser.parse_args()
    # A program that is ended takes its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.prepare:
        for kind in options.types.split(","):
            models(options, kind)
        return
    print("| weights | prompt | streams | server | first token, median and largest | from a kept state | tokens/s | between tokens, median and p99 |"
          + (" while prompts are read | prompt meanwhile |" if options.intruders else "") + " memory |")
    print("|" + "---|" * (11 if options.intruders else 9), flush=True)
    for kind in options.types.split(","):
        for length in options.prompts:
            for streams in options.streams:
                for name in options.servers.split(","):
                    server = Server(name, options, kind, streams, length)
                    try:
                        found = asyncio.run(measure(server, options, streams, length, options.seed))
                    finally:
                        server.close()
                    milliseconds = lambda value: f"{1000 * value:.0f} ms" if value < 10 else f"{value:.0f} s"
                    cells = [kind, length, streams, name, f"{milliseconds(found['first_median'])}, {milliseconds(found['first_largest'])}", milliseconds(found["warm_first_median"]),
                             f"{found['rate']:.1f}", f"{1000 * found['gap_median']:.1f} and {1000 * found['gap_p99']:.1f} ms"]
                    if options.intruders:
                        cells += [f"{1000 * found['stall_median']:.1f} and {1000 * found['stall_p99']:.1f} ms", milliseconds(found["intruder_first"])]
                    print("| " + " | ".join(map(str, cells + [f"{found['memory_gib']:.2f} GiB"])) + " |", flush=True)
                    if options.json:
                        with open(options.json, "a") as file:
                            file.write(json.dumps({"weights": kind, "prompt": length, "streams": streams, "server": name, **found}) + "\n")


if __name__ == "__main__":
    main()
