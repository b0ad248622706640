"""WARC files as crawlers write them: pages with all their mark-up, their requests, and some images."""

from __future__ import annotations

import gzip
import html
import json
import random
import uuid
from pathlib import Path
from typing import Any

from common.pages import Pages

_COMPRESSION = 6
# Of a hundred pages: those that the server compresses, those in chunks, and the images beside them.
_COMPRESSED, _CHUNKED, _IMAGES = 15, 5, 6
_PROPERTIES = ("color", "margin", "padding", "font-size", "line-height", "display", "border", "background", "width")
_VALUES = ("#3a6ea5", "0 auto", "12px", "1.5em", "block", "none", "1px solid #ddd", "100%", "inherit", "flex")


def write_warc(path: Path, seed: int, first: int, after: int) -> None:
    """Write the pages `first` to `after - 1`, with a gzip member for each record."""
    pages = Pages(seed)
    with path.open("wb") as out:

        def add(kind: str, headers: dict[str, str], block: bytes, rng: random.Random) -> None:
            out.write(gzip.compress(_record(kind, headers, block, rng), _COMPRESSION, mtime=0))

        software = b"software: benchmark\r\nformat: WARC File Format 1.0\r\n"
        add("warcinfo", {"Content-Type": "application/warc-fields"}, software, random.Random(f"{seed} {first}"))
        for number in range(first, after):
            rng = random.Random(f"{seed} page {number}")
            document = pages.document(number)
            where = {"WARC-Target-URI": document["url"], "WARC-IP-Address": "192.0.2.7"}
            http = {"Content-Type": "application/http; msgtype=request"}
            add("request", where | http, _request(document["url"]), rng)
            http = {"Content-Type": "application/http; msgtype=response"}
            page = {"WARC-Identified-Payload-Type": "text/html"}
            add("response", where | http | page, _response(number, _page(document, pages, rng).encode()), rng)
            add("metadata", where | {"Content-Type": "application/warc-fields"}, b"fetchTimeMs: 312\r\n", rng)
            if number % 100 < _IMAGES:
                image = {"WARC-Identified-Payload-Type": "image/jpeg", "WARC-Target-URI": document["url"] + "/a.jpg"}
                block = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + rng.randbytes(
                    rng.randrange(4_000, 60_000)
                )
                add("response", where | http | image, block, rng)


def _record(kind: str, headers: dict[str, str], block: bytes, rng: random.Random) -> bytes:
    own = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{uuid.UUID(int=rng.getrandbits(128), version=4)}>",
        "WARC-Date": "2025-03-14T07:21:09Z",
    }
    lines = [f"{name}: {value}" for name, value in (own | headers | {"Content-Length": str(len(block))}).items()]
    return "\r\n".join(["WARC/1.0", *lines, "", ""]).encode() + block + b"\r\n\r\n"


def _request(url: str) -> bytes:
    _, _, host, path = url.split("/", 3)
    agent = "Mozilla/5.0 (compatible; examplebot/1.0; +https://bot.example/)"
    return f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept-Encoding: gzip\r\n\r\n".encode()


def _response(number: int, body: bytes) -> bytes:
    headers = ["HTTP/1.1 200 OK", "Server: nginx", "Vary: Accept-Encoding", "Content-Type: text/html; charset=utf-8"]
    nth = number % 100
    if nth < _COMPRESSED:
        body = gzip.compress(body, 5, mtime=0)
        headers.append("Content-Encoding: gzip")
    if nth in range(_COMPRESSED - _CHUNKED, _COMPRESSED + _CHUNKED):
        pieces = [body[i : i + 8_192] for i in range(0, len(body), 8_192)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
        headers.append("Transfer-Encoding: chunked")
    else:
        headers.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*headers, "", ""]).encode() + body


