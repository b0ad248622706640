"""What is minimised, and what validation says of it. Imports torch: only `adapt` imports this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from prox_spark.training.examples import Example

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Collator:
    """Turns examples into one padded batch.

    Args:
        pad_id: token that fills up on the right, where no answer attends to it.
        verdict_weight: weight of the first answer token in the document stage.
    """

    pad_id: int
    verdict_weight: float

    def __call__(self, batches: Sequence[Sequence[Example]]) -> Batch:
        """One batch, as the loader hands it over: a list of one.

        Returns:
            `input_ids`: (examples, longest), padded on the right: what causal attention never sees needs no mask, and
            without one it computes half as much. `answers`, `weights`: (examples, longest answer), weight 0 where there is
            none. `places`: of the same shape, the positions whose logits are of these answers. `doubts`, `others`: (examples,),
            the probability that the first token should be another, and which. `line_ends`: (lines, 2),
            example and position; `line_removed`: (lines,).
        """
        (examples,) = batches
        width = max(example.n_tokens for example in examples)
        longest = max(len(example.answer_ids) for example in examples)
        rows, answers, weights, places, line_ends = [], [], [], [], []
        removed: list[bool] = []
        for index, example in enumerate(examples):
            n_pad, n_short = width - example.n_tokens, longest - len(example.answer_ids)
            rows.append([*example.prompt_ids, *example.answer_ids] + [self.pad_id] * n_pad)
            answers.append([*example.answer_ids] + [self.pad_id] * n_short)
            first = self.verdict_weight if example.stage == "doc" else 1.0
            weights.append([first] + [1.0] * (len(example.answer_ids) - 1) + [0.0] * n_short)
            before = len(example.prompt_ids) - 1
            places.append([*range(before, before + len(example.answer_ids))] + [before] * n_short)
            line_ends += [(index, position) for position in example.line_ends]
            removed += example.line_removed
        return {
            "input_ids": torch.tensor(rows),
            "answers": torch.tensor(answers),
            "weights": torch.tensor(weights),
            "places": torch.tensor(places),
            "doubts": torch.tensor([example.doubt for example in examples]),
            "others": torch.tensor([example.other_id for example in examples]),
            "line_ends": torch.tensor(line_ends, dtype=torch.long).reshape(-1, 2),
            "line_removed": torch.tensor(removed, dtype=torch.float32),
        }


@dataclass(frozen=True)
class AnswerLoss:
    """Weighted cross-entropy of the answers, and the second loss on lines.

    Args:
        line_weight: of the second loss; 0: none.
        line_token_ids: the tokens that stand for a line that stays and one that goes, out of the model's own vocabulary, so
            that the second loss needs no weights of its own.
    """

    line_weight: float
    line_token_ids: tuple[int, int]

    def __call__(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the model.

        Returns:
            The loss to minimise, a scalar, and the logits of the answers, (examples, longest answer, vocabulary).
        """
        answers, weights = batch["answers"], batch["weights"]
        wants_lines = self.line_weight > 0 and len(batch["line_ends"]) > 0
        # The vocabulary is as costly as a quarter of the layers: logits only where some example has an answer.
        places = batch["places"].unique()
        outputs = model(
            input_ids=batch["input_ids"], logits_to_keep=places, output_hidden_states=wants_lines, use_cache=False
        )
        rows = torch.arange(len(answers), device=answers.device)[:, None]
        logits = outputs.logits[rows, torch.searchsorted(places, batch["places"])].float()
        losses = functional.cross_entropy(logits.transpose(1, 2), answers, reduction="none")
        others = functional.cross_entropy(logits[:, 0], batch["others"], reduction="none")
        first = losses[:, 0].lerp(others, batch["doubts"])
        losses = torch.cat([first[:, None], losses[:, 1:]], dim=1)
        loss = (losses * weights).sum() / weights.sum()
        if wants_lines:
            loss = loss + self.line_weight * self._lines(model, outputs.hidden_states[-1], batch)
        return loss, logits

    def _lines(self, model: Any, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        example, position = batch["line_ends"].unbind(1)
        head = getattr(model, "module", model).get_output_embeddings().weight
        stays, goes = self.line_token_ids
        margin = hidden[example, position] @ (head[goes] - head[stays]).to(hidden.dtype)
        return functional.binary_cross_entropy_with_logits(margin.float(), batch["line_removed"].to(margin.device))
