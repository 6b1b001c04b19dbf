#!/usr/bin/env python3
"""Hours of honest and of broken clients at once: memory stays flat, and no conversation sees another one's state.

Usage: soak.py [--server ../../../retnet-server] [--model ../Fixtures/story] [--seconds 3600] [--conversations 32] [--report FILE]

Every conversation has a name of its own in its first message: the canary. Its texts are drawn with a fixed seed, and its
log-probabilities are those of that conversation alone, which the program finds out first, one request at a time on an idle
server without kept states. Later, whatever else runs, each turn must give the same text and the same log-probabilities (bit
for bit when read from the beginning, to 1e-3 from a kept state). Meanwhile other clients leave while their prompt is read, leave
while text comes, read a byte a second, send half a request and wait, send too much, and send what is no HTTP, no UTF-8 or no
sensible JSON. A third of the way the server has reached its working size; after that, memory must not grow by more than
a tenth and 16 MiB, and at the end nothing may run. Ends with 1 where that fails. Needs nothing but Python.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from client import Client

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = "The fox sees the hen on the hill . A cat likes that dog by river under moon owl hears bee in barn near".split()
TURNS = 3


class Soak:
    def __init__(self, client, process, options):
        self.client, self.process, self.options = client, process, options
        self.counts = collections.Counter()
        self.faults = []
        self.samples = []
        self.references = {}
        self.end = None
        self.random = random.Random(options.seed)

    # Conversations with canaries

    def prompts(self, number):
        """The prompts of all turns of a conversation; each begins with the one before and its text."""
        words = random.Random(1000 + number)
        canary = "".join(words.choice("BCDFGHJKLMNPQRSTVWXZ0123456789") for _ in range(12))
        first = f"{canary}: " + " ".join(words.choice(WORDS) for _ in range(words.choice([10, 60, 400])))
        return [first] + [f" {canary} " + " ".join(words.choice(WORDS) for _ in range(12)) for _ in range(TURNS - 1)]

    def body(self, prompt, number, **more):
        return {"prompt": prompt, "max_tokens": 24, "temperature": 0.9, "seed": number, "logprobs": 1, "ignore_eos": True, **more}

    @staticmethod
    def outcome(answer):
        choice = answer["choices"][0]
        return choice["text"], choice["logprobs"]["token_logprobs"]

    async def reference(self, number):
        """Finds out what a conversation says when it is alone."""
        history, found = "", []
        for added in self.prompts(number):
            history += added
            status, answer = await self.client.post("/v1/completions", self.body(history, number, cache_prompt=False))
            assert status == 200, answer
            found.append((history, self.outcome(answer)))
            history += found[-1][1][0]
        self.references[number] = found

    def compare(self, number, turn, outcome, is_exact):
        text, scores = self.references[number][turn][1]
        differs = max((abs(a - b) for a, b in zip(scores, outcome[1])), default=0)
        limit = 0 if is_exact else 1e-3
        if text != outcome[0] or len(scores) != len(outcome[1]) or differs > limit:
            self.faults.append(f"conversation {number}, turn {turn}: '{outcome[0]}' for '{text}', scores differ by {differs:.1e}")
        self.counts["turns that were compared"] += 1

    async def patient(self, path, body):
        """Sends until the queue has room."""
        while True:
            status, answer = await self.client.post(path, body)
            if status != 429:
                return status, answer
            self.counts["answers 429"] += 1
            await asyncio.sleep(self.random.uniform(0.05, 0.4))

    async def conversation(self, number):
        name = f"soak-{number}"
        while time.monotonic() < self.end:
            kind = self.random.choice(["kept", "whole", "named", "stream"])
            for turn, (history, _) in enumerate(self.references[number]):
                body = self.body(history, number)
                if kind == "whole":
                    body["cache_prompt"] = False
                if kind == "named":
                    body |= {"save_state": name, "replace_state": True, "persist_state": turn == TURNS - 1}
                if kind == "stream":
                    outcome = await self.streamed(body)
                    if outcome is None:
                        break
                else:
                    status, answer = await self.patient("/v1/completions", body)
                    if status != 200:
                        self.faults.append(f"conversation {number}: {status} {json.dumps(answer)[:200]}")
                        return
                    outcome = self.outcome(answer)
                self.compare(number, turn, outcome, kind == "whole")
                if time.monotonic() > self.end:
                    break
            if kind == "named":
                status, state = await self.client.get(f"/v1/states/{name}")
                if status != 200:
                    self.faults.append(f"the state {name} is lost: {status}")
                await self.client.request("DELETE", f"/v1/states/{name}")
                self.counts["states named, saved and deleted"] += 1
            await asyncio.sleep(self.random.uniform(0, 0.3))

    async def streamed(self, body):
        text, scores = "", []
        try:
            async for _, event in self.client.stream("/v1/completions", body | {"stream": True}):
                choice = event["choices"][0]
                text += choice["text"]
                scores += choice["logprobs"]["token_logprobs"]
        except RuntimeError as error:
            if str(error).startswith("429"):
                self.counts["answers 429"] += 1
                return None
            self.faults.append(f"stream: {error}")
            return None
        return text, scores

    # Clients that misbehave

    def long_text(self):
        return f"{self.random.random()} " + " ".join(self.random.choice(WORDS) for _ in range(self.random.choice([50, 2000, 12000])))

    def endless(self):
        return {"prompt": self.long_text(), "max_tokens": 10_000_000, "ignore_eos": True, "stream": True}

    async def leave_while_reading(self):
        connection = await self.client.send("POST", "/v1/completions", self.endless())
        await asyncio.sleep(self.random.uniform(0, 0.05))
        connection.abort() if self.random.random() < 0.5 else await connection.close()

    async def leave_while_writing(self):
        connection = await self.client.send("POST", "/v1/completions", self.endless())
        try:
            await connection.head()
            if connection.status == 200:
                await asyncio.wait_for(connection.reader.read(self.random.randint(1, 20_000)), 5)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        connection.abort() if self.random.random() < 0.5 else await connection.close()

    async def read_slowly(self):
        connection = await self.client.send("POST", "/v1/completions", self.endless())
        try:
            for _ in range(self.random.randint(3, 15)):
                await connection.reader.read(1)
                await asyncio.sleep(1)
        except ConnectionError:
            pass
        connection.abort()

    async def half_a_request(self):
        connection = await self.client.connect()
        connection.writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
                                if self.random.random() < 0.5 else b"GET /hea")
        await asyncio.sleep(self.random.uniform(0.5, 10))
        connection.abort()

    async def nonsense(self):
        bodies = [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b'{"prompt": "\xff\xfe"}', b'{"prompt": "\\ud800"}', b'{"prompt": 1e999}',
                  b'{"prompt": "a", "max_tokens": -1}', b'{"prompt": [99999999999]}', b'{"prompt": "a", "n": 1000000}',
                  b'{"prompt": "a", "logit_bias": {"x": 1}}', os.urandom(2000), b"null", b'{"state": "../../etc/passwd"}',
                  b'{"messages": [{"role": "user", "content": {"a": []}}]}']
        path = self.random.choice(["/v1/completions", "/v1/chat/completions", "/v1/states", "/tokenize", "/detokenize"])
        status, answer = await self.client.request("POST", path, self.random.choice(bodies))
        if not 400 <= status < 500:
            self.faults.append(f"nonsense to {path}: {status} {str(answer)[:200]}")

    async def no_http(self):
        connection = await self.client.connect()
        connection.writer.write(self.random.choice([
            os.urandom(500), b"\r\n" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(500)) + b"\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"]))
        try:
            await asyncio.wait_for(connection.reader.read(1000), 3)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        connection.abort()

    async def too_much(self):
        connection = await self.client.connect()
        size = 8 << 20
        connection.writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size)
        try:
            connection.writer.write(b" " * size)
            await asyncio.wait_for(connection.writer.drain(), 5)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        connection.abort()

    async def misbehave(self):
        kinds = [self.leave_while_reading] * 4 + [self.leave_while_writing] * 4 + [self.read_slowly, self.half_a_request] * 2 + [
            self.nonsense] * 4 + [self.no_http] * 2 + [self.too_much]
        while time.monotonic() < self.end:
            kind = self.random.choice(kinds)
            try:
                await kind()
            except (ConnectionError, asyncio.IncompleteReadError, ValueError):
                self.counts["connections that the server closed"] += 1
            self.counts["misbehaviors: " + kind.__name__.replace("_", " ")] += 1
            await asyncio.sleep(self.random.uniform(0, 0.4))

    # Measurements

    def sample(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(os.listdir(f"/proc/{self.process.pid}/fd"))

    async def watch(self):
        start = time.monotonic()
        while time.monotonic() < self.end:
            status, health = await self.client.get("/health")
            if status != 200:
                self.faults.append(f"health: {status} {health}")
            _, metrics = await self.client.get("/metrics")
            malformed = [line for line in metrics.splitlines() if line and not re.fullmatch(r'#.*|[a-z0-9_]+(\{[^}]*\})? -?[0-9.e+-]+(inf|nan)?', line)]
            if malformed:
                self.faults.append(f"metrics: {malformed[0]}")
            self.samples.append((time.monotonic() - start, *self.sample()))
            await asyncio.sleep(min(5, self.options.seconds / 60))

    async def run(self):
        numbers = range(self.options.conversations)
        for number in numbers:
            await self.reference(number)
        distinct = len({self.references[number][0][1][1][0] for number in numbers})
        print(f"{len(numbers)} conversations alone: {distinct} different scores of their first tokens", flush=True)
        self.end = time.monotonic() + self.options.seconds
        await asyncio.gather(self.watch(), *(self.conversation(number) for number in numbers), *(self.misbehave() for _ in range(self.options.misbehaving)))
        limit = time.monotonic() + 90
        while True:
            _, health = await self.client.get("/health")
            if health["generating"] + health["reading"] + health["waiting"] == 0:
                break
            if time.monotonic() > limit:
                self.faults.append(f"requests run on without their clients: {health}")
                break
            await asyncio.sleep(0.2)
        # What was true at the beginning is true at the end.
        for number in list(numbers)[:8]:
            history = self.references[number][-1][0]
            _, answer = await self.client.post("/v1/completions", self.body(history, number, cache_prompt=False))
            self.compare(number, TURNS - 1, self.outcome(answer), True)
        return await self.report()

    async def report(self):
        third = self.options.seconds / 3
        settled = [memory for at, memory, _, _ in self.samples if third <= at < 2 * third]
        late = [memory for at, memory, _, _ in self.samples if at >= 2 * third]
        before, after = statistics.median(settled), statistics.median(late)
        if after > 1.1 * before + 16:
            self.faults.append(f"memory grows: {before:.0f} MiB in the second third, {after:.0f} MiB in the last one")
        _, metrics = await self.client.get("/metrics")
        value = lambda name: next((float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("retnet_" + name)), 0)
        report = {
            "seconds": self.options.seconds, "memory_mib": {"first": self.samples[0][1], "second_third": before, "last_third": after, "largest": max(s[1] for s in self.samples)},
            "threads": [min(s[2] for s in self.samples), max(s[2] for s in self.samples)],
            "open_files": {"largest": max(s[3] for s in self.samples), "at_the_end": self.sample()[2]},
            "prompt_tokens": value("prompt_tokens_total"), "generated_tokens": value("generation_tokens_total"),
            "counts": dict(sorted(self.counts.items())), "faults": len(self.faults),
        }
        print(json.dumps(report, indent=1))
        for fault in self.faults[:20]:
            print("fault:", fault, file=sys.stderr)
        if self.options.report:
            with open(self.options.report, "w") as file:
                json.dump(report | {"samples": self.samples}, file)
        return not self.faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", default=os.path.join(HERE, "../../../retnet-server"))
    parser.add_argument("--model", default=os.path.join(HERE, "../Fixtures/story"))
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--conversations", type=int, default=32)
    parser.add_argument("--misbehaving", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        with open(log, "w") as file:
            process = subprocess.Popen(
                [options.server, "--model", options.model, "--port", "0", "--threads", "1", "--parallel", "16", "--queue", "32", "--state-memory", "32",
                 "--state-dir", os.path.join(folder, "states"), "--log-level", "error"], stderr=file)
        try:
            url = None
            for _ in range(600):
                text = open(log).read()
                if "ready" in text and "listening" in text:
                    url = next(line for line in text.splitlines() if line.startswith("listening")).split()[-1]
                    break
                if process.poll() is not None:
                    sys.exit(f"the server has ended: {text}")
                time.sleep(0.05)
            is_good = asyncio.run(Soak(Client(url), process, options).run())
            if process.poll() is not None:
                sys.exit(f"the server has ended with {process.returncode}: {open(log).read()[-2000:]}")
        finally:
            process.terminate()
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
    if code != 0:
        sys.exit(f"the server ended with {code} at SIGTERM")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
