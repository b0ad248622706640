"""Names of schemas in a catalog, as a recipe and the command line give them."""

from __future__ import annotations

import re

_PART = r"`(?:[^`]|``)+`|[^.`\s]+"
_NAME = re.compile(rf"(?:({_PART})\.)?({_PART})")
# Other names stand in backticks, or SQL would read `web-text` as a difference.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def quote_schema_name(name: str) -> str:
    """Return `SCHEMA` or `CATALOG.SCHEMA` as SQL takes it.

    Args:
        name: parts with dots, backticks or white space stand in backticks; other signs need none.

    Example:
        >>> quote_schema_name("main.web-text")
        'main.`web-text`'

    Raises:
        ValueError: it has no such form.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError("write CATALOG.SCHEMA, such as main.web, or SCHEMA for one of the session's own catalog")
    return ".".join(map(_quote, filter(None, match.groups())))


def _quote(part: str) -> str:
    bare = part[1:-1].replace("``", "`") if part.startswith("`") else part
    return bare if _PLAIN.fullmatch(bare) else "`{}`".format(bare.replace("`", "``"))
