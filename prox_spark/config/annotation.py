"""Labels from a teacher: the `annotation` section of a recipe."""

from __future__ import annotations

from pydantic import Field

from prox_spark.config.file import Section


class AnnotationConfig(Section):
    """What `annotate` asks a teacher. The engine section says how the teacher is served, or at which endpoint it is."""

    teacher: str = Field(
        "smollm2-135m-instruct",
        description="The model that is asked: a directory or hub model that follows instructions, with a chat template, or a name of "
        "`prox-spark refiners list`. The default shows the way on a laptop and is too small for labels to train on; take one of 7B or "
        "more. With engine.endpoint this is the model behind it: prompts travel as token ids, so its tokenizer is needed, "
        "not its weights.",
    )
    documents: int = Field(
        1000,
        ge=1,
        description="Documents to label. They are drawn in turns from every source and length, so rare ones are seen; a larger number adds "
        "to the same documents. Each costs two scores and three programs for each of its chunks.",
    )
    seed: int = Field(0, description="Another seed draws other documents and chunks.")
    length_bounds: list[int] = Field(
        default_factory=lambda: [100, 300, 1000],
        description="Words that part short documents from longer ones, ascending; a stratum is a source and a length between two bounds.",
    )
    chunks: int = Field(
        4, ge=1, description="Chunks of a document that are asked about, drawn at random where it has more."
    )
    max_text_tokens: int = Field(
        1024, ge=16, description="Tokens of a document, from its beginning, that the teacher scores."
    )
    max_chunk_tokens: int = Field(
        600, ge=24, description="Tokens of a chunk. Best that of the refiner to be trained (web-135m: 600)."
    )
    max_answer_tokens: int = Field(
        300,
        ge=8,
        description="A longer answer is cut, and its label rejected. Teachers that think first need some thousand.",
    )
    constrained: bool = Field(
        True,
        description="Hold the teacher to a digit and to the grammar of programs (vLLM only). `false`: it may think first, and what it says is "
        "read from its end; for teachers that reason, and for endpoints that are no vLLM.",
    )
    max_removed_share: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Programs that remove a larger share of a chunk's words are rejected: more often a teacher gone astray than a chunk "
        "of menus. 1 accepts all.",
    )
    label_set: str | None = Field(
        None, min_length=1, description="Name of the set in the table `labels`. Unset: the name of the teacher."
    )
