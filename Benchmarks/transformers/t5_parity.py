"""The same random T5 in Transformers and in retnet, both directions: logits, cached steps, greedy and beam outputs."""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
MAX_TOKENS = 24


def run(*command):
    return subprocess.run(["./retnet", *map(str, command)], check=True, capture_output=True, text=True).stdout


def difference(a, b):
    return ((a - b).norm() / b.norm()).item()


def make(version, seed, sharp=1.0):
    torch.manual_seed(seed)
    gated = version == "v1.1"
    configuration = T5Config(
        vocab_size=200, d_model=64, d_kv=24, d_ff=96, num_layers=3, num_decoder_layers=3, num_heads=3,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        decoder_start_token_id=0, dropout_rate=0.0,
    )
    model = T5ForConditionalGeneration(configuration).eval()
    for name, parameter in model.named_parameters():
        # Norms that differ from 1, and biases of positions that matter.
        if "layer_norm" in name:
            parameter.data.uniform_(0.5, 1.5)
        if "relative_attention_bias" in name:
            parameter.data.normal_()
    if gated:
        # Transformers 5 ties this matrix unless it is another parameter.
        model.lm_head.weight = torch.nn.Parameter(torch.randn(200, 64) * 64**-0.5 * sharp)
    return model


def rows(generator, count, low, high):
    lengths = torch.randint(low, high, (count,), generator=generator).tolist()
    return [torch.randint(2, 200, (n,), generator=generator).tolist() + [1] for n in lengths]


def padded(values, fill):
    length = max(map(len, values))
    return torch.tensor([row + [fill] * (length - len(row)) for row in values])


def trimmed(row):
    """The tokens after the start token, up to the end token."""
    row = row[1:]
    return row[: row.index(1) + 1] if 1 in row else row


worst = {}


def note(what, value, limit):
    worst[what] = max(worst.get(what, 0.0), value)
    assert value < limit, f"{what}: {value:.2e}"


searched = same = 0
for version in ["v1.0", "v1.1"]:
    for seed in range(3):
        generator = torch.Generator().manual_seed(100 + seed)
        model = make(version, seed, sharp=3.0)
        sources, targets = rows(generator, 4, 3, 150), rows(generator, 4, 1, 40)
        ids, labels = padded(sources, 0), padded(targets, -100)
        mask = padded([[1] * len(row) for row in sources], 0)
        with torch.no_grad():
            expected = model(input_ids=ids, attention_mask=mask, labels=labels)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            theirs, ours, output = folder / "theirs", folder / "ours", folder / "logits.safetensors"
            model.save_pretrained(theirs)
            (folder / "sources.json").write_text(json.dumps(sources))
            (folder / "targets.json").write_text(json.dumps(targets))
            files = ["--sources", folder / "sources.json", "--dtype", "float32"]
            for options in [[], ["--steps"]]:
                run("t5", "logits", "--model", theirs, *files, "--targets", folder / "targets.json", "--output", output,
                    *options)
                found = load_file(output)
                for row, target in enumerate(targets):
                    value = difference(found["logits"][row, : len(target)], expected.logits[row, : len(target)])
                    note(f"{version} logits" + (" of cached steps" if options else ""), value, 1e-5)
                note(f"{version} loss", abs(found["loss"].item() / expected.loss.item() - 1), 1e-5)
            # What retnet writes, Transformers reads.
            run("t5", "convert", "--model", theirs, "--output", ours)
            again, report = T5ForConditionalGeneration.from_pretrained(ours, output_loading_info=True)
            assert not any(report.values()), report
            with torch.no_grad():
                back = again.eval()(input_ids=ids, attention_mask=mask, labels=labels)
            note(f"{version} written by retnet", difference(back.logits, expected.logits), 1e-6)
            for beams, penalty, stopping in [
                (1, 1.0, "heuristic"), (4, 1.0, "heuristic"), (4, 0.4, "full"), (3, 2.0, "never"), (5, -0.5, "never"),
            ]:
                early = {"heuristic": False, "full": True, "never": "never"}[stopping]
                with torch.no_grad():
                    result = model.generate(
                        input_ids=ids, attention_mask=mask, max_new_tokens=MAX_TOKENS, do_sample=False, num_beams=beams,
                        num_return_sequences=beams, return_dict_in_generate=True, output_scores=True,
                        **({"length_penalty": penalty, "early_stopping": early} if beams > 1 else {}),
                    )
                answer = json.loads(run(
                    "t5", "generate", "--model", theirs, *files, "--max-tokens", MAX_TOKENS, "--beams", beams,
                    f"--length-penalty={penalty}", "--early-stopping", stopping, "--outputs", beams,
                ))
                outputs = [output for row in answer["outputs"] for output in row]
                sequences = [trimmed(row) for row in result.sequences.tolist()]
                searched += len(outputs)
                same += sum(a["tokens"] == b for a, b in zip(outputs, sequences))
                if beams > 1:
                    for a, b in zip(outputs, result.sequences_scores.tolist()):
                        note(f"{version} scores of beams", abs(a["score"] / b - 1), 1e-4)
for what, value in worst.items():
    print(f"{what}: largest relative difference {value:.1e}")
print(f"outputs of greedy and beam search: {same} of {searched} the same")
assert same == searched
