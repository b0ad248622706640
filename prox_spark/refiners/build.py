"""From a card to a directory that vLLM serves: base converted, adapter merged, once per machine.

Serving a LoRA adapter on CPU runs at a sixteenth of the speed of merged weights, so adapters are merged first.
`python -m prox_spark.refiners.build NAME` is how executors build, so that no Spark worker imports torch.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from prox_spark.errors import ProxSparkError, RefinerError
from prox_spark.paths import cache_directory
from prox_spark.refiners.registry import Refiner, find


def built_path(refiner: Refiner) -> Path:
    """Directory of the weights as served. A whole transformers model is served where it lies."""
    if refiner.adapter is None and not refiner.card.base.wheel:
        return refiner.base_source
    name = refiner.card.name.replace("/", "--")
    return cache_directory() / "refiners" / f"{name}-{refiner.model_fingerprint[:12]}"


def is_built(refiner: Refiner) -> bool:
    """Is there nothing left to do."""
    return (built_path(refiner) / "config.json").exists()


def build(refiner: Refiner) -> Path:
    """Converts and merges what is not built yet.

    Returns:
        A directory with config.json, model.safetensors (bfloat16) and tokenizer.json.

    Raises:
        RefinerError: a package for building is missing, or the base can't be read.
    """
    target = built_path(refiner)
    if is_built(refiner):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # One builder per machine; the others wait here and find the result.
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built(refiner):
            partial = target.with_name(f".{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _write_merged(refiner, partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)  # whole or not at all
    return target


def tokenizer_directory(refiner: Refiner) -> Path:
    """Directory with the tokenizer as served. The weights of a hub model that is served as it is are not fetched for it.

    Raises:
        RefinerError: as `build`, or there is no tokenizer.json.
    """
    is_whole = refiner.card.base.hub and refiner.adapter is None
    directory = refiner.description_source if is_whole else build(refiner)
    if not (directory / "tokenizer.json").exists():
        raise RefinerError(
            f"refiner {refiner.card.name}: {directory / 'tokenizer.json'} is missing; save its tokenizer with transformers' AutoTokenizer"
        )
    return directory


def _write_merged(refiner: Refiner, target: Path) -> None:
    os.environ.setdefault("TQDM_DISABLE", "1")  # the GGUF reader's bar; read when tqdm is imported
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise RefinerError(
            f"building refiner {refiner.card.name} needs {error.name}: see the README, refiners, for what it is built with"
        ) from error
    transformers_logging.disable_progress_bar()
    source = refiner.base_source
    if refiner.card.base.gguf:
        from transformers import GgufConfig

        model = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    else:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source)
    if refiner.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, refiner.adapter).merge_and_unload()
    # Merged in float32, rounded once. What a CPU without bfloat16 gains from float32 weights is below the noise of Q4.
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


def main(argv: list[str]) -> int:
    """Builds the named refiners and prints their directories."""
    try:
        for name in argv:
            print(build(find(name)))
    except ProxSparkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
