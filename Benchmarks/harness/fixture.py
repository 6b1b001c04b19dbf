"""Writes what lm-evaluation-harness and Python's `random` do, for the unit tests of `retnet eval tasks`.

    python fixture.py ../../Tests/RetNetEvaluationTests/Fixtures/harness.json

The documents are written for this purpose in the formats of the data sets; none is taken from one. The scores are made up
from a checksum of each request, in few levels, so that some are equal. Made with lm_eval 0.4.13 on CPython 3.11.
"""

import json
import os
import random
import sys
import zlib

os.environ["DISABLE_MULTIPROC"] = "1"

import lm_eval  # noqa: E402
from lm_eval import utils  # noqa: E402
from lm_eval.api.model import LM, TemplateLM  # noqa: E402

import harness_tasks  # noqa: E402

BOOTSTRAP = 2500

HELLASWAG = [
    ["Washing dishes", "[header] How to rinse a cup [title] Take the cup .  Hold it.", "THEN, ΟΔΟΣ and İstanbul", 2,
     ["pour water in.", " [title] Turn it  over [step] and wait.", "it [substeps]shines   brightly", "throw it"]],
    ["Chess", "Two players sit down.", "ǆungla is where they", 0,
     ["play until one of them wins.", "eat the [unclosed board", "leave 👩‍👩‍👧 and wave", "ﬁnd a [two\nlines] pen"]],
    ["Gardening ", "  A man waters a rose.", "", 3, ["he", "he smiles.", "he  smiles  twice.", "The rose is wet"]],
    ["Cooking", "Peel the onion [title] Cut it.", "ßtir the pot", 1, ["a", "bb", "ccc", "dddd"]],
    ["Music", "She tunes the violin.", "she", 2, ["plays.", "plays a tune.", "bows é", "bows e\u0301"]],
]
COPA = [
    ["The lamp went out.", "The bulb was old.", "Éva slept.", "cause", 0],
    ["The dog barked! ", "The cat ran away.", "İt was raining.", "effect", 1],
    ["Snow fell", "It was cold.", "It was cold.", "cause", 1],
    ["The bread burned.", "We ate rice.", "We ate the bread.", "effect", 0],
    ["The glass fell.", "It broke.", "It grew.", "effect", 0],
]
WINOGRANDE = [
    ["Nora lent Ines her bicycle because _ had two of them.", "Nora", "Ines", "1"],
    ["The rope was longer than the pole, so _  was cut .", "the rope", "the pole", "1"],
    ["Tom paid Ali and then _", "Tom", "Ali", "2"],
    ["_ came late to the play that Ada and Bo saw, said Bo_.", "Ada", "Bo", "1"],
    ["Kim carried Lou because _ was tired.", "Kim", "Lou", "2"],
]
WSC = [
    ["The kite hit the tree because it  was too low.", "it", 30, ["The kite", "The tree"], 1],
    ["Ada thanked Bo. She smiled.", "She", 16, ["Ada", "The Bo"], 0],
    ["Ada took Bo to his house.", "his", 15, ["The man", "A boy"], 1],
    ["He ran after the bus, said Tom of Sam.", "He", 0, ["Tom", "The Sam"], 1],
    ["The cup fell off the shelf when it moved", "it", 33, ["The cup", "the shelf"], 1],
]
PIQA = [
    ["To dry a wet shoe,", "fill it with paper.", "fill it with water — twice.", 0],
    ["open a jar", "Hit it.", "Warm the lid", 1],
    ["Keep bread soft?", "bag", "sun", 0],
    ["Sharpen a pencil ", "with a knife", "with a spoon 🥄", 0],
    ["Fold a map", "along its folds", "in a ball", 0],
]
BOOLQ = [
    ["is a whale a fish", "Whale -- Whales are mammals.\nThey live in the sea.", 0],
    ["does ice float", "Ice -- Ice is lighter than water.", 1],
    ["is the moon a planet", "Moon -- The Moon goes round the Earth. ", 0],
    ["can a spider fly", "Spiders -- Some let the wind carry them.", 1],
    ["is gold a metal", "Gold", 1],
]
ARC = [
    ["Which one is hot?", ["ice", "fire", "snow", "rain"], ["A", "B", "C", "D"], "B"],
    ["How many legs has an ant?", ["4", "6", "8"], ["1", "2", "3"], "2"],
    ["What do plants need?", ["light", "noise", "coins", "paint"], ["A", "B", "C", "D"], "A"],
    ["Which is a bird?", ["carp", "wren", "newt"], ["A", "B", "C"], "B"],
]
SCIQ = [
    ["  Water boils at 100 degrees.", "When does water boil?", "50 degrees", "0 degrees", "-1", "100 degrees"],
    ["", "What is the red planet?", "Venus", "Earth", "Pluto", "Mars"],
    ["Bees make honey.\n", "What makes honey?", "ants", "wasps", "flies", "bees"],
    ["Salt dissolves.", "What dissolves?", "sand", "iron", "wood", "salt"],
]
STORIES = [
    ["Ada bought a plant.", "She put it in the sun.", "She watered it daily.", "It grew.", "Ada was glad.", "Ada sold ice.", 1],
    ["Bo lost a key.", "He looked everywhere.", "It was dark.", "He had a lamp.", "Bo ate it.", "Bo found the key.", 2],
    ["Cy ran.", "It rained.", "Cy slipped.", "Cy stood up.", "Cy flew home.", "Cy ran on.", 2],
    ["Di sang.", "People came.", "They clapped.", "Di bowed.", "She sang again.", "She was a cat.", 1],
]
LAMBADA = [
    "The baker looked at the oven, then at the clock, and took out the bread",
    "“Where is the boat?” asked Ann.\n\n“At the pier,” said Ben, and they ran to the  boat",
    "Single",
    "He said it was over. It was not over\nyet",
    "They met in spring , they parted in spring",
]
WIKI = [
    " = Old Mill = \n \n The Old Mill ( built 1850 ) is a mill . It has 1 @,@ 200 stones , 3 @.@ 5 wheels ; a half @-@ door : \" oak \" "
    "and an owner 's house . \n \n = = History = = \n \n It ' s said that the millers ' guild met here ? Yes ! \n = = = Fire = = = \n "
    "At 40 ° N it burned [ sic ] { twice } ( \n ) (open \n",
    " = Short = \n  One line . \n",
    "No title , \t tabs\u2028and  spaces /' 5/ N ends",
]


