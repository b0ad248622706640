"""What a model under training is worth, by the examples it is not trained on. Cheap: no text is generated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from prox_spark.quality.documents import compute_auc
from prox_spark.training.examples import Example
from prox_spark.training.loss import AnswerLoss, Collator


@dataclass(frozen=True)
class Validation:
    """Measures a model on held-out examples.

    Args:
        batches: of examples.
        collator: makes tensors of them.
        loss: runs the model.
        verdict_ids: first tokens of the keep and the drop answer; None where no document stage is learnt.
    """

    batches: Sequence[Sequence[Example]]
    collator: Collator
    loss: AnswerLoss
    verdict_ids: tuple[int, int] | None

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module) -> dict[str, float]:
        """Measures.

        Returns:
            `loss`: mean over sets and stages. For each of these: `<set>_<stage>_loss`, in nats per answer token (in the
            document stage of the deciding token), and `<set>_doc_auc`.
        """
        device = next(model.parameters()).device
        nats: dict[str, list[float]] = defaultdict(list)
        tokens: dict[str, list[int]] = defaultdict(list)
        verdicts: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for batch in self.batches:
            tensors = {name: tensor.to(device) for name, tensor in self.collator([batch]).items()}
            _, logits = self.loss(model, tensors)
            log_probs = functional.log_softmax(logits, dim=-1)
            # To the CPU at once: a GPU is waited for each time that it is asked for a number.
            picked = log_probs.gather(2, tensors["answers"][:, :, None])[:, :, 0].cpu()
            first = log_probs[:, 0, list(self.verdict_ids or ())].cpu()
            for row, example in enumerate(batch):
                name = f"{example.label_set}_{example.stage}"
                counted = 1 if example.stage == "doc" else len(example.answer_ids)
                nats[name].append(-float(picked[row, :counted].sum()))
                tokens[name].append(counted)
                if example.keep is not None and self.verdict_ids:
                    keep, drop = first[row].tolist()
                    verdicts[name].append((keep - drop, example.keep))
        losses = {f"{name}_loss": sum(nats[name]) / sum(tokens[name]) for name in nats}
        aucs = {f"{name}_auc": _auc(scores) for name, scores in verdicts.items()}
        return {"loss": sum(losses.values()) / len(losses), **losses, **aucs}


def _auc(scored: Sequence[tuple[float, bool]]) -> float:
    """Of (margin of keep over drop, to keep); 0.5 where all are of one kind."""
    margin, keep = (np.array(column) for column in zip(*scored, strict=True))
    found = compute_auc(keep, -margin)
    return 0.5 if found is None else found
