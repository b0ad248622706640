"""A refiner of the released architecture with random weights: as fast as those, with meaningless answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from common.ways import ROOT

sys.path.append(str(ROOT / "tests" / "support"))
from random_llama import RELEASED_SIZE, TASKS, TINY_SIZE, write_random_llama

_CARDS = ROOT / "prox_spark" / "refiners" / "cards" / "gair-prox"


def write_refiner(folder: Path, answer_tokens: int, tiny: bool) -> dict[str, int]:
    """Write weights, tokenizer and card.

    Args:
        folder: folder of the refiner.
        answer_tokens: limit of a program's tokens, which every program reaches: random weights end no answer.
        tiny: True for a hundredth of the size, for a CPU, with the vocabulary of the released models, which is larger
            than the tokenizer's.

    Returns:
        The size, as in `random_llama`: layers, width and vocabulary of the released models, heads and the width between
        assumed; 0.35 B parameters without the embeddings.
    """
    size = {**TINY_SIZE, "vocab_size": RELEASED_SIZE["vocab_size"]} if tiny else RELEASED_SIZE
    write_random_llama(folder, size=size)
    released = {stage: yaml.safe_load((_CARDS / f"web-{stage}-refining-lm.yaml").read_text()) for stage in TASKS}
    tasks: dict[str, Any] = dict(TASKS) if tiny else {stage: card["tasks"][stage] for stage, card in released.items()}
    tasks["chunk"] = tasks["chunk"] | {"max_answer_tokens": answer_tokens}
    card = {
        "name": "random-0.35b" if not tiny else "random-tiny",
        "licence": "Apache-2.0",
        "base": {"path": "."},
        "bos": released["doc"]["bos"],
        "context_tokens": 512 if tiny else released["doc"]["context_tokens"],
        "tasks": tasks,
    }
    (folder / "refiner.yaml").write_text(json.dumps(card))
    return size