def documents(name):
    """Returns {split: documents} of a task, in the fields of its data set."""
    def hellaswag(rows):
        keys = ["activity_label", "ctx_a", "ctx_b", "label", "endings"]
        return [dict(zip(keys, r)) | {"label": str(r[3]), "ind": i} for i, r in enumerate(rows)]

    def of(keys, rows):
        return [dict(zip(keys, r)) for r in rows]

    arc_like = [{"id": str(i), "choices": {"text": r[1], "label": r[2]}, "answerKey": r[3]} for i, r in enumerate(ARC)]
    arc = [{"question": r[0]} | d for r, d in zip(ARC, arc_like)]
    book = [{"question_stem": r[0]} | d | {"answerKey": " " + d["answerKey"] if i == 1 else d["answerKey"]}
            for i, (r, d) in enumerate(zip(ARC, arc_like))]
    story_keys = [f"input_sentence_{i}" for i in (1, 2, 3, 4)] + ["sentence_quiz1", "sentence_quiz2", "answer_right_ending"]
    stories = of(story_keys, STORIES)
    science = of(["support", "question", "distractor1", "distractor2", "distractor3", "correct_answer"], SCIQ)
    texts = [{"text": t} for t in LAMBADA]
    pages = [{"page": p} for p in WIKI]
    copa = of(["premise", "choice1", "choice2", "question", "label"], COPA)
    grande = of(["sentence", "option1", "option2", "answer"], WINOGRANDE)
    piqa = of(["goal", "sol1", "sol2", "label"], PIQA)
    boolq = of(["question", "passage", "label"], BOOLQ)
    # Where the data set has a training split it holds two of the evaluated documents, which must not be drawn for themselves.
    trained = {
        "hellaswag": hellaswag(HELLASWAG), "copa": copa, "winogrande": grande, "piqa": piqa, "boolq": boolq,
    }
    if name in trained:
        return {"train": trained[name], "validation": trained[name][:3]}
    if name.startswith("arc") or name in ("openbookqa", "sciq"):
        rows = {"openbookqa": book, "sciq": science}.get(name, arc)
        return {"train": rows[1:], "validation": rows[:1], "test": rows[:3]}
    if name.startswith("storycloze"):
        return {"validation": stories[1:], "test": stories[:3]}
    if name == "wsc273":
        return {"test": of(["text", "pronoun", "pronoun_loc", "options", "label"], WSC)}
    if name == "lambada_openai":
        return {"test": texts}
    if name == "lambada_standard":
        return {"validation": texts[1:], "test": texts[:3]}
    return {"train": pages[1:], "validation": pages[:1], "test": pages}


def score(*texts):
    """Returns a made-up score of a request, in quarters, and whether it is greedy."""
    check = zlib.crc32("\x00".join(texts).encode())
    return -0.25 * (1 + check % 37), check % 3 == 0


class MadeUpScores(LM):
    """A model whose scores are checksums."""

    def loglikelihood(self, requests):
        return [score(*r.args) for r in requests]

    def loglikelihood_rolling(self, requests):
        return [score(*r.args)[0] for r in requests]

    def generate_until(self, requests):
        raise NotImplementedError


