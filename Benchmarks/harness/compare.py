"""Runs lm-evaluation-harness and `retnet eval tasks` on the same checkpoint and documents, and prints both columns.

    python compare.py --retnet ../../retnet --data DIR --tokenizer DIR [--model DIR] [--shots 0 2] [--limit 100]

Without --model a small Llama, GPT-2 or GPT-NeoX (--architecture; transformers) or RetNet of flash-linear-attention (--fla CHECKOUT) is made,
trained for a minute on the contexts of the tasks so that its answers are not noise (those of fla stay random), and saved as a
folder that both sides load. --tokenizer is a folder or file that transformers reads: tokenizer.model (SentencePiece) or
tokenizer.json. The tasks of the harness are its own YAML files over the local documents (harness_tasks.py).

Counts (acc, acc_norm) and their standard errors must be equal to the last digit, log-likelihoods to rounding. Every question in
which the two sides choose differently is printed with its scores. Ends with 1 if a figure differs without being a tie. The processor
time of scoring is printed beside: of the harness, its method `loglikelihood`, which encodes and scores; with --batch 1, its default,
every choice is a pass of its own.
"""

import argparse
import glob
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DISABLE_MULTIPROC", "1")

import torch  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from lm_eval.utils import make_table  # noqa: E402

import harness_tasks  # noqa: E402

# The fields of a result file that lm_eval 0.4.13 writes with its model "hf".
HARNESS_FIELDS = {
    "results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "git_hash", "date",
    "pretty_env_info", "transformers_version", "lm_eval_version", "upper_git_hash", "tokenizer_pad_token", "tokenizer_eos_token",
    "tokenizer_bos_token", "eot_token_id", "max_length", "task_hashes", "model_source", "model_name", "model_name_sanitized",
    "system_instruction", "system_instruction_sha", "fewshot_as_multiturn", "chat_template", "chat_template_sha",
    "total_evaluation_time_seconds",
}


def hellaswag(d):
    # This copy is cleaned already and keeps both parts of the context in one.
    return d if "ctx_a" in d else {"activity_label": d["activity_label"], "ctx_a": d["ctx"], "ctx_b": "",
                                   "endings": d["choices"], "label": str(d["label"])}


def wsc273(d):
    if "text" in d:
        return d
    place = d["sentence"].index("[MASK]")
    return {"text": d["sentence"], "pronoun": "[MASK]", "pronoun_loc": place,
            "options": [o[place:] for o in d["context_options"]], "label": d["gold"]}


def lambada(d):
    return d if "text" in d else {"text": d["context"] + " " + d["target"]}


def boolq(d):
    return {**d, "label": int(d["label"])}


def winogrande(d):
    return {**d, "answer": str(d["answer"])}


# Per task: the file of each split in --data, and the mapping of its documents to the fields of the data set.
SETS = {
    "hellaswag": ({"validation": "hellaswag_val.jsonl.gz", "train": "hellaswag_train5.jsonl"}, hellaswag),
    "boolq": ({"validation": "boolq_val.jsonl", "train": "boolq_train1000.jsonl"}, boolq),
    "copa": ({"validation": "copa_test.jsonl", "train": "copa_dev.jsonl"}, dict),
    "piqa": ({"validation": "piqa_valid.jsonl", "train": "piqa_train1000.jsonl"}, dict),
    "wsc273": ({"test": "wsc273.jsonl"}, wsc273),
    "winogrande": ({"validation": "winogrande_xl_dev.jsonl", "train": "winogrande_xl_train1000.jsonl"}, winogrande),
    "arc_easy": ({"test": "arc_easy_test.jsonl", "train": "arc_easy_train.jsonl"}, dict),
    "arc_challenge": ({"test": "arc_challenge_test.jsonl", "train": "arc_challenge_train.jsonl"}, dict),
    "openbookqa": ({"test": "openbookqa_test.jsonl", "train": "openbookqa_train.jsonl"}, dict),
    "sciq": ({"test": "sciq_test.jsonl", "train": "sciq_train.jsonl"}, dict),
    "lambada_openai": ({"test": "lambada_test.jsonl"}, lambada),
    # The harness looks at all splits of a task; only the test split is scored.
    "wikitext": ({split: "../lm/wikitext-2/test.txt" for split in ("train", "validation", "test")}, dict),
}


