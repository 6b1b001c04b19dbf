"""Makes the fixture of the tests of tokenizer training with Hugging Face `tokenizers`.

    python Benchmarks/tokenizers/train_fixture.py Tests/RetNetTextTests/Fixtures/training-0.23.3.json

The documents are invented here, from a seed: common and rare words, contractions, numbers, white space, runs of one
character, accents, Japanese and emoji, with many pairs that are equally frequent. For byte pairs of several sizes the
fixture has the merges and the ids of texts; for unigram models the number of tokens on held-out text.
"""

import json
import random
import sys

from tokenizers import AddedToken, Tokenizer, __version__, decoders, models, pre_tokenizers, trainers

STEMS = """time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend""".split()
ENDINGS = ["", "", "", "s", "ly", "ing", "ed", "ness", "less", "er"]
OTHERS = ["don't", "we'll", "it's", "they've", "I'm", "he'd", "you're", "naïve", "café", "Ærø", "日本語", "東京の天気", "🙂🙃",
          "1984", "3.14", "2,718", "e.g.", "(see", "below)", "--", "----------", "aaaaaaa", "haha", "…", "“quoted”", "\t", "\n\n", "  "]
TEXTS = ["The people's houses weren't there.", "  two  spaces and\ttabs\n\n\nlines ", "aaaaaaaaaaaaa bananas haha",
         "日本語の天気 naïve café 🙂🙃 ½ ٣٤", "unseen: zyzzyva Ωmega \u0000\u001f €", "", " ", "\n", "<|endoftext|> is text here"]


def document(generator):
    words = []
    for _ in range(generator.randint(20, 120)):
        if generator.random() < 0.2:
            words.append(generator.choice(OTHERS))
        else:
            word = STEMS[min(int(generator.expovariate(0.08)), len(STEMS) - 1)] + generator.choice(ENDINGS)
            words.append(word.capitalize() if generator.random() < 0.1 else word)
        if generator.random() < 0.1:
            words[-1] += generator.choice(".,;!?")
    return " ".join(words)


def train(kind, documents, size, special, minimum_frequency):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = [AddedToken(name, special=True, normalized=False) for name in special]
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=minimum_frequency, special_tokens=names, initial_alphabet=alphabet,
            show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=size, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def main():
    generator = random.Random(11)
    documents = [document(generator) for _ in range(60)]
    held_out = [document(generator) for _ in range(10)]
    cases = []
    for size, special, minimum_frequency in [
        (300, [], 2), (420, ["<|endoftext|>", "<|padding|>"], 2), (1000, ["<|endoftext|>", "<|padding|>"], 1),
        (700, ["<pad>", "</s>"], 7), (20000, [], 2), (256, [], 2)
    ]:
        tokenizer = train("bpe", documents, size, special, minimum_frequency)
        model = json.loads(tokenizer.to_str())["model"]
        vocabulary = model["vocab"]
        plain = Tokenizer.from_str(tokenizer.to_str())
        cases.append({
            "size": size, "special": special, "minimum_frequency": minimum_frequency,
            "merges": [[vocabulary[a], vocabulary[b]] for a, b in model["merges"]],
            "texts": [{"text": text, "ids": plain.encode(text).ids} for text in TEXTS if "<|" not in text or not special],
        })
    unigrams = []
    for size in [300, 400, 600]:
        tokenizer = train("unigram", documents, size, [], 0)
        unigrams.append({"size": size, "tokens": sum(len(tokenizer.encode(text).ids) for text in held_out)})
    with open(sys.argv[1], "w") as file:
        json.dump({
            "tokenizers": __version__, "documents": documents, "held_out": held_out, "byte_pairs": cases,
            "unigram": unigrams,
        }, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
