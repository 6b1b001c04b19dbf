"""Conversations of 100,000 tokens: the second turn's first token, and many of them at once in how much memory.

    python Benchmarks/serving/long.py --folder models [--length 100000] [--conversations 64] [--type int8] [--state-type float32]

One conversation is read and its state named. Then (1) a second turn with 32 new tokens is sent as a whole prompt: the server has to find the
state of its beginning by itself; (2) as many conversations as asked for begin at forks of the state, differ from their first
token on, and generate at the same time. Printed: time to the first token of both turns and of a prompt of 32 tokens alone, tokens per
second of all, and the largest memory of the server, weights included.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time

import load
from client import Client


async def measure(server, options):
    client = Client(server.url)
    history = load.prompt(1, options.length)
    await load.generate(client, server, load.prompt(2, 32), 4)
    short = []
    for number in range(5):
        start, times = await load.generate(client, server, load.prompt(10 + number, 32), 1)
        short.append(times[0] - start)
    start = time.perf_counter()
    status, answer = await client.post("/v1/completions", {
        "prompt": history, "max_tokens": 0, "save_state": "long", "replace_state": True})
    if status != 200:
        sys.exit(f"the first turn failed: {answer}")
    first = time.perf_counter() - start
    size = answer["state"]["bytes"]
    second = []
    for number in range(5):
        start, times = await load.generate(client, server, history + load.prompt(100 + number, 32), 1)
        second.append(times[0] - start)

    async def fork(number):
        body = {"state": "long", "prompt": load.prompt(1000 + number, 32), "max_tokens": options.tokens, "ignore_eos": True, "temperature": 0,
                "stream": True}
        return [at async for at, event in client.stream("/v1/completions", body) if event.get("choices") and event["choices"][0]["text"]]

    times = await asyncio.gather(*(fork(number) for number in range(options.conversations)))
    begin, end = max(each[0] for each in times), min(each[-1] for each in times)
    if end <= begin:
        sys.exit("the first conversation ended before the last one began: give more --tokens")
    count = sum(begin < at <= end for each in times for at in each)
    gaps = load.between(times, begin, end)
    return {
        "tokens": options.length, "state_bytes": size, "first_turn": first, "second_turn_first_token": statistics.median(second),
        "short_prompt_first_token": statistics.median(short), "conversations": options.conversations, "rate": count / (end - begin),
        "gap_median": load.quantile(gaps, 0.5), "gap_p99": load.quantile(gaps, 0.99), "memory_gib": server.memory()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--size", default="200m")
    parser.add_argument("--type", default="int8")
    parser.add_argument("--length", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=192, help="of each; the last conversation must begin before the first one ends")
    parser.add_argument("--state-type", default="float32")
    parser.add_argument("--state-memory", default="1024", help="MiB for states that are kept")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--server", default=os.path.join(load.HERE, "../../retnet-server"))
    parser.add_argument("--lite", default=os.path.join(load.HERE, "../../retnet-lite"))
    options = parser.parse_args()
    options.intruders = 0
    server = load.Server("retnet", options, options.type, options.conversations, options.length)
    try:
        print(json.dumps(asyncio.run(measure(server, options)), indent=1))
    finally:
        server.close()


if __name__ == "__main__":
    main()
