"""Trains tokenizers with Hugging Face `tokenizers` and compares them with ours.

    OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python Benchmarks/tokenizers/train_reference.py \
        --kind bpe --vocabulary 8000 --ours DIR --held-out FILE... --data FILE...

Each file is one document, plain or gzip. Prints the seconds of the training, whether merges and vocabulary are equal
(byte pairs), the bytes per token of both on the held-out files, and whether the tokenizer in DIR, written by
`retnet tokenizer train`, loads and decodes every text to itself. `--fixture FILE` writes the words of the vocabulary
and the merges of the reference for the tests instead.
"""

import argparse
import gzip
import json
import os
import time

from tokenizers import AddedToken, Tokenizer, __version__, decoders, models, pre_tokenizers, trainers


def read(path):
    data = open(path, "rb").read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8-sig")


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            yield from (os.path.join(path, name) for name in sorted(os.listdir(path)))
        else:
            yield path


def train(kind, size, texts, special, minimum_frequency):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=minimum_frequency, special_tokens=special,
            initial_alphabet=alphabet, show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    start = time.perf_counter()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, time.perf_counter() - start


def bytes_per_token(tokenizer, texts):
    tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    return sum(len(text.encode()) for text in texts) / tokens


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=["bpe", "unigram"], default="bpe")
    parser.add_argument("--vocabulary", type=int, required=True)
    parser.add_argument("--minimum-frequency", type=int, default=2)
    parser.add_argument("--special", nargs="*", default=["<|endoftext|>", "<|padding|>"])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument("--ours")
    parser.add_argument("--fixture")
    arguments = parser.parse_args()
    texts = [read(path) for path in files(arguments.data)]
    held_out = [read(path) for path in files(arguments.held_out)]
    special = [AddedToken(name, special=True, normalized=False) for name in arguments.special]
    reference, seconds = train(
        arguments.kind, arguments.vocabulary, texts, special, arguments.minimum_frequency)
    model = json.loads(reference.to_str())["model"]
    if arguments.fixture:
        with open(arguments.fixture, "w") as file:
            json.dump({
                "tokenizers": __version__, "data": [os.path.basename(path) for path in arguments.data],
                "vocabulary": arguments.vocabulary, "minimum_frequency": arguments.minimum_frequency,
                "special": arguments.special, "model": model,
            }, file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        return
    print(f"tokenizers {__version__}: {arguments.kind} {reference.get_vocab_size()} in {seconds:.2f} s")
    if held_out:
        print(f"  reference: {bytes_per_token(reference, held_out):.4f} bytes per token on held-out text")
    if not arguments.ours:
        return
    ours = Tokenizer.from_file(os.path.join(arguments.ours, "tokenizer.json"))
    own = json.load(open(os.path.join(arguments.ours, "tokenizer.json")))["model"]
    if arguments.kind == "bpe":
        print(f"  equal merges: {own['merges'] == model['merges']}, vocabulary: {own['vocab'] == model['vocab']}")
    if held_out:
        print(f"  ours:      {bytes_per_token(ours, held_out):.4f} bytes per token on held-out text")
    wrong = sum(ours.decode(ours.encode(text).ids, skip_special_tokens=False) != text for text in texts + held_out)
    print(f"  texts that are not decoded to themselves: {wrong}")


if __name__ == "__main__":
    main()
