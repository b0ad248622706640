"""What compute that keeps no frames may ingest."""

from __future__ import annotations

import pytest

from prox_spark.errors import ConnectError
from prox_spark.pipeline.inputs.checks import check_rereadable
from prox_spark.pipeline.inputs.find import Inputs, InputTable
from prox_spark.readers import InputFormat

pytestmark = pytest.mark.unit


def test_a_table_without_an_order_is_refused_with_what_to_do() -> None:
    tables = (InputTable("main.web.pages", InputFormat.DELTA),)
    with pytest.raises(ConnectError, match=r"the table main\.web\.pages .* classic compute, or write it as Parquet"):
        check_rereadable(Inputs((), tables))


def test_files_that_were_listed_are_read_again() -> None:
    check_rereadable(Inputs((), (InputTable("/pages", InputFormat.PARQUET, ("/pages/a.parquet",)),)))
