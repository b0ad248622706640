"""The loss and what validation says of a model, on real torch, with a tiny random Llama."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from random_llama import write_random_llama

from prox_spark.labels import estimate_verdict_doubt
from prox_spark.training.examples import Example

pytestmark = pytest.mark.unit

STAYS, GOES = 11, 12
KEEP, DROP = 44, 47
EXAMPLES = [
    Example("chunk", "a", range(5, 35), [40, 41, 42, 2], line_ends=[9, 19, 29], line_removed=[True, False, False]),
    Example("chunk", "a", range(50, 60), [43, 2], line_ends=[4, 8], line_removed=[True, True]),
    Example("doc", "b", range(60, 80), [KEEP, 45], keep=True),
    Example("doc", "b", range(90, 97), [DROP, 45, 2], keep=False),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    folder: Path = tmp_path_factory.mktemp("llama")
    write_random_llama(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def log_probabilities(model: Any, example: Example) -> Any:
    """At every position, of one example alone: nothing is padded."""
    import torch

    ids = torch.tensor([[*example.prompt_ids, *example.answer_ids]])
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=ids).logits[0], dim=-1)


def nats(model: Any, example: Example) -> Any:
    """Of each token of the answer."""
    import torch

    before = log_probabilities(model, example)[len(example.prompt_ids) - 1 : -1]
    return -before[torch.arange(len(example.answer_ids)), torch.tensor(example.answer_ids)]


def test_batch_of_a_verdict_without_doubt_has_a_loss(model: Any) -> None:
    from prox_spark.training.loss import AnswerLoss, Collator

    sure = replace(EXAMPLES[2], doubt=estimate_verdict_doubt(5, 5, 0.4))
    loss, _ = AnswerLoss(0.0, (STAYS, GOES))(model, Collator(pad_id=0, verdict_weight=4.0)([[sure]]))
    assert loss > 0


def test_loss_of_a_padded_batch_is_that_of_its_examples_one_by_one(model: Any) -> None:
    import torch

    from prox_spark.training.loss import AnswerLoss, Collator

    batch = Collator(pad_id=0, verdict_weight=4.0)([EXAMPLES])
    with torch.no_grad():
        loss, logits = AnswerLoss(0.0, (STAYS, GOES))(model, batch)
        with_lines, _ = AnswerLoss(0.5, (STAYS, GOES))(model, batch)
    weights = [torch.ones(4), torch.ones(2), torch.tensor([4.0, 1.0]), torch.tensor([4.0, 1.0, 1.0])]
    expected = torch.cat([nats(model, example) * weight for example, weight in zip(EXAMPLES, weights, strict=True)])
    torch.testing.assert_close(loss, expected.sum() / torch.cat(weights).sum())
    assert logits.shape == (4, 4, model.config.vocab_size)

    margins, removed = [], []
    for example in EXAMPLES[:2]:
        at_ends = log_probabilities(model, example)[list(example.line_ends)]
        margins.append(at_ends[:, GOES] - at_ends[:, STAYS])
        removed += example.line_removed
    lines = torch.nn.functional.binary_cross_entropy_with_logits(torch.cat(margins), torch.tensor(removed).float())
    torch.testing.assert_close(with_lines - loss, 0.5 * lines)


def test_doubtful_verdict_is_learnt_as_a_mixture_of_both(model: Any) -> None:
    import torch

    from prox_spark.training.loss import AnswerLoss, Collator

    sure, doubtful = EXAMPLES[0], replace(EXAMPLES[2], doubt=0.3, other_id=DROP)
    with torch.no_grad():
        loss, _ = AnswerLoss(0.0, (STAYS, GOES))(model, Collator(0, 4.0)([[sure, doubtful]]))
    kept, rest = nats(model, doubtful)
    dropped = -log_probabilities(model, doubtful)[len(doubtful.prompt_ids) - 1, DROP]
    expected = nats(model, sure).sum() + 4.0 * (0.7 * kept + 0.3 * dropped) + rest
    torch.testing.assert_close(loss, expected / (len(sure.answer_ids) + 4.0 + 1.0))


def test_validation_says_nats_per_token_and_how_well_verdicts_are_ordered(model: Any) -> None:
    from prox_spark.training.loss import AnswerLoss, Collator
    from prox_spark.training.validation import Validation

    batches = [EXAMPLES[:3], EXAMPLES[3:]]
    measure = Validation(batches, Collator(0, 4.0), AnswerLoss(0.0, (STAYS, GOES)), (KEEP, DROP))
    chunk = float(sum(nats(model, example).sum() for example in EXAMPLES[:2])) / 6
    doc = float(sum(nats(model, example)[0] for example in EXAMPLES[2:])) / 2
    margins = [log_probabilities(model, e)[len(e.prompt_ids) - 1] for e in EXAMPLES[2:]]
    kept, dropped = (float(at[KEEP] - at[DROP]) for at in margins)
    expected = {"loss": (chunk + doc) / 2, "a_chunk_loss": chunk, "b_doc_loss": doc, "b_doc_auc": float(kept > dropped)}
    assert measure(model) == pytest.approx(expected, rel=1e-4)


def test_only_weights_of_linear_layers_are_rounded_before_training(model: Any) -> None:
    from copy import deepcopy

    import torch

    from prox_spark.training.model import round_linear_layers

    rounded = deepcopy(model)
    round_linear_layers(rounded)
    head, layers = rounded.get_output_embeddings(), rounded.model.layers
    assert {p.dtype for name, p in layers.named_parameters() if "proj" in name} == {torch.bfloat16}
    rest = [p for name, p in rounded.named_parameters() if "proj" not in name]
    assert {tensor.dtype for tensor in [*rest, *rounded.buffers(), head.weight]} == {torch.float32}
    # The places of tokens, rounded, would be others than those that the refiner is served with.
    frequencies = [b for name, b in rounded.named_buffers() if "inv_freq" in name]
    assert frequencies and all(torch.equal(a, b) for a, b in zip(frequencies, model.buffers(), strict=True))
