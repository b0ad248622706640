"""From a card to a directory that vLLM serves: base converted, adapter merged, once per machine.

Serving a LoRA adapter on CPU runs at a sixteenth of the speed of merged weights, so adapters are merged first.
Executors build by `python -m prox_spark.refiners.build NAME`, so that no Spark worker imports torch. (`--bare NAME` builds
the base alone, for an adapter that is served unmerged.)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prox_spark.errors import ProxSparkError, RefinerError
from prox_spark.locks import locked
from prox_spark.paths import cache_directory
from prox_spark.refiners.registry import Refiner, check_unchanged, find

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def built_path(refiner: Refiner) -> Path:
    """Return the directory of the weights as served. A whole transformers model is served where it lies."""
    if _is_served_as_it_lies(refiner):
        return refiner.base_source
    # A base without adapter is named after its wheel: all refiners with this base share it.
    name = refiner.card.name.replace("/", "--") if refiner.adapter else str(refiner.card.base.wheel)
    return cache_directory() / "refiners" / f"{name}-{refiner.model_fingerprint[:12]}"


def _is_served_as_it_lies(refiner: Refiner) -> bool:
    return refiner.adapter is None and not refiner.card.base.wheel


def is_built(refiner: Refiner) -> bool:
    """Return True if the weights are ready here.

    Always False for hub models: only the hub's client knows its cache, and `build` asks it.
    """
    if _is_served_as_it_lies(refiner) and refiner.is_on_hub:
        return False
    return (built_path(refiner) / "config.json").exists()


def build(refiner: Refiner) -> Path:
    """Convert and merge the weights, unless that is done already.

    Returns:
        Directory with config.json, model.safetensors (bfloat16) and tokenizer.json.

    Raises:
        RefinerError: a package for building is missing, or the base can't be read.
    """
    return make_once(built_path(refiner) / "config.json", lambda partial: _write_merged(refiner, partial)).parent


def tokenizer_json(refiner: Refiner) -> Path:
    """Return the path of the refiner's tokenizer.json. No weights are downloaded, converted or merged for it.

    Raises:
        RefinerError: as for build, or the refiner has none.
    """
    if _is_served_as_it_lies(refiner) or not (is_built(refiner) or refiner.card.base.wheel):
        path = refiner.tokenizer_source / "tokenizer.json"
    elif is_built(refiner):
        path = built_path(refiner) / "tokenizer.json"
    else:
        home = built_path(refiner).with_name(f"{built_path(refiner).name}-tokenizer")
        path = make_once(home / "tokenizer.json", lambda partial: _write_tokenizer(refiner, partial))
    if not path.exists():
        raise RefinerError(
            f"refiner {refiner.card.name}: {path} is missing; save its tokenizer with transformers' AutoTokenizer"
        )
    return path


def make_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Write a directory, whole or not at all, unless it exists already. Return `path`.

    Args:
        path: a file in the directory that is there if and only if the directory is complete.
        write: writes the directory at the path that it is given.
    """
    target = path.parent
    if path.exists():
        return path
    target.parent.mkdir(parents=True, exist_ok=True)
    # One builder per machine; the others wait here and then find the result.
    with locked(target.parent, f".{target.name}.lock"):
        if not path.exists():
            partial = target.with_name(f".{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            write(partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    return path


def _write_tokenizer(refiner: Refiner, target: Path) -> None:
    """Write the tokenizer of a GGUF file."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # the GGUF reader's bar; read when tqdm is imported
    with _missing_packages_named(refiner):
        from transformers import AutoTokenizer

        source = refiner.base_source
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)


@contextmanager
def _missing_packages_named(refiner: Refiner) -> Iterator[None]:
    """Name what to install if an import fails. Transformers imports its GGUF reader only when it reads such a file."""
    try:
        yield
    except ImportError as error:
        raise RefinerError(
            f"building refiner {refiner.card.name} needs a package that is not installed: {error}. Install all that it needs: "
            "pip install torch transformers accelerate peft gguf"
        ) from error


def load_base(refiner: Refiner) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the base of a refiner, in float32 and without its adapter, and its tokenizer.

    Raises:
        RefinerError: a package is missing, or the base can't be read.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # the GGUF reader's bar; read when tqdm is imported
    with _missing_packages_named(refiner):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        source = refiner.base_source
        if not refiner.card.base.gguf:
            model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
            return model, AutoTokenizer.from_pretrained(source)
        from transformers import GgufConfig

        model = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        return model, AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)


def _write_merged(refiner: Refiner, target: Path) -> None:
    model, tokenizer = load_base(refiner)
    if refiner.adapter:
        with _missing_packages_named(refiner):
            from peft import PeftModel

        model = PeftModel.from_pretrained(model, refiner.adapter).merge_and_unload()
    import torch

    # Merged in float32 and rounded once. On a CPU without bfloat16, float32 weights would gain less than the noise of Q4.
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


def main(argv: list[str]) -> int:
    """Build refiners and print their directories."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", metavar="NAME", nargs="+", help="a refiner")
    parser.add_argument("--bare", action="store_true", help="build the base alone, without the adapter")
    parser.add_argument("--expect", metavar="PRINT", help="fail unless its fingerprint is this")
    args = parser.parse_args(argv)
    try:
        for refiner in map(find, args.names):
            served = refiner.bare if args.bare else refiner
            if args.expect:
                check_unchanged(served, args.expect)
            print(build(served))
    except ProxSparkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
