"""Small random SentencePiece models with what the sentencepiece library makes of texts.

    pip install sentencepiece==0.2.3
    python3 Benchmarks/sentencepiece/make_vectors.py > Tests/RetNetTextTests/Fixtures/sentencepiece-0.2.3.json

The models are made to differ in details: sums of scores that tie up to rounding, user-defined symbols, unused pieces,
byte fallback, spaces last. `--models N` writes more of them, for a longer comparison.
"""

import argparse
import base64
import json
import random
import struct

import sentencepiece

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BYTE_PAIRS, WORDS, CHARACTERS = range(1, 5)
SPACE = "\u2581"


def varint(value):
    result = b""
    while value >= 0x80:
        result += bytes([value & 0x7F | 0x80])
        value >>= 7
    return result + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


class Model:
    def __init__(self, kind, pieces, **options):
        self.kind, self.options = kind, options
        self.pieces = list(pieces)

    def option(self, name):
        return int(self.options.get(name, False))

    def serialized(self):
        result = b""
        for piece, score, kind in self.pieces:
            result += text(1, text(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + number(3, kind))
        training = number(3, self.kind) + number(24, self.option("spaces_last"))
        training += number(35, self.option("byte_fallback"))
        normalizer = number(3, int(self.options.get("dummy_prefix", True)))
        normalizer += number(4, int(self.options.get("collapses_spaces", True))) + number(5, 1)
        return result + text(2, training) + text(3, normalizer)


def special(byte_fallback, has_unknown=True):
    result = [("<unk>", 0, UNKNOWN)] if has_unknown else []
    result += [("<s>", 0, CONTROL), ("</s>", 0, CONTROL)]
    if byte_fallback:
        result += [(f"<0x{byte:02X}>", 0, BYTE) for byte in range(256)]
    return result


def random_model(generator, kind):
    byte_fallback = generator.random() < 0.4
    has_unknown = not byte_fallback or generator.random() < 0.7
    alphabet = generator.choice(["ab" + SPACE, "0,3" + SPACE, "abc" + SPACE + "é", "a日" + SPACE])
    style = generator.choice(["ties", "ties", "random", "large", "positive", "zeros"])
    unit = generator.choice([1.1, 0.3, 2.7, 1.0, 3.3])
    names = set()
    for _ in range(generator.randint(5, 25)):
        names.add("".join(generator.choice(alphabet) for _ in range(generator.choice([1, 1, 2, 2, 3, 4]))))
    pieces = []
    for name in sorted(names):
        score = {
            "ties": -unit * len(name),
            "random": -10 * generator.random(),
            "large": -9000 * generator.random(),
            "positive": generator.choice([-1, 1]) * 4000 * generator.random(),
            "zeros": generator.choice([0.0, -0.0, -1.0, 1.0]),
        }[style]
        odds = generator.random()
        if odds < 0.15:
            pieces.append((name, score, UNUSED))
        elif odds < 0.25:
            pieces.append((name, score, USER_DEFINED))
        else:
            pieces.append((name, score, NORMAL))
    generator.shuffle(pieces)
    return Model(
        kind, special(byte_fallback, has_unknown) + pieces, byte_fallback=byte_fallback,
        dummy_prefix=generator.random() < 0.8, collapses_spaces=generator.random() < 0.7,
        spaces_last=generator.random() < 0.15), alphabet


def chosen_models():
    # Whether 0 comes before 00 or behind it depends on the precision of the sums.
    digits = [
        dict(zip((SPACE, "0", "00", "3", ","), scores))
        for scores in [
            (-11.0301, -9.5116, -3.4519, -9.0691, -4.6027), (-10.2236, -11.0941, -7.4359, -7.3999, -6.3894),
            (-8.4246, -8.1719, -5.7781, -6.3092, -8.0417), (-10.6444, -5.8357, -3.8362, -10.0673, -11.9629),
        ]
    ]
    for scores in digits:
        pieces = [(name, score, NORMAL) for name, score in scores.items()]
        yield Model(UNIGRAM, special(True) + pieces, byte_fallback=True), "0,3"
    # A hundred nested symbols, of which only the 64 shortest are looked at.
    runs = [("a" * count, 0.0, USER_DEFINED) for count in range(2, 101)]
    for kind in (UNIGRAM, BYTE_PAIRS, CHARACTERS):
        yield Model(kind, special(False) + [(SPACE, -1.0, NORMAL), ("a", -1.0, NORMAL)] + runs), "a"
    # Unused pieces within unused pieces, deeper than the reference looks.
    chain = [("b" * count, -float(count), UNUSED) for count in range(2, 130)]
    yield Model(BYTE_PAIRS, special(False) + [(SPACE, -1.0, NORMAL), ("b", -1.0, NORMAL)] + chain), "b"


def texts(generator, alphabet, count):
    letters = alphabet.replace(SPACE, " ") + " x"
    yield letters * 2
    for _ in range(count):
        yield "".join(generator.choice(letters) for _ in range(generator.choice([3, 6, 12, 40])))
    yield "<s>a</s> <unk>ab\n\t<0x41>"
    if len(alphabet) == 1:
        yield alphabet * 150


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=28)
    parser.add_argument("--texts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    models = list(chosen_models())
    kinds = [UNIGRAM, UNIGRAM, BYTE_PAIRS, CHARACTERS, WORDS, UNIGRAM, BYTE_PAIRS, UNIGRAM]
    while len(models) < arguments.models:
        model = random_model(generator, kinds[len(models) % len(kinds)])
        try:
            sentencepiece.SentencePieceProcessor(model_proto=model[0].serialized())
            models.append(model)
        except RuntimeError:
            continue
    result = []
    for model, alphabet in models:
        library = sentencepiece.SentencePieceProcessor(model_proto=model.serialized())
        vectors = []
        for string in list(texts(generator, alphabet, arguments.texts)) + ["30,000"]:
            ids = library.encode(string)
            vectors.append({"text": string, "ids": ids, "decoded": library.decode(ids)})
        result.append({"model": base64.b64encode(model.serialized()).decode(), "vectors": vectors})
    print(json.dumps({"sentencepiece": sentencepiece.__version__, "models": result}, ensure_ascii=False, indent=None))


main()
