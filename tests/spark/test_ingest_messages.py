"""What a person reads when an input can't be taken in as it is: never a stack trace, never the name of a library's object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ingesting import Lake

from prox_spark.commands.ingest import main

pytestmark = pytest.mark.spark

DATA = Path(__file__).parents[1] / "data"
# The corpora beside these are ingested without an error by test_ingest_corpora.
INPUTS = sorted(path for path in (DATA / "cases").iterdir() if path.is_dir())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_no_message_holds_what_only_a_library_understands(
    lake: Lake, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([str(path), "--lake", lake.root])
    if status == 2:  # a folder of several formats: what is in it, one by one
        status = max(main([str(inside), "--lake", lake.root]) for inside in sorted(path.iterdir()))
    said = "".join(capsys.readouterr())
    assert status in (0, 1, 2) and said
    assert not re.search(r"Py4JJavaError|o[0-9]+\.\w|Traceback|\bat org\.apache|java\.\w+\.\w+Exception", said)
