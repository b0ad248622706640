from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prox_spark.commands.induce import main
from prox_spark.programs import execute

pytestmark = pytest.mark.spark

PAGE = "Menu\nThis is a paragraph with more than ten words in it, and an end. [edit]\nShare"


def test_pairs_become_programs_and_rows_without_a_pair_are_named(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[dict[str, object]] = [
        {
            "page": "a",
            "before": PAGE,
            "after": PAGE.split("\n")[1].removesuffix(" [edit]"),
            "tags": ["x"],
            "program": 7,
        },
        {"page": "b", "before": "one\n\ntwo", "after": "one\ntwo", "tags": []},
        {"page": "c", "before": "one two", "after": "one two\nthree"},
        {"page": "d", "before": "one two", "after": None},
        {"page": "e", "after": "one two"},
    ]
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "programs.jsonl"
    pairs.write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = [str(pairs), "--raw-column", "before", "--clean-column", "after", "--id-column", "page"]
    assert main([*arguments, "--output", str(output)]) == 0

    summary = capsys.readouterr().out
    assert "3 pairs" in summary and "2 rows without a pair: null_text 2" in summary
    assert "1.7 operations per pair: keep_chunk 2, remove_lines 2, normalize 1" in summary
    assert "'d': 'after' is null" in summary and "'e': 'before' is null" in summary
    rows = [json.loads(line) for file in output.glob("part-*") for line in file.read_text().splitlines()]
    a, b, c, d, e = sorted(rows, key=lambda row: row["page"])
    assert (a["before"], a["after"], a["tags"], a["input_program"]) == (PAGE, records[0]["after"], ["x"], 7)
    assert execute(PAGE, a["program"]).text == a["after"]
    assert [op["op"] for op in a["ops"]] == ["remove_lines", "remove_lines", "normalize"]
    assert (a["ops"][0]["line_start"], a["ops"][2]["source_str"], a["leftovers"]) == (0, " [edit]", [])
    assert [(row["exact"], row["exact_but_white_space"]) for row in (a, b, c)] == [
        (True, True),
        (False, True),
        (False, False),
    ]
    assert [(left["kind"], left["clean_start"]) for left in c["leftovers"]] == [("inserted_lines", 1)]
    assert [(row["reason"], "program" in row) for row in (d, e)] == [("null_text", False)] * 2

    assert main([*arguments, "--output", str(output)]) == 2
    assert "exists already" in capsys.readouterr().err
    delta = tmp_path / "programs"
    assert main([str(output), *arguments[1:], "--output", str(delta), "--format", "jsonl", "--overwrite"]) == 0
    assert spark.read.format("delta").load(str(delta)).where("input_program_2 is not null").count() == 3
    assert main([*arguments, "--output", str(delta)]) == 2
    assert "exists already" in capsys.readouterr().err
