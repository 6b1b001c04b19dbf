"""Training speed on two processes of one thread beside one process of two, and beside PyTorch's DDP over Gloo.

retnet-22m, batch 8 of length 512, float32; the other side is a RetNetDecoder of torchscale of the same size, or with
--transformer a plain Transformer of PyTorch where torchscale is missing. Run it from the root of the repository.

With --sequence 65536 262144 instead: speed and memory of one sequence of so many tokens on one process of two threads and
divided over two of one thread, with activations computed again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, LENGTH = 8, 512


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3, help="alternations")
    parser.add_argument("--steps", type=int, default=8, help="steps of each, of which the first two do not count")
    parser.add_argument("--transformer", action="store_true", help="DDP of a Transformer instead of torchscale's RetNet")
    parser.add_argument("--binary", default="./retnet")
    parser.add_argument("--shard", action="store_true", help="also measure the sharded optimizer")
    parser.add_argument("--tensor", action="store_true", help="also measure two ranks with parts of every layer")
    parser.add_argument("--sequence", type=int, nargs="*", metavar="TOKENS", help="measure sequences divided over ranks")
    parser.add_argument("--preset", default="retnet-22m", help="the model of --sequence")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def model_of(options, torch):
    if options.transformer:
        layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, 0.0, "gelu", batch_first=True, norm_first=True, bias=False)

        class Transformer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.Embedding(256, 512)
                self.blocks = torch.nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
                self.head = torch.nn.Linear(512, 256, bias=False)

            def forward(self, tokens):
                mask = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
                return self.head(self.blocks(self.embedding(tokens), mask=mask, is_causal=True)), None

        return Transformer()
    sys.path.insert(0, str(Path(__file__).parent.parent / "torchscale"))
    from peer import decoder

    return decoder(512, 1024, 683, 6, 2)


def ddp_rank(options):
    """One rank of DDP; rank 0 prints the tokens per second of all."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    world = int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(2 // world)
    model = model_of(options, torch)
    if world > 1:
        torch.distributed.init_process_group("gloo")
        model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    tokens, targets = (torch.randint(0, 256, (BATCH // world, LENGTH)) for _ in range(2))
    times = []
    for step in range(options.steps):
        start = time.perf_counter()
        logits, _ = model(tokens)
        torch.nn.functional.cross_entropy(logits.view(-1, 256), targets.view(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= 2:
            times.append(time.perf_counter() - start)
    if int(os.environ.get("RANK", "0")) == 0:
        print(json.dumps(BATCH * LENGTH / statistics.median(times)))


def ddp(options, world):
    command = [sys.executable, __file__, "--rank", "--steps", str(options.steps)]
    command += ["--transformer"] if options.transformer else []
    processes = []
    for rank in range(world):
        own = {"OMP_NUM_THREADS": str(2 // world)}
        if world > 1:
            own |= {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29655"}
        processes.append(subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate()[0] for process in processes]
    return json.loads(outputs[0])


def retnet(options, world, *settings, batch=BATCH, length=LENGTH, preset="retnet-22m"):
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_bytes(os.urandom(100_000 + length).hex().encode())
        command = [options.binary]
        command += ["launch", "-n", str(world), "--"] if world > 1 else []
        command += ["train", "--preset", preset, "--data", text, "--out", f"{folder}/run", "--device", "cpu"]
        command += ["--steps", str(options.steps), "--dtype", "float32", "--threads", str(2 // world)]
        changes = [f"data.batch_size={batch}", f"data.length={length}", "accumulation=1", "log.every=1", "sample.every=0"]
        changes += ["checkpoint.every=0", "data.validation_fraction=0", "form=chunkwise:128", *settings]
        for change in changes:
            command += ["--set", change]
        subprocess.run(command, check=True, capture_output=True)
        records = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl")]
        records = [record for record in records if "tokens_per_second" in record]
        times = [batch * length / record["tokens_per_second"] for record in records]
        ranks = [[json.loads(line) for line in open(path)] for path in Path(f"{folder}/run").glob("ranks/*.jsonl")]
        waited = [record["waited_seconds"] / record["seconds"] for rank in ranks for record in rank[3:]]
        memory = max(rank[-1]["peak_memory_bytes"] / 1e6 for rank in ranks or [records])
        note = f"{memory:.0f} MB a rank" if ranks else f"{memory:.0f} MB"
        if ranks:
            note = f"{statistics.median(waited):.1%} of the time waiting, {note}"
        return batch * length / statistics.median(times[min(2, len(times) - 1) :]), note


def sequences(options):
    """One row of so many tokens on one process, and in two parts."""
    for length in options.sequence:
        for world in (1, 2):
            settings = ["recompute_activations=true"] + (["distributed.mesh=sequence=2"] if world > 1 else [])
            speed, note = retnet(options, world, *settings, batch=1, length=length, preset=options.preset)
            print(f"{options.preset}, {length:7} tokens, {world} x {2 // world}: {speed:8.0f} tokens/s  {note}", flush=True)


def main():
    options = arguments()
    if options.rank:
        return ddp_rank(options)
    if options.sequence:
        return sequences(options)
    measures = {
        "retnet 1 x 2": lambda: retnet(options, 1),
        "retnet 2 x 1": lambda: retnet(options, 2),
        "PyTorch 1 x 2": lambda: (ddp(options, 1), ""),
        "DDP 2 x 1": lambda: (ddp(options, 2), ""),
    }
    if options.shard:
        measures["retnet 2 x 1 sharded"] = lambda: retnet(options, 2, "distributed.shard_optimizer=true")
    if options.tensor:
        measures["retnet 2 x 1, parts of layers"] = lambda: retnet(options, 2, "distributed.mesh=tensor=2")
    results = {name: [] for name in measures}
    for round_number in range(options.rounds):
        # Both orders, so that a drift of the machine favors none.
        for name in list(measures)[:: 1 if round_number % 2 == 0 else -1]:
            speed, note = measures[name]()
            results[name].append(speed)
            print(f"{name:>22} {speed:8.0f} tokens/s  {note}", flush=True)
    medians = {name: statistics.median(speeds) for name, speeds in results.items()}
    for name, speed in medians.items():
        print(f"median {name:>22} {speed:8.0f} tokens/s")
    print(f"two ranks of one thread against one of two: {medians['retnet 2 x 1'] / medians['retnet 1 x 2']:.2f}", end="")
    print(f"; DDP: {medians['DDP 2 x 1'] / medians['PyTorch 1 x 2']:.2f}")


main()
