"""Labels from a teacher: the `annotation` section of a recipe."""

from __future__ import annotations

from pydantic import Field

from prox_spark.config.file import Section


class AnnotationConfig(Section):
    """What `annotate` asks a teacher. How the teacher is served is set in the section `engine`."""

    teacher: str = Field(
        "smollm2-135m-instruct",
        description="Model to ask: a name of `prox-spark refiners list`, or a directory or hub model that follows instructions and has a "
        "chat template. The default lets you try the command on a laptop; its labels are too poor to train on, so take a model of 7B or "
        "more for that. With engine.endpoint, name the model that the endpoint serves: its tokenizer is needed here, its weights are not, "
        "because prompts travel as token ids.",
    )
    documents: int = Field(
        1000,
        ge=1,
        description="Documents to label. They are drawn in turns from every source and length, so that rare ones are included; a larger "
        "number adds to the same documents. Each costs two scores, and three programs for each of its chunks.",
    )
    seed: int = Field(0, description="Seed of the random draw of documents and chunks.")
    length_bounds: list[int] = Field(
        default_factory=lambda: [100, 300, 1000],
        description="Word counts, ascending, that divide short documents from longer ones. Documents of one source between two bounds "
        "form a stratum.",
    )
    chunks: int = Field(4, ge=1, description="Chunks to ask about in each document, drawn at random where it has more.")
    max_text_tokens: int = Field(
        1024, ge=16, description="Tokens of a document, from its beginning, that the teacher reads to score it."
    )
    max_chunk_tokens: int = Field(
        600,
        ge=24,
        description="Tokens of a chunk. Take the value of the refiner that you want to train (web-135m: 600).",
    )
    max_answer_tokens: int = Field(
        300,
        ge=8,
        description="A longer answer is cut and its label rejected. Teachers that reason before they answer need some thousand.",
    )
    constrained: bool = Field(
        True,
        description="Constrain answers to a digit or to the grammar of programs (needs vLLM). Set `false` for teachers that reason before "
        "they answer and for endpoints other than vLLM: the answer is then read from the end of the text.",
    )
    max_removed_share: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Reject a program that removes more than this share of a chunk's words: it is more often a mistake of the teacher than "
        "a chunk of menus. 1 accepts all.",
    )
    label_set: str | None = Field(
        None, min_length=1, description="Name of the set in the table `labels`. Unset: the teacher's name."
    )
