"""The model that is trained, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prox_spark.errors import RefinerError
from prox_spark.refiners import Refiner
from prox_spark.training.recipe import AdaptRecipe

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def with_adapter(base: PreTrainedModel, recipe: AdaptRecipe, start: Refiner) -> PreTrainedModel | PeftModel:
    """The base with a trainable adapter; as it is where the recipe has none.

    Raises:
        RefinerError: the start has no adapter to go on from, or there is no such layer.
    """
    lora = recipe.lora
    if lora is None:
        return base
    if recipe.start.adapter:
        if start.adapter is None:
            raise RefinerError(f"refiner {start.card.name} has no adapter: set start.adapter to false")
        model = PeftModel.from_pretrained(base, start.adapter, is_trainable=True)
    else:
        torch.manual_seed(recipe.optimiser.seed)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(base, config)
    adapter = model.peft_config["default"]
    if not Path(adapter.base_model_name_or_path or "").is_dir():
        # A GGUF file's own name, which the library would look for on the hub at every checkpoint.
        adapter.base_model_name_or_path = ""
    n_layers = base.config.num_hidden_layers
    if lora.first_layer >= n_layers:
        raise RefinerError(f"lora.first_layer is {lora.first_layer}, and the base has {n_layers} layers")
    frozen = tuple(f".layers.{layer}." for layer in range(lora.first_layer))
    for name, parameter in model.named_parameters():
        if any(layer in name for layer in frozen):
            parameter.requires_grad_(False)
    return model


def round_linear_layers(base: PreTrainedModel) -> None:
    """Rounds the weights of linear layers to bfloat16, as autocast does anew in every step where they stay float32.

    The rest keeps its precision: embeddings, which the head may share, and frequencies of positions, which the model is served with
    unrounded.
    """
    head = base.get_output_embeddings()
    for module in base.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            module.to(torch.bfloat16)


def in_words(model: PreTrainedModel | PeftModel) -> str:
    """What is trained, for the card."""
    if not isinstance(model, PeftModel):
        return "all weights"
    adapter = model.peft_config["default"]
    return f"LoRA, rank {adapter.r}, alpha {adapter.lora_alpha:g}, on {', '.join(sorted(adapter.target_modules))}"


def end_token_id(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an answer.

    Raises:
        RefinerError: the base has none.
    """
    ids = model.config.eos_token_id
    first = ids[0] if isinstance(ids, list) and ids else ids
    token_id = first if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    if not isinstance(token_id, int):
        raise RefinerError(
            "the base's tokenizer names no token that ends a text: set eos_token in its tokenizer_config.json"
        )
    return token_id


def write_weights(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Writes the adapter in float16, or the whole model in bfloat16 with its tokenizer."""
    if not isinstance(model, PeftModel):
        model.to(torch.bfloat16).save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return
    model.save_pretrained(directory, save_embedding_layers=False)  # these are not trained
    (directory / "README.md").unlink(missing_ok=True)  # the library's empty form; ours follows
    path = directory / ADAPTER_WEIGHTS
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def trained_state(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    """A copy of the weights that are trained: the adapter, or all."""
    state = get_peft_model_state_dict(model) if isinstance(model, PeftModel) else model.state_dict()
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def load_state(model: PreTrainedModel | PeftModel, state: Mapping[str, torch.Tensor]) -> None:
    """Puts weights in their place that `trained_state` or `mean_state` returned."""
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, dict(state))
        return
    # A file holds tied weights once.
    missing, unexpected = model.load_state_dict(dict(state), strict=False)
    own = model.state_dict()
    loaded = {own[name].data_ptr() for name in state}
    assert not unexpected and all(own[name].data_ptr() in loaded for name in missing), (missing, unexpected)


def mean_state(checkpoints: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of several checkpoints' weights."""
    states = [load_file(next(checkpoint.glob("*model.safetensors"))) for checkpoint in checkpoints]
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
