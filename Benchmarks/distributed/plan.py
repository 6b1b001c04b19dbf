"""What training would cost on many GPUs, on paper: message sizes of `retnet info --mesh` over published rates of networks.

Prints a table in Markdown for retnet-1.3b, 6.7b and 13b with the paper's steps of 4M tokens. Nothing is run but `info`. Figures
marked *published* are those of other authors; *assumed* ones are ours and can be changed by options. Run it from the root.
"""

import argparse
import itertools
import json
import math
import subprocess

# Published: NVIDIA's data sheets of H100 SXM and A100 SXM 80 GB (dense bfloat16 FLOP/s, bytes, NVLink in both directions), and of
# DGX H100 and DGX A100 (one network adapter of 400 and 200 Gbit/s for each GPU).
GPUS = {
    "h100": {"flops": 989e12, "memory": 80e9, "nvlink": 900e9 / 2, "network": 400e9 / 8, "node": 8},
    "a100": {"flops": 312e12, "memory": 80e9, "nvlink": 600e9 / 2, "network": 200e9 / 8, "node": 8},
}
LENGTH = 2048


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", choices=GPUS, default="h100")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 1024])
    parser.add_argument("--rows", type=int, default=2048, help="rows of a step; 2048 are the paper's 4M tokens")
    parser.add_argument("--models", nargs="+", default=["retnet-1.3b", "retnet-6.7b", "retnet-13b"])
    # Published: 38 to 43 % of the peak in training Llama 3 on 8,192 to 16,384 H100 (arXiv 2407.21783, table 4), communication
    # included; 44 to 52 % on A100 (arXiv 2104.04473).
    parser.add_argument("--utilization", type=float, default=0.45, help="assumed share of the peak without communication")
    parser.add_argument("--link", type=float, default=0.8, help="assumed share of a link's rate that collectives reach")
    parser.add_argument("--hop", type=float, default=1e-5, help="assumed seconds of a hop; a sum takes twice log2(ranks) hops")
    parser.add_argument("--reduction", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--bucket", type=int, default=64, help="megabytes of gradients that travel together")
    parser.add_argument("--binary", default="./retnet")
    return parser.parse_args()


def info(options, model, data, tensor, rows, recomputes):
    settings = {
        "precision": "bfloat16",
        "data.length": LENGTH,
        "data.batch_size": data * rows,
        "accumulation": options.rows // (data * rows),
        "distributed.shard_optimizer": "true",
        "distributed.reduction": options.reduction,
        "distributed.bucket_megabytes": options.bucket,
        "recompute_activations": "true" if recomputes else "false",
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = [options.binary, "info", "--preset", model, "--mesh", f"data={data},tensor={tensor}", "--json", *changes]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def estimate(options, tree, data, tensor, recomputes):
    """Seconds of a step: products, what waits for sums of activations, for gradients, and for updated parameters."""
    gpu = GPUS[options.gpu]
    products = tree["flops_per_step"] / (options.utilization * gpu["flops"]) * (4 / 3 if recomputes else 1)

    def seconds(traffic, ranks, rate):
        hops = 2 * math.ceil(math.log2(ranks)) if ranks > 1 else 0
        return traffic["sent_bytes"] / (options.link * rate) + traffic["messages"] * hops * options.hop

    layers = gradients = parameters = 0
    # Copies within one machine use its links; otherwise the network is the slowest part of every ring.
    between = gpu["nvlink"] if data * tensor <= gpu["node"] else gpu["network"]
    for traffic in tree["traffic"]:
        if traffic["axes"] == ["tensor"]:
            layers += seconds(traffic, tensor, gpu["nvlink"])
        elif traffic["name"].startswith("gradients"):
            gradients += seconds(traffic, data, between)
        else:
            parameters += seconds(traffic, data, between)
    # Gradients travel during the backward pass of the last pass of a step.
    hidden = products / tree["passes"] * 2 / 3
    return products, layers, max(0, gradients - hidden), parameters


def main():
    options = arguments()
    gpu = GPUS[options.gpu]
    print("| model | GPUs | mesh | rows a pass | memory | products | activations | gradients | parameters | efficiency |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for model, ranks in itertools.product(options.models, options.ranks):
        best = None
        for tensor, rows, recomputes in itertools.product([1, 2, 4, 8], [1, 4], [False, True]):
            data = ranks // tensor
            if ranks % tensor or data * rows > options.rows:
                continue
            try:
                tree = info(options, model, data, tensor, rows, recomputes)
            except subprocess.CalledProcessError:
                continue  # heads that do not divide
            # A tenth of the memory for LibTorch, its caches and the fragments between.
            if tree["total_bytes"] > 0.9 * gpu["memory"]:
                continue
            parts = estimate(options, tree, data, tensor, recomputes)
            useful = parts[0] * (3 / 4 if recomputes else 1)
            entry = (sum(parts), useful, parts, data, tensor, rows, recomputes, tree)
            if best is None or entry[0] < best[0]:
                best = entry
        if best is None:
            print(f"| {model} | {ranks:,} | none fits | | | | | | | |")
            continue
        total, useful, parts, data, tensor, rows, recomputes, tree = best
        cells = [f"{part * 1e3:,.0f} ms" for part in parts]
        print(
            f"| {model} | {ranks:,} | data={data},tensor={tensor} | {rows}{', recomputed' if recomputes else ''} |"
            f" {tree['total_bytes'] / 1e9:.0f} GB | {' | '.join(cells)} | {useful / total:.0%} |"
        )


if __name__ == "__main__":
    main()
