"""Makes the fixtures of the tests of tokenizer.json by running Hugging Face's library `tokenizers`.

Usage: python make_fixtures.py ../../Tests/RetNetTextTests/Fixtures/huggingface

Each fixture is one JSON file: the version of the library, the text of a small tokenizer.json, and for each text the ids,
the offsets in code points and the decoded text (without special tokens). Made with tokenizers 0.23.3.
"""

import json
import os
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TRAINING = [
    "The quick brown fox jumps over the lazy dog. It's the fox's den, and they'll see what we've done!",
    "Hello world, hello there; HELLO WORLD. How are you doing today? I'm fine, thanks. 12 34 567 8901 23456",
    "Ça va très bien, naïve café déjà vu. Über größe straße. こんにちは世界 今日は 日本語 中文字符 한국어 문장",
    "def f(x):\n    return x + 1\n\n\nclass A:\n\tpass\n", "أهلا بالعالم שלום עולם Привет мир Ελληνικά",
    "😀 😃 👍🏽 ❤️ 👨‍👩‍👧‍👦 🥰🦜", "don't can't won't I'd you're he's", "a b c d e f g h i j k l m n o p q r s t u v w x y z",
]

TEXTS = [
    "", " ", "  ", "a", "Hello world", " Hello  world ", "It's the fox's den: they'll see, we've done, I'D GO, IT'S",
    "The quick brown fox jumps over the lazy dog.", "tabs\tand\nlines\r\n\r\n  indented\n\n\n", "1 12 123 1234 12345 ½ ² Ⅳ ٣٤",
    "café cafe\u0301 Å Å A\u030a ﬁ ﬃ Ⅸ ①", "naïve Ünïcödé STRASSE straße İstanbul ΣΑΣ", "こんにちは世界、今日は。日本語テスト",
    "中文字符测试,混合English和中文", "한국어 문장 \u1112\u1161\u11ab", "أهلاً بالعالم 123 שָׁלוֹם עולם", "😀😃 👍🏽 ❤️ 👨‍👩‍👧‍👦 🥰🦜 🇩🇪",
    "a     b          c                                 d", "\u00a0nbsp\u2003em\u3000ideographic\u200bzero\u2028line", "\x00\x01\x07control\x7f\x9f\ufeff\ufffd",
    "<s>begin</s> and <s> inside</s>", "x<|end|>y <|end|> z<|end|>", "[CLS] a [SEP]b[MASK]c [MASK] d", "word wordy swordword word",
    "don't can't WON'T I'd YOU'RE 'twas 'ſ 's", "a_b-c+d=e/f\\g (h) [i] {j} <k> \"l\" `m` ~n^o|p", "!!!???...,,,;;;:::'''\"\"\"",
    "HTTPServer camelCase XMLHttpRequest ABCdef aB", "a\u0300\u0316 \u0316\u0300a e\u0323\u0302 \u1ec7 \u0344", "▁already▁marked ▁ ▁▁", "x" * 60,
    "https://example.com/a?b=c&d=%20e", "\u0915\u094d\u0937\u093f \u0e01\u0e33 \u0e19\u0e49\u0e33", "tést TEST\u0301 \u01c5 \u1e9e",
    "def f(x):\n    return x + 1\n\nclass A:\n\tpass\n", "price $5 €6 £7 ¥8 + − × ÷ ≠ ∞", "end with space ", "\n", "\r\n", " \n ", "'", "' s", "é",
]

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")
MARKS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pre, size=330, special=(), **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TRAINING * 3, trainer)
    return tokenizer


def split(pattern, use_regex=False):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])


def gpt2():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), special=["<|end|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def roberta():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), special=["<s>", "</s>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, rstrip=False)])
    return tokenizer


def neox():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True), special=["<|end|>"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(8, 1, -1)])
    return tokenizer


def llama3():
    tokenizer = byte_level(split(GPT4), special=["<|end|>"], ignore_merges=True)
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|end|> $A", pair="<|end|> $A <|end|> $B", special_tokens=[("<|end|>", 0)])])
    return tokenizer


def falcon():
    return byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))


def deepseek():
    return byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))


def starcoder():
    return byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), special=["<|end|>"])


