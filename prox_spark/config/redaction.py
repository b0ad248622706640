"""Secrets hidden before a recipe is stored or shown."""

from __future__ import annotations

import re
from typing import Any

_SECRET = (
    r"[\w.-]*(?:secret|passw|token|credential|(?:access|account|private|api)[._-]?key|encryption[\w.-]*key(?![a-z])|Env\.\w*key|\.sas\.)"
    r"[\w.-]*"
)
_HIDDEN = "*** redacted ***"


def is_secret(name: str) -> bool:
    """Return True if a setting or field of this name holds a secret."""
    return bool(re.fullmatch(_SECRET, name.lstrip("-"), re.IGNORECASE))


def redact(value: Any, key: str = "") -> Any:
    """Return the value with its secrets hidden: fields by their names, settings like NAME=VALUE, parts of URLs."""
    if isinstance(value, dict):
        return {name: redact(item, name) for name, item in value.items()}
    if isinstance(value, list):
        # `--hf-token VALUE`: an argument is hidden by the one before it.
        return [
            redact(item, before if str(before).startswith("--") else "")
            for before, item in zip(["", *value], value, strict=False)
        ]
    if not isinstance(value, str):
        return value
    if is_secret(key):
        return _HIDDEN
    # The signature of a presigned URL: sig=, X-Amz-Signature=.
    value = re.sub(r"(\b(?:[\w-]*signature|sig)=)[^&\s]+", rf"\1{_HIDDEN}", value, flags=re.IGNORECASE)
    value = re.sub(rf"({_SECRET}=)\S+", rf"\1{_HIDDEN}", value, flags=re.IGNORECASE)
    return re.sub(r"://[^/@\s]+@", f"://{_HIDDEN}@", value)