class Bytes(TemplateLM):
    """The encoding of pairs with bytes as tokens, 254 for the end and 255 for the beginning of a text."""

    def __init__(self, begin):
        super().__init__()
        self.begin = begin

    eot_token_id = 254
    prefix_token_id = 255

    def tok_encode(self, string, add_special_tokens=None, **_):
        return ([255] if self.begin and add_special_tokens is not False else []) + list(string.encode())

    def _loglikelihood_tokens(self, requests, **_):
        self.seen = requests
        return [(0.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError


def runs(name):
    files = documents(name)
    results = []
    print(name, flush=True)
    for shots in [0] if name == "wikitext" else [0, 2]:
        # Limits are applied by the harness itself, to the first documents.
        task = harness_tasks.task(name, files)
        out = lm_eval.simple_evaluate(
            model=MadeUpScores(), tasks=[task], num_fewshot=shots, bootstrap_iters=BOOTSTRAP,
            log_samples=True, task_manager=harness_tasks.manager())
        samples = out["samples"][name]
        figures = {k: v for k, v in out["results"][name].items() if "," in k}
        results.append({
            "shots": shots,
            "requests": [[list(a) for a in s["arguments"]] for s in samples],
            "scores": [[list(r[0]) if isinstance(r[0], tuple) else [r[0], True] for r in s["resps"]] for s in samples],
            "targets": [str(s["target"]) for s in samples],
            "checksums": [[s["doc_hash"], s["prompt_hash"], s["target_hash"]] for s in samples],
            "metrics": figures,
        })
    return {"files": files, "version": str(out["versions"][name]), "runs": results}


def draws(seed):
    r = random.Random(seed)
    widths = [1, 3, 8, 31, 32, 33, 53, 64]
    result = {
        "seed": seed, "widths": widths, "bits": [str(r.getrandbits(w)) for w in widths],
        "uniform": [r.random() for _ in range(4)], "bounds": [1, 2, 7, 1000, 10**12],
    }
    result["below"] = [r.randrange(b) for b in result["bounds"]]
    result["samples"] = [{"population": n, "indices": r.sample(range(n), k)}
                         for n, k in [(5, 5), (21, 3), (22, 3), (1000, 5), (40, 8), (100, 8), (10042, 33), (300, 64)]]
    shuffled = list(range(12))
    r.shuffle(shuffled)
    result["shuffled"] = shuffled
    result["choices"] = r.choices(range(97), k=9)
    # Far beyond one block of the generator.
    for _ in range(2000):
        r.random()
    result["later"] = r.random()
    return result


def encodings():
    cases = []
    pairs = [("Where is it?", " Here"), ("ends with spaces \t\n", " and goes on"), ("nbsp\u00a0", "x"), ("", " alone"),
             ("", "ÿ"), ("é", "è"), ("a long context that is cut", " at its beginning")]
    for begin in (False, True):
        for context, continuation in pairs:
            model = Bytes(begin)

            class Request:
                args = (context, continuation)

            model.loglikelihood([Request], disable_tqdm=True)
            _, ctx, cont = model.seen[0]
            for length in (None, 20):
                inputs = (ctx + cont)[-(length + 1):][:-1] if length else (ctx + cont)[:-1]
                cases.append({"context": context, "continuation": continuation, "begin": begin, "length": length,
                              "inputs": inputs, "targets": cont})
    windows = []
    for count in (1, 3, 4, 5, 8, 9, 11):
        for length in (1, 2, 4, 100):
            pairs = map(utils.make_disjoint_window, utils.get_rolling_token_windows(
                token_list=list(range(97, 97 + count)), prefix_token=255, max_seq_len=length, context_len=1))
            windows.append({"text": "".join(map(chr, range(97, 97 + count))), "length": length,
                            "windows": [[(c + t)[-(length + 1):][:-1], t] for c, t in pairs]})
    return {"pairs": cases, "rolling": windows}


def main():
    names = ["hellaswag", "copa", "piqa", "wsc273", "winogrande", "storycloze_2016", "storycloze_2018", "boolq", "arc_easy",
             "arc_challenge", "openbookqa", "sciq", "lambada_openai", "lambada_standard", "wikitext"]
    fixture = {
        "made_with": {"lm_eval": lm_eval.__version__ if hasattr(lm_eval, "__version__") else "0.4.13",
                      "python": sys.version.split()[0]},
        "bootstrap_iterations": BOOTSTRAP,
        "tasks": {name: runs(name) for name in names},
        "random": [draws(seed) for seed in (0, 1234, 2**40 + 5)],
        "encoding": encodings(),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(fixture, file, ensure_ascii=False, indent=None, separators=(",", ":"))
        file.write("\n")


main()
