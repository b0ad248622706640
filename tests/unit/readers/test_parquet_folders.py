from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from prox_spark.readers.parquet.folders import find_folder_kind, parse_folder_value, read_folder_values

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", "-20", None], pa.int32(), 1),
        (["1", "3000000000"], pa.int64(), 1),
        (["2024-03-05", "0001-01-01"], pa.date32(), date(2024, 3, 5)),
        (["1.5", "2.0"], pa.float64(), 1.5),
        # Values that would be printed differently are text.
        (["007", "1"], pa.string(), "007"),
        (["1.50"], pa.string(), "1.50"),
        (["1_0"], pa.string(), "1_0"),
        (["2024-3-5"], pa.string(), "2024-3-5"),
        (["99999999999999999999"], pa.string(), "99999999999999999999"),
        (["1", "x"], pa.string(), "1"),
        # Min Nan is a language.
        (["nan"], pa.string(), "nan"),
        (["inf"], pa.string(), "inf"),
        ([""], pa.string(), ""),
        ([None], pa.string(), None),
    ],
)
def test_values_of_folders_have_the_type_that_gives_them_back(
    values: list[str | None], kind: pa.DataType, first: object
) -> None:
    assert find_folder_kind(values) == kind
    assert parse_folder_value(values[0], kind).as_py() == first


@pytest.mark.parametrize(
    ("uri", "root", "values"),
    [
        ("/p/a=1/b=x/f.parquet", "/p", {"a": "1", "b": "x"}),
        ("s3://b/p/a=1/deep/b=x/f.parquet", "s3://b/p/", {"a": "1", "b": "x"}),
        ("/p/a=1/f.parquet", None, {}),
        ("/p/a=%C3%A9/b=%252F/c=x=y/f.parquet", "/p", {"a": "é", "b": "%2F", "c": "x=y"}),
        ("/p/a=__HIVE_DEFAULT_PARTITION__/b=/f.parquet", "/p", {"a": None, "b": ""}),
        ("/p/a=%E9/f.parquet", "/p", {"a": "%E9"}),
        ("/p/n=f.parquet", "/p", {}),
    ],
)
def test_values_stand_in_the_names_of_folders(uri: str, root: str | None, values: dict[str, str | None]) -> None:
    assert read_folder_values(uri, root) == values
