"""Results of the two semantics on damaged programs: right edits kept, wrong edits made.

    python benchmarks/repair.py [seed_annotations.jsonl.gz] [--seed 0]

A large model wrote the programs for windows of real pages (`window`, `ops`). They are printed as released refiners
print them: full parameter names, nothing escaped inside strings. Each is damaged in one way, then read and executed
by both semantics. An edit is a removed line, or a replaced pair of strings. Right: the share of edits made, out of
those that the answer still states in full. Wrong: the share of edits that were never meant, out of those made. Prints
numbers only; no text of a page is printed or kept.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random

from prox_spark.programs import Execution, Operation, OpName, execute, run_reference
from prox_spark.programs.operations import PARAMETERS

ANNOTATIONS = "data/seed_annotations/train.jsonl.gz"
BAD_CALLS = [
    "delete_lines(line_start=1, line_end=2)",
    "remove_lines(line_start=one, line_end=two)",
    "remove_lines(line_start=90000, line_end=90001)",
    "normalize(source_str=, target_str=)",
]
STRAY_LINES = [
    "Sure, here is the program for this page:",
    "The lines above are navigation and can go.",
    "Let me know (if that helps).",
]


@dataclass(frozen=True)
class Annotated:
    """A window of a page, its lines numbered from 0, and the operations for it."""

    text: str
    ops: tuple[Operation, ...]


@dataclass(frozen=True)
class Damaged:
    """An answer, the operations that were meant, and the number of them that it still states in full."""

    answer: str
    meant: tuple[Operation, ...]
    n_said: int

    @property
    def said(self) -> tuple[Operation, ...]:
        return self.meant[: self.n_said]


def whole(lines: Iterable[str], ops: tuple[Operation, ...], separator: str = "\n") -> Damaged:
    """Return an answer that states all operations."""
    return Damaged(separator.join(lines), ops, len(ops))


def annotated(path: Path) -> Iterator[Annotated]:
    """Yield the windows that have operations."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["ops"]:
                yield Annotated(row["window"], tuple(operation(op, row["line_start"]) for op in row["ops"]))


def operation(op: dict[str, str | int], first_line: int) -> Operation:
    """Read an annotated operation, with line numbers counted from the window's first line."""
    if op["op"] == OpName.REMOVE_LINES:
        return Operation(OpName.REMOVE_LINES, int(op["line_start"]) - first_line, int(op["line_end"]) - first_line)
    return Operation(OpName.NORMALIZE, source_str=str(op["source_str"]), target_str=str(op["target_str"]))


def printed(op: Operation, name: Callable[[str], str] = "{}=".format) -> str:
    """Print a call as released refiners do: every parameter by `name`, and nothing escaped."""
    names = PARAMETERS[op.op]
    values = [getattr(op, parameter) for parameter in names]
    written = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    return f"{op.op}({', '.join(name(n) + value for n, value in zip(names, written, strict=True))})"


def cut(page: Annotated, random: Random) -> Damaged:
    """Cut the answer anywhere, as at the token limit; calls that end before the cut are still stated."""
    calls = [printed(op) for op in page.ops]
    answer = "\n".join(calls)
    answer = answer[: random.randrange(1, len(answer))]
    ends = accumulate(len(call) + 1 for call in calls)
    return Damaged(answer, page.ops, sum(end - 1 <= len(answer) for end in ends))


def with_character(characters: str) -> Callable[[Annotated, Random], Damaged | None]:
    """Return a damage: one more replacement, of a piece of the page with one of the characters; None if it has none."""

    def damage(page: Annotated, random: Random) -> Damaged | None:
        gone = {line for op in page.ops for line in lines_of(op)}
        lines = [line for number, line in enumerate(page.text.split("\n")) if number not in gone]
        found = [
            (line, at) for line in lines for at, c in enumerate(line) if c in characters and 8 <= at < len(line) - 8
        ]
        if not found:
            return None
        line, at = random.choice(found)
        source = line[at - random.randint(3, 8) : at + random.randint(3, 8)]
        if len(source.strip()) < 2:
            return None
        extra = Operation(OpName.NORMALIZE, source_str=source, target_str=source.replace(line[at], " "))
        ops = (*page.ops, extra)
        return whole(map(printed, ops), ops)

    return damage


