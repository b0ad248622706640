"""The prompt self-test of a run: each refiner answers a fixed sample before the run asks it about documents."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from prox_spark.config import SelfTestConfig
from prox_spark.errors import ReasonCode
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.asking.generate import GenerateMissing, without_timeouts
from prox_spark.pipeline.asking.stages import RefinerStage
from prox_spark.prompts import Prompt
from prox_spark.quality.sample import PAGES
from prox_spark.quality.self_test import SampleAnswer, check
from prox_spark.runs.run import Run
from prox_spark.udfs.prompts import PROMPTS

LOG = logging.getLogger(__name__)
# Number of the wave in `generations` and `runs.engine_waves`: before the first.
WAVE = -1


@dataclass(frozen=True)
class SelfTest:
    """Tests a stage once, right before its first prompts. It is `GenerateMissing.before_asking`.

    The sample is answered without a grammar and without the two fixed answers of the document stage, because a model that is
    held to an answer gives it in whatever format it is asked. The stages are not both tested at the start of the run, because
    two refiners that don't fit side by side would have to start two engines each. The answers are stored as generations, so
    that the next run on the lake has them already.

    Args:
        lake: stores the answers.
        run: books them.
        config: the limits.

    Raises:
        SelfTestError: the answers miss the limits.
    """

    lake: Lake
    run: Run
    config: SelfTestConfig
    _passed: set[str] = field(default_factory=set)

    def __call__(self, stage: RefinerStage) -> None:
        """Ask and judge, unless the recipe says not to or this run has done it before."""
        name = stage.builder.stage
        if not self.config.enabled or name in self._passed:
            return
        free = stage.in_its_own_words()
        prompts = [(page, prompt) for page in PAGES for prompt in free.builder.build_prompts(page)]
        told = check(stage.refiner.card, name, self._ask(free, prompts), self.config)
        LOG.info("self-test of the %s stage: %s", name, told)
        self._passed.add(name)

    def _ask(self, stage: RefinerStage, prompts: list[tuple[str, Prompt]]) -> list[SampleAnswer]:
        rows = [
            (None, None, p.key, p.chunk_index, p.line_start, p.line_end, p.skip_reason, p.token_ids) for _, p in prompts
        ]
        frame = self.lake.spark.createDataFrame(rows, PROMPTS)
        label = f"self-test of the {stage.builder.stage} stage"
        with GenerateMissing(self.lake, self.run)(frame, stage, WAVE, label) as generations:
            stored = without_timeouts(generations).select("generation_key", "output_text", "error_message")
            answers = {key: answer for key, *answer in stored.collect()}
        return [
            SampleAnswer(
                page,
                prompt,
                stage.builder.tokenizer.decode(prompt.token_ids, skip_special_tokens=False),
                *answers.get(prompt.key, (None, str(prompt.skip_reason or ReasonCode.REQUEST_TIMEOUT))),
            )
            for page, prompt in prompts
        ]
