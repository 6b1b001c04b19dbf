"""Training speed beside torchscale: 19M parameters, batch 8 of length 512, bfloat16."""

import argparse
import json
import statistics
import subprocess
import time

import torch
from peer import decoder

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3, help="alternations of the two")
parser.add_argument("--repetitions", type=int, default=5, help="timed steps in each")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--chunk", type=int, default=0, help="torchscale's chunk length; 0 is its parallel form")
parser.add_argument("--form", default="chunkwise:128", help="the form of retnet")
arguments = parser.parse_args()
BATCH, LENGTH = 8, 512
torch.set_num_threads(arguments.threads)


def torchscale_speed():
    # A gated feed-forward of 683 has the parameters of the plain one of 1024: 12 d^2 a block in both.
    model = decoder(512, 1024, 683, 6, 2)
    if arguments.chunk:
        model.chunkwise_recurrent = True
        model.recurrent_chunk_size = model.retnet_rel_pos.recurrent_chunk_size = arguments.chunk
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    tokens, targets = (torch.randint(0, 256, (BATCH, LENGTH)) for _ in range(2))
    times = []
    for step in range(arguments.repetitions + 2):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, _ = model(tokens)
            loss = torch.nn.functional.cross_entropy(logits.float().view(-1, 256), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= 2:
            times.append(time.perf_counter() - start)
    return BATCH * LENGTH / statistics.median(times)


def retnet_speed():
    command = f"./retnet bench train --preset retnet-22m --batch {BATCH} --length {LENGTH} --dtype bfloat16"
    command += f" --threads {arguments.threads} --form {arguments.form}"
    command += f" --repetitions {arguments.repetitions} --warmup 2 --json"
    output = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    return json.loads(output)["tokens_per_second"]


ours, theirs = [], []
for round_number in range(arguments.rounds):
    # Both orders, so that a drift of the machine favours neither.
    for measure, results in [(retnet_speed, ours), (torchscale_speed, theirs)][:: 1 if round_number % 2 == 0 else -1]:
        results.append(measure())
        print(f"{measure.__name__:>16} {results[-1]:8.0f} tokens/s", flush=True)
ratios = [a / b for a, b in zip(ours, theirs)]
print(f"medians: retnet {statistics.median(ours):.0f}, torchscale {statistics.median(theirs):.0f} tokens/s")
print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
