from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from prox_spark.commands.arguments import add_input_arguments
from prox_spark.config import InputConfig
from prox_spark.readers import InputFormat, ReadOptions, Record, detect_formats, list_files, read_file
from prox_spark.readers.records import Item, Place
from prox_spark.readers.registry import FORMATS

pytestmark = pytest.mark.unit


def test_every_format_is_registered() -> None:
    assert [*FORMATS] == [*InputFormat]


def test_no_two_formats_share_a_suffix() -> None:
    suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_recipes_can_name_every_format() -> None:
    assert set(get_args(InputConfig.model_fields["format"].annotation)) == {"auto", *InputFormat}


def test_the_command_line_can_name_every_format() -> None:
    parser = ArgumentParser()
    add_input_arguments(parser)
    for name in ("auto", *InputFormat):
        assert parser.parse_args(["--format", name]).format == name


def test_a_registered_reader_reads_the_files_that_its_suffix_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(uri: str, options: ReadOptions) -> Iterator[Item]:
        yield Record("read by another reader", Place(uri))

    monkeypatch.setitem(FORMATS, InputFormat.WET, replace(FORMATS[InputFormat.WET], read=read))
    (tmp_path / "a.wet").write_text("anything")
    ((file, kind),), _ = detect_formats(list_files(str(tmp_path)), str(tmp_path))
    (record,) = read_file(file.uri, kind, ReadOptions())
    assert isinstance(record, Record) and record.text == "read by another reader"


@pytest.mark.parametrize("kind", [InputFormat.PARQUET, InputFormat.DELTA])
def test_tables_are_refused_by_the_reader_of_records(kind: InputFormat) -> None:
    assert kind.is_table
    with pytest.raises(ValueError, match="is a format of tables"):
        list(read_file("/x", kind, ReadOptions()))
