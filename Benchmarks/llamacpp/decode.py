"""Tokens per second of decoding: `retnet-lite bench decode` and llama.cpp, in one run, in both orders.

    pip install xllamacpp gguf numpy
    make lite
    python Benchmarks/llamacpp/decode.py                       # 200M parameters; --size 1.3b
    python Benchmarks/llamacpp/decode.py --types int8,int4 --contexts 64 --threads 1

The models are random: retnet-200m or retnet-1.3b, and a Llama of as many parameters, with weights of as many bits. Every
pair is measured twice, once with each engine first; the table has both rates, their ratio in each order, and the bytes per
second of all weights but the embedding. Written for xllamacpp 2026.10 (llama.cpp build 11549) and gguf 0.19.0. Weights
are written to a folder that is removed at the end (--folder DIR keeps them for another run): 4 GB for 200M, 22 GB for 1.3B.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np

# Ours: hidden size, layers, heads. Theirs: heads, inner size, so that both have 12 d^2 parameters a layer.
SIZES = {"200m": (1024, 16, 4, 16, 2816), "1.3b": (2048, 24, 8, 16, 5504)}
VOCABULARY = 32000
PEER_TYPES = {"float32": "F32", "bfloat16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}


def blocks(rows, columns):
    """One random block, repeated: the values play no part."""
    block = np.random.default_rng(0).standard_normal((64, columns), dtype=np.float32) * np.float32(columns**-0.5)
    return np.tile(block, (rows // 64, 1))


def write_retnet(folder, size, element_type):
    """Writes a model folder with weights in float32 or bfloat16."""
    hidden, layers, heads, _, _ = SIZES[size]
    os.makedirs(folder)
    shapes = {"embedding.weight": (VOCABULARY, hidden), "output.weight": (VOCABULARY, hidden), "final_norm.weight": (hidden,)}
    for i in range(layers):
        layer = f"layers.{i}."
        shapes |= {layer + "mixer_norm.weight": (hidden,), layer + "feed_forward_norm.weight": (hidden,)}
        for name in ("query", "key"):
            shapes[f"{layer}mixer.{name}.weight"] = (hidden, hidden)
        for name in ("value", "gate"):
            shapes[f"{layer}mixer.{name}.weight"] = (2 * hidden, hidden)
        shapes[layer + "mixer.output.weight"] = (hidden, 2 * hidden)
        shapes[layer + "feed_forward.up.weight"] = (2 * hidden, hidden)
        shapes[layer + "feed_forward.down.weight"] = (hidden, 2 * hidden)
    width = {"float32": 4, "bfloat16": 2}[element_type]
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        begin, end = end, end + width * int(np.prod(shape))
        header[name] = {"dtype": {4: "F32", 2: "BF16"}[width], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            values = np.ones(shape, np.float32) if len(shape) == 1 else blocks(*shape)
            file.write(values.tobytes() if width == 4 else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    configuration = {
        "model_type": "retnet", "format_version": 1, "vocabulary_size": VOCABULARY, "hidden_size": hidden,
        "layer_count": layers,
        "mixer": {"kind": "retention", "head_count": heads, "key_size": hidden // heads, "value_size": 2 * hidden // heads,
                  "decay": "experiment", "normalization": "decay"},
        "feed_forward": {"kind": "plain", "activation": "gelu", "inner_size": 2 * hidden},
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(configuration, file)


def bytes_per_token(folder):
    """The bytes of all tensors of a model folder but the embedding."""
    total = 0
    for path in glob.glob(os.path.join(folder, "model*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(tensor["data_offsets"][1] - tensor["data_offsets"][0] for name, tensor in header.items()
                     if name != "__metadata__" and not name.startswith("embedding."))
    return total


def write_llama(path, size, element_type):
    """Writes a GGUF file; returns the bytes of its weights but the embedding."""
    import gguf

    hidden, layers, _, heads, inner = SIZES[size]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([b"<unk>", b"<s>", b"</s>"] + [b"t%d" % i for i in range(VOCABULARY - 3)])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([2, 3, 3] + [1] * (VOCABULARY - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    kind = gguf.GGMLQuantizationType[PEER_TYPES[element_type]]
    total = 0

    def matrix(name, rows, columns):
        nonlocal total
        data = np.tile(gguf.quants.quantize(blocks(64, columns), kind), (rows // 64, 1))
        writer.add_tensor(name, data, raw_dtype=kind)
        if name != "token_embd.weight":
            total += data.nbytes

    matrix("token_embd.weight", VOCABULARY, hidden)
    matrix("output.weight", VOCABULARY, hidden)
    writer.add_tensor("output_norm.weight", np.ones(hidden, dtype=np.float32))
    for i in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{i}.{name}.weight", hidden, hidden)
        matrix(f"blk.{i}.ffn_gate.weight", inner, hidden)
        matrix(f"blk.{i}.ffn_up.weight", inner, hidden)
        matrix(f"blk.{i}.ffn_down.weight", hidden, inner)
        writer.add_tensor(f"blk.{i}.attn_norm.weight", np.ones(hidden, dtype=np.float32))
        writer.add_tensor(f"blk.{i}.ffn_norm.weight", np.ones(hidden, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return total


def measure_llama(path, options):
    """Prints the rates of one process of llama.cpp, for each context."""
    import xllamacpp

    rates = {}
    for context in options.contexts:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = path
        parameters.n_ctx = context + options.tokens + 64
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = options.threads
        parameters.cpuparams_batch.n_threads = options.threads
        parameters.warmup = True
        server = xllamacpp.Server(parameters)
        request = {"prompt": [3 + 7 * i % 1000 for i in range(context)], "n_predict": options.tokens, "ignore_eos": True,
                   "temperature": 0.0, "cache_prompt": True}
        found = []
        # The first one reads the prompt, which the others find in the cache.
        for _ in range(options.repetitions + 1):
            answer = server.handle_completions(request)
            answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
            found.append(answer["timings"]["predicted_per_second"])
        rates[context] = statistics.median(found[1:])
        del server
    print(json.dumps(rates))


def theirs(path, options):
    command = [sys.executable, __file__, "--peer", path, "--contexts", ",".join(map(str, options.contexts)), "--threads",
               str(options.threads), "--tokens", str(options.tokens), "--repetitions", str(options.repetitions)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return {int(context): rate for context, rate in json.loads(answer.strip().splitlines()[-1]).items()}


def ours(folder, options):
    rates = {}
    for context in options.contexts:
        command = [options.lite, "bench", "decode", "--model", folder, "--context", str(context), "--steps",
                   str(options.tokens * options.repetitions), "--threads", str(options.threads), "--json"]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rates[context] = answer["tokens_per_second"]
        rates["share", context] = answer["share_of_bandwidth"]
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = lambda text: [int(x) for x in text.split(",")]
    parser.add_argument("--size", choices=SIZES, default="200m")
    parser.add_argument("--types", default="bfloat16,int8,int4", help="of " + ", ".join(PEER_TYPES))
    parser.add_argument("--contexts", type=numbers, default=[64, 4096])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--lite", default="./retnet-lite")
    parser.add_argument("--quantizer", help="the command that rounds weights; by default that of --lite")
    parser.add_argument("--folder", help="where models are kept")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return measure_llama(options.peer, options)
    types = options.types.split(",")
    unknown = [name for name in types if name not in PEER_TYPES]
    if unknown:
        parser.error(f"--types: '{unknown[0]}' is none of {', '.join(PEER_TYPES)}")

    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or temporary
        os.makedirs(root, exist_ok=True)

        def folder(name):
            path = os.path.join(root, f"{options.size}-{name}")
            if os.path.exists(os.path.join(path, "config.json")):
                return path
            if name in ("float32", "bfloat16"):
                write_retnet(path, options.size, name)
            else:
                command = [options.quantizer or options.lite, "quantize", "--model", folder("bfloat16"), "--to", name]
                subprocess.run(command + ["--out", path], check=True, stdout=subprocess.DEVNULL)
            return path

        print("| weights | context | retnet-lite, tokens/s | llama.cpp, tokens/s | ratio, ours first | ratio, theirs first |"
              " GB/s of weights, ours and theirs | of the read speed |\n|---|---|---|---|---|---|---|---|", flush=True)
        for name in types:
            path = os.path.join(root, f"{options.size}-{name}.gguf")
            size = os.path.join(root, f"{options.size}-{name}.bytes")
            if not os.path.exists(size):
                total = write_llama(path, options.size, name)
                with open(size, "w") as file:
                    file.write(str(total))
            peer_bytes = int(open(size).read())
            model = folder(name)
            own_bytes = bytes_per_token(model)
            first, second = ours(model, options), theirs(path, options)
            fourth, third = theirs(path, options), ours(model, options)
            for context in options.contexts:
                own, peer = (first[context] + third[context]) / 2, (second[context] + fourth[context]) / 2
                print(f"| {name} | {context} | {own:.1f} | {peer:.1f} | {first[context] / second[context]:.2f} |"
                      f" {third[context] / fourth[context]:.2f} | {own * own_bytes / 1e9:.1f}, {peer * peer_bytes / 1e9:.1f} |"
                      f" {(first['share', context] + third['share', context]) / 2:.2f} |", flush=True)


if __name__ == "__main__":
    main()
