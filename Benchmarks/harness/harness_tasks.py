"""Tasks of lm-evaluation-harness over local files, with the harness's own YAML files and functions.

Only where the data come from is changed; prompts, targets, choices, metrics and sampling stay what the YAML files say.
"""

import functools
import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import datasets  # noqa: E402

datasets.disable_progress_bars()

from lm_eval.tasks import TaskManager  # noqa: E402


@functools.cache
def manager():
    """Returns the index of the harness's tasks, which takes a while to read."""
    return TaskManager()


def task(name, files):
    """Returns the harness's task over `files`, a dictionary of split -> list of documents."""
    tasks = manager()
    entry = tasks._index[name]
    config = tasks._factory._load_full_config(entry, None)
    names = {"train": "training_split", "validation": "validation_split", "test": "test_split"}
    splits = {config[key]: files[split] for split, key in names.items() if config.get(key) and split in files}
    overrides = {
        "custom_dataset": lambda **_: datasets.DatasetDict(
            {split: datasets.Dataset.from_list(documents) for split, documents in splits.items()}
        )
    }
    # A split without data is no split of the task: a missing one changes the rules of sampling, so that is refused.
    missing = [s for s, key in names.items() if config.get(key) and s not in files]
    if missing and set(missing) & {"test"}:
        raise SystemExit(f"{name}: the files of {missing} are missing")
    if missing:
        # Zero-shot runs never read it, but the task looks at its documents when it is made.
        documents = files.get("validation") or files["test"]
        overrides["custom_dataset"] = lambda **_: datasets.DatasetDict(
            {config[names[s]]: datasets.Dataset.from_list(files.get(s, documents)) for s in names if config.get(names[s])}
        )
    return tasks._factory.build(entry, overrides=overrides, registry=tasks._index)


def read(path):
    """Returns the documents of a file of JSON lines, plain or gzip."""
    import gzip

    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines if line.strip()]