def inserting(lines: Sequence[str], n: int = 1) -> Callable[[Annotated, Random], Damaged]:
    """Return a damage: n of the lines, each at a random place among the calls."""

    def damage(page: Annotated, random: Random) -> Damaged:
        calls = [printed(op) for op in page.ops]
        for line in random.sample(lines, n):
            calls.insert(random.randint(0, len(calls)), line)
        return whole(calls, page.ops)

    return damage


KINDS: dict[str, Callable[[Annotated, Random], Damaged | None]] = {
    "as printed": lambda page, _: whole(map(printed, page.ops), page.ops),
    "cut at a random point": cut,
    "comma in a string": with_character(","),
    "parenthesis in a string": with_character("()"),
    "equals sign in a string": with_character("="),
    "quotes in a string": with_character('"'),
    "a stray line": inserting(STRAY_LINES),
    "two stray lines": inserting(STRAY_LINES, 2),
    "fences": lambda page, _: whole(["```python", *map(printed, page.ops), "```"], page.ops),
    "all on one line": lambda page, _: whole(map(printed, page.ops), page.ops, "; "),
    "short parameter names": lambda page, _: whole([printed(op, short) for op in page.ops], page.ops),
    "no parameter names": lambda page, _: whole([printed(op, lambda name: "") for op in page.ops], page.ops),
    "one bad call": inserting(BAD_CALLS),
    "two bad calls": inserting(BAD_CALLS, 2),
}


def short(name: str) -> str:
    return name.removeprefix("line_").removesuffix("_str") + "="


def lines_of(op: Operation) -> range:
    return range(0) if op.line_start is None or op.line_end is None else range(op.line_start, op.line_end + 1)


def edits_of(text: str, ops: tuple[Operation, ...]) -> set[object]:
    """Return the edits that operations state: line numbers, and pairs of strings that occur in the lines kept."""
    gone = {line for op in ops for line in lines_of(op)}
    edits: set[object] = set(gone)
    rest = "\n".join(line for number, line in enumerate(text.split("\n")) if number not in gone)
    for op in ops:
        if op.source_str is not None and op.target_str is not None and op.source_str in rest:
            rest = rest.replace(op.source_str, op.target_str)
            edits.add((op.source_str, op.target_str))
    return edits


def edits_made(execution: Execution) -> set[object]:
    """Return the edits that were made, before any gate."""
    lines = {line for span in execution.removed for line in range(span.line_start, span.line_end + 1)}
    return lines | {(done.source_str, done.target_str) for done in execution.normalized}


@dataclass
class Score:
    """Counts over the programs of one kind of damage, for one semantics."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, said: set[object], meant: set[object], made: set[object]) -> None:
        self.counts.update(said=len(said), right=len(said & made), made=len(made), wrong=len(made - meant))

    def row(self) -> str:
        right = self.counts["right"] / max(self.counts["said"], 1)
        wrong = self.counts["wrong"] / max(self.counts["made"], 1)
        return f"{right:9.2%}{wrong:9.2%}"


def main() -> int:
    """Print one row per kind of damage."""
    shared = os.environ.get("PROX_SPARK_SHARED")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", nargs="?", type=Path, default=Path(shared) / ANNOTATIONS if shared else None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.annotations is None or not args.annotations.exists():
        print("no annotations: name a file, or set PROX_SPARK_SHARED to the folder that has it")
        return 0
    pages = list(annotated(args.annotations))
    print(f"{len(pages)} programs; right: of the edits said, those made; wrong: of the edits made, those never meant")
    print(f"{'':26}{'':>9}{'edits':>8}{'strict':>14}{'':4}{'reference':>14}")
    print(f"{'damage':26}{'programs':>9}{'said':>8}{'right':>9}{'wrong':>9}{'right':>9}{'wrong':>9}")
    for kind, damage in KINDS.items():
        random = Random(args.seed)
        strict, reference = Score(), Score()
        n_programs = 0
        for page in pages:
            damaged = damage(page, random)
            if damaged is None:
                continue
            n_programs += 1
            said, meant = edits_of(page.text, damaged.said), edits_of(page.text, damaged.meant)
            strict.add(said, meant, edits_made(execute(page.text, damaged.answer)))
            reference.add(said, meant, edits_made(run_reference(page.text, damaged.answer)))
        print(f"{kind:26}{n_programs:9}{strict.counts['said']:8}{strict.row()}{reference.row()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
