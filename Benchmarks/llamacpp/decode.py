"""Tokens per second of llama.cpp's decoding, for a Llama-shaped model with random weights: the peer of `retnet-lite bench`.

    pip install xllamacpp gguf numpy
    python decode.py --size 200m --type q8_0 --threads 2 --context 64

Written for xllamacpp 2026.10 (llama.cpp build 11549) and gguf 0.19.0. Bytes are those of all tensors but the embedding.
"""

import argparse, json, os, statistics, tempfile, time

import gguf
import numpy as np

# hidden size, layers, heads, inner size: 12 d^2 parameters a layer, as retnet-200m and retnet-1.3b have
SIZES = {"200m": (1024, 16, 16, 2816), "1.3b": (2048, 24, 16, 5504)}
VOCABULARY = 32000
TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0", "q4_1": "Q4_1"}


def write(path, size, type_name):
    hidden, layers, heads, inner = SIZES[size]
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
    random = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType[TYPES[type_name]]
    total = 0

    def matrix(name, rows, columns):
        nonlocal total
        # One random block, repeated: the values play no part.
        block = random.standard_normal((64, columns), dtype=np.float32) / np.sqrt(columns)
        rows_left = rows // 64
        data = np.tile(gguf.quants.quantize(block, kind), (rows_left, 1))
        writer.add_tensor(name, data, raw_dtype=kind)
        if name != "token_embd.weight":
            total += data.nbytes

    def ones(name):
        writer.add_tensor(name, np.ones(hidden, dtype=np.float32))

    matrix("token_embd.weight", VOCABULARY, hidden)
    matrix("output.weight", VOCABULARY, hidden)
    ones("output_norm.weight")
    for i in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{i}.{name}.weight", hidden, hidden)
        matrix(f"blk.{i}.ffn_gate.weight", inner, hidden)
        matrix(f"blk.{i}.ffn_up.weight", inner, hidden)
        matrix(f"blk.{i}.ffn_down.weight", hidden, inner)
        ones(f"blk.{i}.attn_norm.weight")
        ones(f"blk.{i}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="200m")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    import xllamacpp

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        size = write(path, options.size, options.type)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = path
        parameters.n_ctx = options.context + options.tokens + 64
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = options.threads
        parameters.cpuparams_batch.n_threads = options.threads
        parameters.warmup = True
        server = xllamacpp.Server(parameters)
        rates = []
        for i in range(options.repetitions):
            prompt = [3 + (7 * j + i) % 1000 for j in range(options.context)]
            request = {"prompt": prompt, "n_predict": options.tokens, "ignore_eos": True, "temperature": 0.0,
                       "cache_prompt": False}
            answer = server.handle_completions(request)
            if isinstance(answer, (str, bytes)):
                answer = json.loads(answer)
            rates.append(answer["timings"]["predicted_per_second"])
    rate = statistics.median(rates)
    print(json.dumps({"size": options.size, "type": options.type, "threads": options.threads,
                      "context": options.context, "tokens_per_second": round(rate, 2),
                      "gigabytes_per_second": round(rate * size / 1e9, 2), "weight_bytes": size,
                      "all": [round(r, 2) for r in rates]}))


if __name__ == "__main__":
    main()
