"""Random texts and programs for the executors: every kind of trouble, and programs with nothing wrong."""

from __future__ import annotations

import random

from prox_spark.programs import ChunkProgram, Diagnostic, DiagnosticCode, Operation, OpName, Program

# What Python's str.split() takes for white space.
WHITE_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
# Line breaks of all kinds that Python or Java know, white space of either, characters of one to four bytes, NUL.
PIECES = [
    *WHITE_SPACE,
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\x00",
    "\u200b",
    "\ufeff",
    "é",
    "中",
    "😀",
    "e\u0301",
    # Letters of scripts without blanks, with what stands beside them.
    "「你好」。",
    "カード",
    "ｶﾞ",
    "น้ำ",
    "ក្រ",
    "𠀀",
    "。",
    "가나",
    "a",
    "Ab",
    "(",
    '"',
]
PIECES += [
    "cookie notice",
    " Read more",
    "share | tweet ",
    "word",
    "aa",
    "aaa",
    "one two three four five six",
    "\\",
    ",",
] * 3
CODES = [DiagnosticCode.STRAY_TEXT, DiagnosticCode.UNKNOWN_OPERATION, DiagnosticCode.TRUNCATED_TAIL]


def random_text(rng: random.Random) -> str:
    pieces = rng.choices(PIECES, k=rng.randrange(60))
    if rng.random() < 0.5:  # the gates blank short texts: half of the texts have words to spare
        pieces += ["\n", "more words that make this text long enough to be kept " * 3]
    return "".join(pieces)


def random_string(rng: random.Random, text: str) -> str:
    if text and rng.random() < 0.7:
        start = rng.randrange(len(text))
        return text[start : start + rng.randrange(1, 9)]
    return "".join(rng.choices([*PIECES, "\n"], k=rng.randrange(4)))


def random_ops(rng: random.Random, text: str, first: int, last: int) -> list[Operation]:
    ops = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 6])):
        kind = rng.random()
        if kind < 0.45:
            start = rng.randrange(max(first - 1, 0), last + 2)
            end = start + rng.choice([-1, 0, 0, 0, 1, 2, 40, 2**31])
            ops.append(Operation(OpName.REMOVE_LINES, start, end))
        elif kind < 0.9:
            target = rng.choice(["", "", "x", "\n", "longer than it was", "aa", "g" * 3000])
            ops.append(Operation(OpName.NORMALIZE, source_str=random_string(rng, text), target_str=target))
        else:
            ops.append(
                Operation(rng.choice([OpName.REMOVE_LINES, OpName.KEEP_CHUNK, OpName.DROP_DOC, OpName.KEEP_DOC]))
            )
    return ops


def random_chunks(rng: random.Random, text: str) -> list[ChunkProgram]:
    """Disjoint chunks in order, now and then with lines of none between them or past the end."""
    chunks: list[ChunkProgram] = []
    n_lines, start = text.count("\n") + 1, 0
    while start < n_lines and len(chunks) < 4:
        end = start + rng.choice([0, 1, 3, 10])
        found = [Diagnostic(rng.choice(CODES), None, "as parsed") for _ in range(rng.choice([0, 0, 0, 1, 2]))]
        program = Program(tuple(random_ops(rng, text, start, end)), tuple(found))
        chunks.append(ChunkProgram(len(chunks), start, end, program))
        start = end + rng.choice([1, 1, 1, 2])
    return chunks


def orderly_chunks(rng: random.Random, text: str) -> list[ChunkProgram]:
    """Chunks that cover the text, with programs as good refiners write them: ranges apart, strings from single lines."""
    chunks: list[ChunkProgram] = []
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        end = min(start + rng.choice([0, 2, 5, 20]), len(lines) - 1)
        ops = [*_orderly_removals(rng, start, end), *_orderly_normalizations(rng, lines[start : end + 1])]
        rng.shuffle(ops)
        if rng.random() < 0.2:
            ops = [Operation(OpName.KEEP_CHUNK)]
        chunks.append(ChunkProgram(len(chunks), start, end, Program(tuple(ops))))
        start = end + 1
    return chunks


def _orderly_removals(rng: random.Random, start: int, end: int) -> list[Operation]:
    numbers = range(start, end + 1)
    starts = sorted(rng.sample(numbers, min(len(numbers), rng.choice([0, 0, 1, 1, 2, 3]))))
    stops = [*starts[1:], end + 1]
    return [
        Operation(OpName.REMOVE_LINES, first, rng.randrange(first, stop))
        for first, stop in zip(starts, stops, strict=False)
    ]


def _orderly_normalizations(rng: random.Random, lines: list[str]) -> list[Operation]:
    ops = []
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        line = rng.choice(lines)
        if len(line) > 1:
            begin = rng.randrange(len(line) - 1)
            source = line[begin : begin + rng.randint(2, 6)]
            # Those that join words, part them, change nothing, or make a new hit for the next.
            target = rng.choice(["", "", " ", "x y", "😀", source, source[::-1], source[1:]])
            ops.append(Operation(OpName.NORMALIZE, source_str=source, target_str=target))
    return ops


def random_answer(rng: random.Random, text: str) -> str:
    calls = []
    for _ in range(rng.choice([0, 1, 2, 2, 3, 6])):
        start = rng.choice([-3, 0, 1, 2, 5, 30, 10**12, 10**30])
        end = start + rng.choice([-2, 0, 0, 1, 5])
        source = random_string(rng, text).split("\n")[0]
        calls.append(
            rng.choice(
                [
                    f"remove_lines(start={start}, end={end})",
                    f"remove_lines(line_start={start}, line_end={end})",
                    f'normalize(source_str="{source}", target_str="{rng.choice(["", "x", "y z"])}")',
                    f'normalize(source_str="{source}")',
                    "remove_lines(all=True)",
                    "keep_chunk()",
                    f"remove_lines(start={start}",
                    "something else",
                ][0 : rng.choice([4, 4, 4, 8])]
            )
        )
    return "\n".join(calls)
