"""Makes the fixture of the tests of tokenizers' folders by opening the folders with Hugging Face's `transformers`.

Usage: python make_folder_fixtures.py ../../Tests/RetNetTextTests/Fixtures/tokenizer-folders.json

Each case has the files of a folder, what `AutoTokenizer` makes of texts (`tokenizer(text).input_ids`, and the ids without
special tokens), and its special tokens. Tokenizers are trained on a few sentences, so that the files stay small. Made with
transformers 5.24.0, tokenizers 0.23.3 and sentencepiece 0.2.3.
"""

import json
import os
import sys
import tempfile

import sentencepiece
import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TRAINING = [
    "The quick brown fox jumps over the lazy dog. It's the fox's den, and they'll see what we've done!",
    "Hello world, hello there; HELLO WORLD. How are you doing today? 12 34 567 8901 23456",
    "Ça va très bien, naïve café déjà vu. 中文字符 日本語 أهلا Привет мир",
]
TEXTS = [
    "", " ", "Hello world", "the quick brown fox", "It's the fox's den: they'll see!", "naïve café ÀÉ", "日本語 and 中文字符",
    "a<|endoftext|>b", "<|im_start|>user hello", "one [NEW] two[NEW]", "[CLS] a [MASK]b", "<unusual> token", "İstanbul ΣΑΣ ﬁ",
    "x\u0000y\ufffdz\u200b\u00ad w\tv\r\nu\u3000t", "hello##there unknown", "Hello\u0301 WORLD", "word" * 30, " two  spaces   and \n <s> x</s>  y",
]


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TRAINING * 3, trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def two_files(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
    return {"vocab.json": json.dumps(model["vocab"], ensure_ascii=False), "merges.txt": "#version: 0.2\n" + merges}


def whole(tokenizer):
    return {"tokenizer.json": json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))}


def with_config(files, **config):
    return {**files, "tokenizer_config.json": json.dumps(config, ensure_ascii=False)}


def framed(tokenizer):
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", pair="<|endoftext|> $A $B", special_tokens=[("<|endoftext|>", 0)])
    return tokenizer


def neox(tokenizer):
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def pieces(lower=True):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(TRAINING * 3, trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    vocabulary = tokenizer.get_vocab()
    return [token for token, _ in sorted(vocabulary.items(), key=lambda item: item[1])]


def lines(pieces):
    return {"vocab.txt": "".join(piece + "\n" for piece in pieces)}


def converted(**fields):
    """What transformers 5 saves of a SentencePiece model without a class of its own (`\\A` in a normalizer), or of Llama's."""
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TRAINING * 3), model_prefix=os.path.join(folder, "tokenizer"), vocab_size=340, model_type="bpe",
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
        if fields:
            with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
                json.dump(fields, file)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.save_pretrained(os.path.join(folder, "saved"))
        files = {}
        for name in os.listdir(os.path.join(folder, "saved")):
            with open(os.path.join(folder, "saved", name), encoding="utf-8") as file:
                files[name] = json.dumps(json.load(file), ensure_ascii=False, separators=(",", ":"))
        return files


GPT2 = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}


def cases():
    pairs = two_files(byte_pairs())
    words = pieces()
    return {
        "gpt2": with_config(pairs, tokenizer_class="GPT2Tokenizer", **GPT2, model_max_length=1024),
        "gpt2-class": with_config(pairs, tokenizer_class="GPT2Tokenizer"),
        "gpt2-bos": with_config(pairs, tokenizer_class="GPT2Tokenizer", add_bos_token=True, **GPT2),
        "gpt2-json": with_config(
            whole(byte_pairs()), tokenizer_class="GPT2Tokenizer", add_bos_token=False,
            chat_template="{{ messages }}", **GPT2),
        "neox-json": with_config(whole(neox(byte_pairs())), tokenizer_class="GPTNeoXTokenizerFast", **GPT2),
        "framed-json": with_config(
            whole(framed(byte_pairs())), tokenizer_class="PreTrainedTokenizerFast", bos_token="<|endoftext|>"),
        # Files of early versions, which say what is added by numbers alone.
        "gpt2-added": {
            **with_config(pairs, tokenizer_class="GPT2Tokenizer", **GPT2, additional_special_tokens=["<|im_start|>"]),
            "added_tokens.json": json.dumps({"<|im_start|>": 300, "[NEW]": 301}),
            "special_tokens_map.json": json.dumps({"additional_special_tokens": ["<|im_start|>"]}),
        },
        "json-added": {
            **with_config(whole(byte_pairs()), tokenizer_class="PreTrainedTokenizerFast", eos_token="<|endoftext|>"),
            "added_tokens.json": json.dumps({"[NEW]": 300}),
        },
        "backend-json": converted(),
        "llama-json": converted(tokenizer_class="LlamaTokenizer"),
        "bert": with_config(lines(words), tokenizer_class="BertTokenizer", model_max_length=512),
        "bert-cased": with_config(lines(pieces(False)), tokenizer_class="BertTokenizer", do_lower_case=False),
        "bert-accents": with_config(
            lines(words), tokenizer_class="BertTokenizerFast", do_lower_case=True, strip_accents=False,
            tokenize_chinese_chars=False),
        "bert-names": with_config(
            lines(["<pad>" if piece == "[PAD]" else "<unk>" if piece == "[UNK]" else piece for piece in words]),
            tokenizer_class="DistilBertTokenizer", unk_token="<unk>", pad_token="<pad>"),
        # Lines of Windows, one without a piece, one twice, and white space at an end.
        "bert-lines": with_config(
            {"vocab.txt": "\r\n".join(words[:60] + ["", "hello \u3000", "hello"] + words[60:] + ["the"]) + "\r\n"},
            tokenizer_class="BertTokenizer"),
        "bert-added": {
            **with_config(lines(words), tokenizer_class="BertTokenizer"),
            "added_tokens.json": json.dumps({"[NEW]": 200, "unusual": 201}),
        },
    }


def main():
    made = {}
    for name, files in cases().items():
        with tempfile.TemporaryDirectory() as folder:
            for file, text in files.items():
                with open(os.path.join(folder, file), "w", encoding="utf-8", newline="") as stream:
                    stream.write(text)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            made[name] = {
                "files": files,
                "begin": tokenizer.bos_token_id, "end": tokenizer.eos_token_id, "padding": tokenizer.pad_token_id,
                "size": len(tokenizer),
                "vectors": [
                    {"text": text, "inputs": tokenizer(text).input_ids,
                     "ids": tokenizer(text, add_special_tokens=False).input_ids}
                    for text in TEXTS],
            }
    with open(sys.argv[1], "w") as file:
        json.dump({"transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "folders": made},
                  file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


main()
