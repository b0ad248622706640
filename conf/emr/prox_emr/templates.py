"""The JSON files of conf/emr, filled in."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from prox_emr.errors import SubmitError

FOLDER = Path(__file__).parents[1]


def fill(name: str, /, **values: Any) -> Any:
    """Return the content of a JSON file with `${key}` replaced.

    Args:
        name: file in conf/emr.
        values: a text that is one key alone becomes the value itself, such as a list; inside a longer text it is inserted.

    Raises:
        SubmitError: the file is no JSON, or names a key that is not given.
    """
    try:
        return _fill(json.loads((FOLDER / name).read_text(encoding="utf-8")), values)
    except KeyError as error:
        raise SubmitError(
            f"conf/emr/{name} names ${{{error.args[0]}}}, which is none of {', '.join(values)}"
        ) from error
    except ValueError as error:
        raise SubmitError(f"conf/emr/{name} can't be read: {error}") from error


def _fill(data: Any, values: dict[str, Any]) -> Any:
    if isinstance(data, dict):
        return {key: _fill(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [_fill(value, values) for value in data]
    if not isinstance(data, str):
        return data
    if data.startswith("${") and data.endswith("}") and data[2:-1] in values:
        return values[data[2:-1]]
    return Template(data).substitute(values)
