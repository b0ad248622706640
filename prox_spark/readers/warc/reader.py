"""The readers of WARC and WET files. They yield documents, rejections, and counts of skipped records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prox_spark.errors import ProxSparkError, ReasonCode
from prox_spark.readers.files import open_raw
from prox_spark.readers.records import (
    Place,
    ReadOptions,
    Record,
    Rejected,
    Skipped,
    cut_snippet,
    describe_too_long,
    sha256,
)
from prox_spark.readers.warc.codings import UndecodableError
from prox_spark.readers.warc.header import Header
from prox_spark.readers.warc.packages import require
from prox_spark.readers.warc.pages import (
    PAGE_KINDS,
    BrokenPageError,
    LargePageError,
    NoPageError,
    PageText,
    check_large,
    plan_record,
    read_content,
)
from prox_spark.readers.warc.records import Block, Damage, RecordReader
from prox_spark.readers.warc.window import Container

# Markup takes about ten times the bytes of the text. A page beyond this is not even parsed.
_HTML_BYTES_PER_CHAR = 32
# Most HTTP heads are shorter than this.
_START_BYTES = 64 << 10
# Servers invent types. Beyond this many they are counted as one kind.
_MAX_KINDS = 100

Item = Record | Rejected


def read_warc(uri: str, options: ReadOptions) -> Iterator[Item | Skipped]:
    """Yield the text of each page: of HTML responses, and of resource and conversion records with HTML or plain text.

    A damaged or unreadable record is a rejection, and reading continues after it. Counts of records of other kinds come at the
    end.

    Raises:
        EOFError, OSError: the file is cut off, is no WARC file, or its store fails. Everything before that was yielded.
        ProxSparkError: Resiliparse or Brotli is not installed.
    """
    require("resiliparse.extract.html2text", "resiliparse.parse.encoding", "brotli")
    return read_wet(uri, options)


def read_wet(uri: str, options: ReadOptions) -> Iterator[Item | Skipped]:
    """Yield the text of each conversion record. Everything else is as in `read_warc`."""
    skipped: Counter[str] = Counter()
    max_bytes = _HTML_BYTES_PER_CHAR * options.max_text_chars
    problem: Exception | None = None
    with open_raw(uri) as raw:
        reader = RecordReader(Container(raw, uri, options.max_window_bytes), max_bytes)
        try:
            for header in reader:
                if isinstance(header, Damage):
                    yield _describe(header, uri)
                else:
                    yield from _read_record(reader, header, uri, options, skipped)
        except (EOFError, OSError) as error:
            problem = error
    for what, n_records in skipped.most_common():
        yield Skipped(n_records, Place(uri), what)
    if problem:
        raise problem


def _read_record(
    reader: RecordReader, header: Header, uri: str, options: ReadOptions, skipped: Counter[str]
) -> Iterator[Item]:
    """Yield the document or rejection of a record, with a note if some of it is missing; or count the record."""
    start = reader.peek(_START_BYTES) if header.kind in PAGE_KINDS else b""
    try:
        plan = plan_record(header, start)
    except NoPageError as kind:
        if reader.finish(keep=False):
            _count(skipped, str(kind))
        return
    except BrokenPageError as error:
        if block := reader.finish(keep=False):
            place = Place(uri, block.offset, block.length)
            digest = sha256(start) if start else None
            yield Rejected(
                ReasonCode.INVALID_RECORD, str(error), place, cut_snippet(start) or None, header.doc_id, digest
            )
        return
    block = reader.finish(keep=True)
    if not block:
        return
    place = Place(uri, block.offset, block.length)
    max_bytes = _HTML_BYTES_PER_CHAR * options.max_text_chars
    try:
        if block.content is None:
            check_large(plan, start)
        text = read_content(header, plan, block.content or b"", max_bytes)
    except NoPageError as kind:
        _count(skipped, str(kind))
        return
    except LargePageError:
        message = f"the page has more than {max_bytes:,} bytes, {_HTML_BYTES_PER_CHAR} × input.max_text_chars"
        yield Rejected(ReasonCode.TEXT_TOO_LONG, message, place, cut_snippet(start), header.doc_id)
        return
    except UnicodeDecodeError as error:
        reason, message = ReasonCode.INVALID_UTF8, f"byte {error.start} of the text is not UTF-8: {error.reason}"
    except (BrokenPageError, UndecodableError) as error:
        reason, message = ReasonCode.INVALID_RECORD, str(error)
    except ProxSparkError:
        raise
    # A page that crashes a parser must not end the file, and the web has every kind of page.
    except Exception as error:
        reason, message = ReasonCode.INVALID_RECORD, f"the page can't be read: {error!r}"
    else:
        yield from _make_document(text, header, block, place, options)
        return
    content = block.content or b""
    yield Rejected(reason, message, place, cut_snippet(content), header.doc_id, sha256(content))


def _make_document(text: PageText, header: Header, block: Block, place: Place, options: ReadOptions) -> Iterator[Item]:
    doc_id = header.doc_id
    if len(text.text) > options.max_text_chars:
        message, digest = describe_too_long(len(text.text), options), sha256(text.text.encode())
        yield Rejected(ReasonCode.TEXT_TOO_LONG, message, place, cut_snippet(text.text), doc_id, digest)
        return
    yield Record(text.text, place, doc_id, header.url, metadata=header.fields)
    problems = [text.problem] if text.problem else []
    if block.n_missing:
        length = header.length or 0
        problems.append(f"the header says {length:,} bytes, {length - block.n_missing:,} are there")
    if problems:
        message = f"the document is what is readable of its record: {'; '.join(problems)}"
        digest = sha256(text.text.encode())
        yield Rejected(ReasonCode.CUT_OFF, message, place, cut_snippet(text.text), doc_id, digest)


def _describe(damage: Damage, uri: str) -> Rejected:
    place = Place(uri, damage.offset, damage.length)
    # The digest tells damages apart whose places are unknown.
    digest = sha256(damage.snippet or damage.message.encode())
    shown = cut_snippet(damage.snippet) or None
    return Rejected(ReasonCode.INVALID_RECORD, damage.message, place, shown, damage.doc_id, digest)


def _count(skipped: Counter[str], what: str) -> None:
    skipped[what if what in skipped or len(skipped) < _MAX_KINDS else "other types"] += 1
