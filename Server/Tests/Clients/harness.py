#!/usr/bin/env python3
"""lm-evaluation-harness over HTTP against `retnet eval tasks`: the same scores of the same documents.

Usage: harness.py --url http://127.0.0.1:8080 --model FOLDER --data FOLDER [--retnet ../../../retnet] [--tasks copa,piqa] [--limit 20]

The harness sends tokens without a begin token, so `retnet eval tasks` runs with `--add-bos no`. FOLDER of --model is the one that the server has; --data is described in Benchmarks/harness/README.md. Needs lm-eval, torch and
tenacity. Ends with 1 where accuracies differ or log-likelihoods differ by more than 1e-4 of their value.
"""

import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../Benchmarks/harness"))

import compare  # noqa: E402
import harness_tasks  # noqa: E402
from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--retnet", default=os.path.join(HERE, "../../../retnet"))
    parser.add_argument("--tasks", default="copa,piqa")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    options.model = os.path.abspath(options.model)
    model = LocalCompletionsAPI(
        base_url=options.url + "/v1/completions", model=os.path.basename(options.model),
        batch_size=options.batch, max_length=2048)
    print("tokenizer of the harness:", model.tokenizer_backend)
    failures = 0
    for name in options.tasks.split(","):
        files, convert = compare.SETS[name]
        documents, paths = {}, {}
        for split, file in files.items():
            documents[split] = [convert(d) for d in compare.read(os.path.join(options.data, file))]
            paths[split] = os.path.join(options.data, file)
        task = harness_tasks.task(name, documents)
        results, samples = compare.theirs(
            model, task, name, options.shots, options.limit, 0, 2048)
        with tempfile.TemporaryDirectory() as folder:
            own, own_samples, _ = compare.ours(
                options.retnet, options.model, name, paths, options.shots, options.limit, 0, 2048, ["--add-bos", "no"],
                folder)
        worst = 0.0
        ordered = sorted(samples, key=lambda s: s["doc_id"]), sorted(own_samples, key=lambda s: s["doc_id"])
        count = 0
        for theirs, ours in zip(*ordered):
            for a, b in zip(theirs["filtered_resps"], ours["filtered_resps"]):
                a, b = compare.number(a), compare.number(b)
                worst = max(worst, abs(a - b) / max(1, abs(b)))
                count += 1
        accuracies = {k: (results[k], own.get(k)) for k in results if k.startswith("acc") and "stderr" not in k}
        equal = all(abs(a - b) < 1e-12 for a, b in accuracies.values())
        failures += not equal or worst > 1e-4 or count == 0
        print(f"{name}: {count} scores, largest relative difference {worst:.1e}, accuracies",
              {k: a for k, (a, _) in accuracies.items()}, "equal" if equal else f"DIFFERENT: {accuracies}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
