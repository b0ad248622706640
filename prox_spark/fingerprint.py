"""One fingerprint for everything whose change matters."""

from __future__ import annotations

import hashlib
import json


def fingerprint(*parts: object) -> str:
    """SHA-256 (hex) over the canonical JSON of the parts: equal parts give equal prints on every platform."""
    return hashlib.sha256(
        json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()
