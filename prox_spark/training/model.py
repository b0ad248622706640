"""The model under training: its adapter, its weights, the files written at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prox_spark.errors import RefinerError
from prox_spark.refiners import Refiner
from prox_spark.training.cards import README
from prox_spark.training.recipe import AdaptRecipe

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def add_adapter(base: PreTrainedModel, recipe: AdaptRecipe, start: Refiner) -> PreTrainedModel | PeftModel:
    """Return the base with a trainable adapter, or unchanged if the recipe has none.

    Raises:
        RefinerError: the start has no adapter to go on from, or the base has no layer lora.first_layer.
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
        # The name in a GGUF file, which peft would look up on the hub at every checkpoint.
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
    """Round the weights of linear layers to bfloat16, once; autocast would do it in every step.

    All else keeps its precision: embeddings, which the head may share, and the frequencies of positions, which are served
    unrounded.
    """
    head = base.get_output_embeddings()
    for module in base.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            module.to(torch.bfloat16)


def describe_trained(model: PreTrainedModel | PeftModel) -> str:
    """Return which weights are trained, in words for the card."""
    if not isinstance(model, PeftModel):
        return "all weights"
    adapter = model.peft_config["default"]
    return f"LoRA, rank {adapter.r}, alpha {adapter.lora_alpha:g}, on {', '.join(sorted(adapter.target_modules))}"


def find_end_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the token that ends an answer.

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
    """Write the adapter in float16, or the whole model in bfloat16 with its tokenizer."""
    (directory / README).unlink(missing_ok=True)  # of an earlier result: peft would add to it
    if not isinstance(model, PeftModel):
        model.to(torch.bfloat16).save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return
    model.save_pretrained(directory, save_embedding_layers=False)  # these are not trained
    path = directory / ADAPTER_WEIGHTS
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def copy_trained_state(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    """Copy the weights that are trained: the adapter, or all."""
    state = get_peft_model_state_dict(model) if isinstance(model, PeftModel) else model.state_dict()
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def load_state(model: PreTrainedModel | PeftModel, state: Mapping[str, torch.Tensor]) -> None:
    """Put the weights that `copy_trained_state` or `average_checkpoints` returned into the model.

    Raises:
        RefinerError: they are those of another model.
    """
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, dict(state))
        return
    # Tied weights are in a file once.
    missing, unexpected = model.load_state_dict(dict(state), strict=False)
    own = model.state_dict()
    loaded = {own[name].data_ptr() for name in state if name in own}
    lacking = [name for name in missing if own[name].data_ptr() not in loaded]
    if lacking or unexpected:
        raise RefinerError(
            f"the weights are those of another model (missing: {lacking}, unknown: {unexpected}): train again with --restart"
        )


def average_checkpoints(checkpoints: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Return the mean of the weights of several checkpoints."""
    states = [load_file(next(checkpoint.glob("*model.safetensors"))) for checkpoint in checkpoints]
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
