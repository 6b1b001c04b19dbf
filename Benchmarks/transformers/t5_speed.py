"""Speed of T5 beside Transformers on the same cores: training steps and decoding."""

import argparse
import json
import statistics
import subprocess
import time

import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.utils import logging

logging.set_verbosity_error()
parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["train", "decode"])
parser.add_argument("--version", choices=["v1.0", "v1.1"], default="v1.0", help="small, 6+6 or 8+8 layers")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--target-length", type=int, default=114)
parser.add_argument("--beams", type=int, default=1)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa", help="of Transformers")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3, help="alternations of the two")
parser.add_argument("--repetitions", type=int, default=5, help="timed runs in each")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
SIZES = {
    "v1.0": dict(d_model=512, num_heads=8, d_ff=2048, num_layers=6, feed_forward_proj="relu"),
    "v1.1": dict(
        d_model=512, num_heads=6, d_ff=1024, num_layers=8, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
}
tokens = arguments.batch * (arguments.target_length + (arguments.length if arguments.what == "train" else 0))


def build():
    torch.manual_seed(0)
    configuration = T5Config(
        vocab_size=32128, d_kv=64, dropout_rate=arguments.dropout, decoder_start_token_id=0, **SIZES[arguments.version],
    )
    configuration._attn_implementation = arguments.attention
    model = T5ForConditionalGeneration(configuration)
    if arguments.version == "v1.1":
        model.lm_head.weight = torch.nn.Parameter(torch.randn(32128, 512) * 512**-0.5)
    return model


def timed(step, warmup=2):
    times = []
    for index in range(arguments.repetitions + warmup):
        start = time.perf_counter()
        step()
        if index >= warmup:
            times.append(time.perf_counter() - start)
    return tokens / statistics.median(times)


def transformers_train():
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    source = torch.randint(0, 32128, (arguments.batch, arguments.length))
    target = torch.randint(0, 32128, (arguments.batch, arguments.target_length))

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
            loss = model(input_ids=source, labels=target).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()

    return timed(step)


@torch.no_grad()
def transformers_decode():
    model = build().eval().to(getattr(torch, arguments.dtype))
    source = torch.randint(2, 32128, (arguments.batch, arguments.length))
    count = arguments.target_length

    def step():
        # No end token: every run generates as much.
        model.generation_config.eos_token_id = None
        output = model.generate(
            input_ids=source, max_new_tokens=count, min_new_tokens=count, do_sample=False, num_beams=arguments.beams
        )
        assert output.shape[1] == count + 1

    return timed(step)


def retnet():
    preset = "t5-small" if arguments.version == "v1.0" else "t5-v1.1-small"
    command = f"./retnet bench t5 --preset {preset} --batch {arguments.batch} --input-length {arguments.length}"
    command += f" --target-length {arguments.target_length} --dtype {arguments.dtype} --threads {arguments.threads}"
    command += f" --repetitions {arguments.repetitions} --warmup 2 --json --dropout {arguments.dropout}"
    if arguments.what == "decode":
        command += f" --decode --beams {arguments.beams}"
    output = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    return json.loads(output)["tokens_per_second"]


peer = transformers_train if arguments.what == "train" else transformers_decode
ours, theirs = [], []
for round_number in range(arguments.rounds):
    # Both orders, so that a drift of the machine favours neither.
    for measure, results in [(retnet, ours), (peer, theirs)][:: 1 if round_number % 2 == 0 else -1]:
        results.append(measure())
        print(f"{measure.__name__:>20} {results[-1]:8.1f} tokens/s", flush=True)
ratios = [a / b for a, b in zip(ours, theirs)]
print(f"medians: retnet {statistics.median(ours):.1f}, transformers {statistics.median(theirs):.1f} tokens/s")
print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