def read(path):
    """Returns the documents of a file: JSON lines, or WikiText's pages with headings ` = Title = `."""
    if not path.endswith(".txt"):
        return harness_tasks.read(path)
    pages = []
    for line in open(path, encoding="utf-8"):
        if re.fullmatch(r" = [^=].* = \n", line) or not pages:
            pages.append("")
        pages[-1] += line
    return [{"page": p} for p in pages if p.strip()]


def number(response):
    """Returns the log-likelihood of a response of either side: a pair, or a number for a text as a whole."""
    return float(response[0] if isinstance(response, (tuple, list)) else response)


def load_fla(checkout):
    """Makes flash-linear-attention's models known to transformers, with their kernels in Triton's interpreter."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity"))
    # The module takes the checkout from the first argument.
    arguments, sys.argv = sys.argv, [sys.argv[0], checkout]
    import fla_interpreter

    sys.argv = arguments
    from fla.models.retnet.modeling_retnet import RetNetForCausalLM

    # Transformers 5 wants a mapping here.
    RetNetForCausalLM._tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}
    return fla_interpreter.VERSIONS


def empty_model(architecture, tok, width, layers):
    """Returns a model of random weights of an architecture that both sides have."""
    import transformers

    heads = max(2, width // 64)
    common = dict(vocab_size=len(tok), bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=None)
    if architecture == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(
            n_embd=width, n_layer=layers, n_head=2 * heads, n_positions=2048, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
            **common))
    if architecture == "fla-retnet":
        from fla.models.retnet import RetNetConfig, RetNetForCausalLM

        # Larger weights than usual, since they are not trained: more than noise decides about answers.
        return RetNetForCausalLM(RetNetConfig(
            hidden_size=width, num_hidden_layers=layers, num_heads=heads, fuse_cross_entropy=False,
            initializer_range=0.1, **common))
    shape = dict(hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=2 * heads,
                 max_position_embeddings=2048, tie_word_embeddings=False, **common)
    if architecture == "neox":
        return transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**shape))
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(num_key_value_heads=heads, rms_norm_eps=1e-5, **shape))


def make_model(architecture, tokenizer, texts, folder, steps, width, layers):
    """Saves a model that has seen some of the texts."""
    import transformers

    torch.manual_seed(7)
    tok = transformers.AutoTokenizer.from_pretrained(tokenizer)
    model = empty_model(architecture, tok, width, layers).float()
    ids = []
    for text in texts:
        ids += tok(text).input_ids
    ids = torch.tensor(ids)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        starts = torch.randint(0, len(ids) - 129, (8,))
        rows = torch.stack([ids[s : s + 128] for s in starts])
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"training step {step}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    source = tokenizer if os.path.isdir(tokenizer) else os.path.dirname(tokenizer)
    for name in ("tokenizer.model",):
        if os.path.exists(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), folder)


def theirs(model, task, name, shots, limit, bootstrap, length):
    import lm_eval

    out = lm_eval.simple_evaluate(
        model=model, tasks=[task], num_fewshot=shots, limit=limit, bootstrap_iters=bootstrap, log_samples=True,
        task_manager=harness_tasks.manager())
    return out["results"][name], out["samples"][name]


def ours(command, model, name, files, shots, limit, bootstrap, length, extra, out):
    shutil.rmtree(out, ignore_errors=True)
    arguments = [command, "eval", "tasks", "--model", model, "--tasks", name, "--shots", str(shots), "--context", str(length),
                 "--bootstrap", str(bootstrap), "--dtype", "float32", "--out", out, "--samples", *extra]
    for split, path in files.items():
        arguments += ["--data", f"{name}:{split}={path}"]
    if limit:
        arguments += ["--limit", str(limit)]
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    results = json.load(open(glob.glob(out + "/*/results_*.json")[0], encoding="utf-8"))
    # The harness's own functions read our file.
    make_table(results)
    missing = HARNESS_FIELDS - set(results)
    if missing:
        raise SystemExit(f"our result file lacks {sorted(missing)}")
    samples = [json.loads(line) for line in open(glob.glob(out + "/*/samples_*.jsonl")[0], encoding="utf-8")]
    return results["results"][name], samples, results["retnet"]["tasks"][name]


def choose(scores, lengths=None):
    values = [s / n for s, n in zip(scores, lengths)] if lengths else scores
    return max(range(len(values)), key=lambda i: values[i]), values


def time_scoring(model):
    """Returns a list that gets the processor time of every call of the harness that scores requests, in seconds."""
    clock = []
    for name in ("loglikelihood", "loglikelihood_rolling"):
        def timed(*arguments, call=getattr(model, name), **named):
            start = time.process_time()
            result = call(*arguments, **named)
            clock.append(time.process_time() - start)
            return result

        setattr(model, name, timed)
    return clock


def processor():
    try:
        return next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--retnet", default="../../retnet")
    parser.add_argument("--data", required=True)
    parser.add_argument("--tokenizer")
    parser.add_argument("--model")
    parser.add_argument("--architecture", default="llama", choices=["llama", "gpt2", "neox", "fla-retnet"], help="of the model that is made")
    parser.add_argument("--width", type=int, default=128, help="of the model that is made")
    parser.add_argument("--layers", type=int, default=3, help="of the model that is made")
    parser.add_argument("--fla", help="a checkout of flash-linear-attention, for fla-retnet and models in its form")
    parser.add_argument("--tasks", default=",".join(SETS))
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--train-steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="of the harness")
    parser.add_argument("--threads", type=int, help="of both sides")
    parser.add_argument("--ours", default="", help="further options of `retnet eval tasks`")
    options = parser.parse_args()
    if not options.model and not options.tokenizer:
        parser.error("give --model, or --tokenizer for the one that is made")
    if options.architecture == "fla-retnet" and not (options.model or options.fla):
        parser.error("fla-retnet needs --fla")
    if options.threads:
        torch.set_num_threads(options.threads)
        options.ours += f" --threads {options.threads}"
    versions = [load_fla(options.fla)] if options.fla else []
    names = options.tasks.split(",")
    work = tempfile.mkdtemp(prefix="harness-")
    data = {}
    for name in names:
        files, convert = SETS[name]
        missing = [f for f in files.values() if not os.path.exists(os.path.join(options.data, f))]
        if missing and options.tasks == ",".join(SETS):
            print(f"{name} is left out: {', '.join(missing)} is not in '{options.data}'", file=sys.stderr)
            continue
        documents = {split: [convert(d) for d in read(os.path.join(options.data, file))]
                     for split, file in files.items()}
        # Both sides get the same documents, so that checksums of documents are equal too.
        paths = {split: os.path.join(work, f"{name}_{split}.jsonl") for split in files}
        for split, path in paths.items():
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in documents[split])
        data[name] = paths, documents
    folder = options.model
    if not folder:
        folder = os.path.join(work, "model")
        texts = [str(v) for _, documents in data.values() for rows in documents.values() for d in rows[:300]
                 for v in d.values() if isinstance(v, str) and len(v) > 40]
        # The backward kernels of fla would take hours in the interpreter.
        steps = 0 if options.architecture == "fla-retnet" else options.train_steps
        make_model(options.architecture, options.tokenizer, texts, folder, steps, options.width, options.layers)

    model = HFLM(pretrained=folder, tokenizer=folder, dtype="float32", device="cpu", batch_size=options.batch,
                 max_length=options.context)
    clock = time_scoring(model)
    print("| task | n-shot | documents | metric | lm-evaluation-harness | retnet | equal |\n| --- | --: | --: | --- | --: | --: | --- |")
    worst, failures, notes = 0.0, 0, []
    for name, (paths, documents) in data.items():
        for shots in options.shots if name != "wikitext" else [0]:
            task = harness_tasks.task(name, documents)
            clock.clear()
            results, samples = theirs(model, task, name, shots, options.limit, options.bootstrap, options.context)
            own, own_samples, origin = ours(options.retnet, folder, name, paths, shots, options.limit, options.bootstrap,
                                            options.context, options.ours.split(), os.path.join(work, "out"))
            ties = 0
            for theirs_, ours_ in zip(sorted(samples, key=lambda s: s["doc_id"]), own_samples):
                requests = [list(a) for a in theirs_["arguments"]]
                own_requests = [[a[f"arg_{i}"] for i in range(len(a))] for a in ours_["arguments"].values()]
                if requests != own_requests:
                    raise SystemExit(f"{name}, document {theirs_['doc_id']}: requests differ\n{requests}\n{own_requests}")
                for field in ("doc_hash", "prompt_hash", "target_hash"):
                    if theirs_[field] != ours_[field]:
                        raise SystemExit(f"{name}, document {theirs_['doc_id']}: {field} differs\n{theirs_['doc']}\n{ours_['doc']}")
                a = [number(r[0]) for r in theirs_["resps"]]
                b = [number(r[0]) for r in ours_["resps"]]
                worst = max(worst, max(abs(x - y) / max(1, abs(x)) for x, y in zip(a, b)))
                # Only these tasks have metrics by length, and their choices are the continuations behind a space.
                lengths = [len(r[1]) - 1 for r in requests] if "acc_norm,none" in results else None
                for metric, divisor in [("acc", None), ("acc_norm", lengths)]:
                    if len(a) < 2 or (metric == "acc_norm" and not divisor):
                        continue
                    (i, x), (j, y) = choose(a, divisor), choose(b, divisor)
                    if i != j:
                        gap = abs(x[i] - x[j])
                        kind = "a tie to rounding" if gap < 1e-4 * max(1, abs(x[i])) else "NO TIE"
                        ties += kind != "NO TIE"
                        failures += kind == "NO TIE"
                        notes.append(f"{name}, {shots} shots, document {theirs_['doc_id']}, {metric}: {i} and {j}, {kind}: {x} {y}")
                if name == "wikitext":
                    continue
                greedy = [bool(r[0][1]) for r in theirs_["resps"]], [r[0][1] == "True" for r in ours_["resps"]]
                if greedy[0] != greedy[1]:
                    notes.append(f"{name}, {shots} shots, document {theirs_['doc_id']}: greedy {greedy}: {a} {b}")
            for key in sorted(k for k in results if "," in k):
                x, y = results[key], own.get(key)
                exact = x == y
                # Perplexity is made of log-likelihoods, so it is equal to rounding only.
                near = isinstance(x, float) and isinstance(y, float) and abs(x - y) <= 1e-4 * abs(x)
                label = "exactly" if exact else "to rounding" if near and ("perplexity" in key or "bits" in key) else f"no ({ties} ties)"
                if label.startswith("no") and not ties:
                    failures += 1
                print(f"| {name} | {shots} | {len(own_samples)} | {key.split(',')[0]} | {x} | {y} | {label} |", flush=True)
            notes.append(f"{name}, {shots} shots: {origin['tokens']} tokens instead of {origin['tokens_from_scratch']}"
                         f" ({origin['saving']:.2f}x) in {origin['scoring_processor_seconds']:.2f} s; the harness with batches of"
                         f" {options.batch} in {sum(clock):.2f} s, {sum(clock) / origin['scoring_processor_seconds']:.2f} times as long")
    print("\n(seconds are processor time)" if notes else "")
    print(f"\nlargest relative difference of log-likelihoods: {worst:.2e}")
    print("\n".join(notes))
    versions += [f"{m} {importlib.metadata.version(m)}" for m in ("lm_eval", "torch", "transformers", "datasets")]
    command = subprocess.run([options.retnet, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"\n{', '.join(versions)}, Python {platform.python_version()}; retnet {command}; {processor()}, {torch.get_num_threads()}"
          f" threads; model of {sum(p.numel() for p in model.model.parameters()):,} parameters")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