def byte_normalizer():
    tokenizer = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"Ġ?[^Ġ]+|Ġ+"), "isolated")]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.ByteLevel()])
    tokenizer.train_from_iterator(TRAINING * 3, trainers.BpeTrainer(
        vocab_size=330, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def fallback_bpe(normalizer, pre, decoder):
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    inner = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.train_from_iterator(TRAINING[:2] * 3, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, show_progress=False))
    parsed = json.loads(inner.to_str())
    parsed["model"]["byte_fallback"] = True
    parsed["added_tokens"] = [token for token in parsed["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(parsed))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    else:
        del parsed["normalizer"]
        tokenizer = Tokenizer.from_str(json.dumps({**parsed, "normalizer": None}))
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def llama2():
    return fallback_bpe(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))


def llama2_metaspace():
    return fallback_bpe(
        None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))


def gemma():
    return fallback_bpe(
        normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))


def clip():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    tokenizer.train_from_iterator(TRAINING * 3, trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False, limit_alphabet=80))
    return tokenizer


def prefix_bpe():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece("##", cleanup=False)
    tokenizer.train_from_iterator(TRAINING * 3, trainers.BpeTrainer(
        vocab_size=260, special_tokens=["<unk>"], continuing_subword_prefix="##", show_progress=False, limit_alphabet=60))
    return tokenizer


def bert(cased=False):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=None)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece("##", cleanup=not cased)
    tokenizer.train_from_iterator(TRAINING * 3, trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_tokens([AddedToken("word", single_word=True, normalized=True)])
    return tokenizer


def unigram(normalizer, pre, byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(TRAINING * 3, trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    if byte_fallback:
        parsed = json.loads(tokenizer.to_str())
        parsed["model"]["byte_fallback"] = True
        parsed["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        tokenizer = Tokenizer.from_str(json.dumps(parsed))
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tokenizer


def t5():
    tokenizer = unigram(
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip(left=False, right=True),
                              normalizers.Replace(Regex(" {2,}"), "▁")]),
        pre_tokenizers.Metaspace(prepend_scheme="always"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(["<extra_id_0>", "<extra_id_1>"])
    return tokenizer


def xlm():
    return unigram(normalizers.Sequence([normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()]),
                   pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))


def unigram_bytes():
    return unigram(normalizers.NFD(), pre_tokenizers.Metaspace(prepend_scheme="never"), byte_fallback=True)


def words():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.CharDelimiterSplit(" "), pre_tokenizers.Punctuation("removed"), pre_tokenizers.Digits(False)])
    tokenizer.train_from_iterator(TRAINING * 3, trainers.WordLevelTrainer(
        vocab_size=120, special_tokens=["[UNK]", "[CLS]"], show_progress=False))
    return tokenizer


def pieces():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("-", "merged_with_next"), pre_tokenizers.Split(Regex(r"[,;]"), "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"o+"), "contiguous"), pre_tokenizers.FixedLength(3)])
    tokenizer.decoder = decoders.Fuse()
    tokenizer.train_from_iterator(TRAINING * 3, trainers.WordLevelTrainer(
        vocab_size=250, special_tokens=["[UNK]"], show_progress=False))
    return tokenizer


CASES = {
    "gpt2": gpt2, "roberta": roberta, "neox": neox, "llama3": llama3, "qwen": lambda: byte_level(split(QWEN)),
    "marks": lambda: byte_level(split(MARKS)), "gpt4o": lambda: byte_level(split(GPT4O)), "deepseek": deepseek, "falcon": falcon,
    "starcoder": starcoder, "byte-normalizer": byte_normalizer, "llama2": llama2, "llama2-metaspace": llama2_metaspace,
    "gemma": gemma, "clip": clip, "prefix-bpe": prefix_bpe, "bert": bert, "bert-cased": lambda: bert(True), "t5": t5, "xlm": xlm,
    "unigram-bytes": unigram_bytes, "words": words, "pieces": pieces,
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, make in CASES.items():
        tokenizer = make()
        vectors = []
        for text in TEXTS:
            encoding = tokenizer.encode(text, add_special_tokens=False)
            vectors.append({"text": text, "ids": encoding.ids, "offsets": [list(pair) for pair in encoding.offsets],
                            "decoded": tokenizer.decode(encoding.ids) if encoding.ids else ""})
        fixture = {"tokenizers": tokenizers.__version__, "tokenizer": tokenizer.to_str(), "vectors": vectors}
        with open(os.path.join(folder, name + ".json"), "w") as file:
            json.dump(fixture, file, ensure_ascii=True, separators=(",", ":"))
            file.write("\n")


main()