def _page(document: dict[str, Any], pages: Pages, rng: random.Random) -> str:
    """Return a page around a text, with styles, scripts, menus, links, lists, a table, a form and a footer."""
    lines = document["text"].split("\n")
    title = html.escape(lines[0][:70])
    menu = "\n".join(f"      {_item(rng, words)}" for words in _words(pages, rng, 60))
    side = "\n".join(f"      {_item(rng, words)}" for words in _words(pages, rng, 40))
    cells = "".join(
        f"<tr><td>{html.escape(words)}</td><td>{rng.randrange(5000)}</td></tr>\n" for words in _words(pages, rng, 12)
    )
    data = json.dumps(
        {"@context": "https://schema.org", "@type": "Article", "headline": lines[0], "url": document["url"]}
    )
    return f"""<!DOCTYPE html>
<html lang="{document["language"]}">
<head>
<meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta property="og:title" content="{title}"><meta property="og:url" content="{document["url"]}">
<link rel="stylesheet" href="/assets/{rng.getrandbits(64):x}.css">
<style>
{_styles(rng)}
</style>
<script type="application/ld+json">{data}</script>
<script>
{_script(rng)}
</script>
</head>
<body class="post single-{rng.randrange(99_999)}">
<!-- header -->
<header id="top"><div class="wrap"><a class="logo" href="/"><img src="/logo.svg" alt="Logo"></a>
  <nav class="main-nav"><ul class="menu">
{menu}
  </ul></nav></div></header>
<main><article id="post-{rng.randrange(99_999)}">
<h1 class="entry-title">{title}</h1>
{"".join(_block(rng, line) for line in lines)}<table class="data"><tbody>
{cells}</tbody></table>
</article>
<aside><h3>Related</h3><ul>
{side}
</ul></aside></main>
<footer><form action="/search" method="get"><input type="text" name="q"><button>Search</button></form>
<p>&copy; {document["date"][:4]} &middot; <a href="/privacy" rel="nofollow">Privacy&nbsp;policy</a></p></footer>
<script async src="https://cdn.example/{rng.getrandbits(64):x}.js"></script><noscript><img src="/p.gif" alt=""></noscript>
</body>
</html>
"""


def _words(pages: Pages, rng: random.Random, n: int) -> list[str]:
    return [line[: rng.randrange(8, 60)] for line in pages.some_sentences(rng, n)]


def _item(rng: random.Random, words: str) -> str:
    key = rng.randrange(99_999)
    return (
        f'<li id="menu-item-{key}" class="menu-item menu-item-type-custom menu-item-{key}">'
        f'<a href="/{key}/{words[:8].strip().lower()}/" data-id="{key}">{html.escape(words)}</a></li>'
    )


def _block(rng: random.Random, line: str) -> str:
    text = html.escape(line, quote=False)
    if len(line) < 60 and rng.random() < 0.5:
        return f'<h2 class="wp-block-heading" id="h-{rng.randrange(99_999)}">{text}</h2>\n'
    words = text.split(" ")
    for _ in range(len(words) // 25):
        at = rng.randrange(len(words))
        href = f"https://site-{rng.randrange(20_000)}.example/{rng.getrandbits(32):x}"
        words[at] = rng.choice((f'<a href="{href}" target="_blank">{words[at]}</a>', f"<strong>{words[at]}</strong>"))
    return f'<div class="block"><p style="margin:0">{" ".join(words)}</p></div>\n'


def _styles(rng: random.Random) -> str:
    rules = (
        f".c{rng.getrandbits(20):x} > .{rng.choice(('wrap', 'menu', 'post', 'entry'))}"
        f"{{{';'.join(f'{rng.choice(_PROPERTIES)}:{rng.choice(_VALUES)}' for _ in range(rng.randrange(2, 7)))}}}"
        for _ in range(rng.randrange(40, 500))
    )
    return "\n".join(rules)


def _script(rng: random.Random) -> str:
    calls = (
        f'window.q=window.q||[];q.push(["set","{rng.getrandbits(32):x}",{rng.randrange(10_000)}]);'
        for _ in range(rng.randrange(20, 300))
    )
    return "\n".join(calls)
