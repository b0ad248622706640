"""Compressions of input files, with the first bytes that tell them and their decompressors.

Each cuts a file into parts that are decompressed one by one (gzip members, zstd and lz4 frames, bzip2 and xz streams). All
such parts are called members here.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import lz4.frame
import zstandard
from isal import igzip_lib

# A skippable frame may stand before a frame of zstd or lz4: 4 bytes of magic, 4 of length, the content.
SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
# ArchiveTeam's .warc.zst begins with a skippable frame of this number that holds the dictionary of all frames.
DICTIONARY_FRAME = re.compile(rb"\x5d\x2a\x4d\x18")
_SKIPPABLE_HEADER_BYTES = 8
_ZSTD_DICTIONARY = b"\x37\xa4\x30\xec"
_MAX_DICTIONARY_BYTES = 64 << 20


class Decompressor(Protocol):
    """A decompressor of one member, with the interface that bz2, lzma, lz4 and isal share."""

    @property
    def eof(self) -> bool:
        """True if the member has ended."""

    @property
    def needs_input(self) -> bool:
        """True if all content of the bytes given so far was returned."""

    @property
    def unused_data(self) -> bytes | None:
        """Return the given bytes that stand after the member's end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take compressed bytes and return at most `max_length` decompressed ones."""


@dataclass(frozen=True)
class Codec:
    """A compression.

    Attributes:
        name: its name in messages.
        suffixes: ends of file names.
        member: matches the beginning of a member. A match in the middle of a file probably is one, but not certainly.
        opener: takes the largest window in bytes and a dictionary or None, and returns the factory of a member's decompressor.
            Only one decompressor is in use at a time.
        errors: exceptions of the decompressor for damaged bytes.
        refuse: takes a member's first bytes and the same two, and says why an undamaged member can't be read; None if it can.
        has_skippable: skippable frames may stand between members.
        is_checked: every member has a checksum. Without one a damaged member may seem whole, and run on over the next one.
        find_dictionary: returns the dictionary in a dictionary frame, if there is one.
    """

    name: str
    suffixes: tuple[str, ...]
    member: re.Pattern[bytes]
    opener: Callable[[int, bytes | None], Callable[[], Decompressor]]
    errors: tuple[type[Exception], ...]
    refuse: Callable[[bytes, int, bytes | None], str | None] = lambda *_: None
    has_skippable: bool = False
    is_checked: bool = True
    find_dictionary: Callable[[bytes], bytes | None] | None = None


class _ZstdFrame:
    """A frame of zstd with bounds on its window and on the memory that one call takes."""

    # A block of zstd can grow 30,000-fold. How much the present bytes grow shows only after the first steps.
    _MIN_STEP, _MAX_STEP = 1 << 10, 16 << 10

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._rest = memoryview(b"")
        self._step = self._MIN_STEP

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + bytes(self._rest)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if data:
            self._rest = memoryview(data)
        step, self._rest = self._rest[: self._step], self._rest[self._step :]
        content = self._frame.decompress(step)
        factor = 0.5 if 0 <= max_length < len(content) else 2
        self._step = min(self._MAX_STEP, max(self._MIN_STEP, int(self._step * factor)))
        return content


def _open_zstd(max_window_bytes: int, dictionary: bytes | None) -> Callable[[], Decompressor]:
    words = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    # Its buffers are allocated once for all frames: a file with a frame for each record has thousands.
    shared = zstandard.ZstdDecompressor(dict_data=words, max_window_size=max_window_bytes)
    return lambda: _ZstdFrame(shared.decompressobj())


def _refuse_zstd(head: bytes, max_window_bytes: int, dictionary: bytes | None) -> str | None:
    try:
        frame = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError:
        return None  # The frame is damaged, and the decompressor says how.
    # A dictionary's number follows its signature.
    if frame.dict_id and not (dictionary and int.from_bytes(dictionary[4:8], "little") == frame.dict_id):
        return f"the zstd frame needs dictionary {frame.dict_id}, which is not in the file: `zstd -d -D DICTIONARY FILE` unpacks it"
    if frame.window_size > max_window_bytes:
        # `zstd --long` takes the window as a power of two.
        long = min(31, max(27, (frame.window_size - 1).bit_length()))
        return (
            f"the zstd frame needs a window of {frame.window_size >> 20:,} MiB, more than input.max_zstd_window_mb = "
            f"{max_window_bytes >> 20:,}. Raise it if a task has so much memory, or repack the file: "
            f"`zstd -dc --long={long} FILE | zstd -o NEW_FILE`"
        )
    return None


def _find_zstd_dictionary(frame: bytes) -> bytes | None:
    """Return the dictionary in a skippable frame, where it may be compressed; None if there is none or it is damaged."""
    content = frame[_SKIPPABLE_HEADER_BYTES:]
    try:
        if ZSTD.member.match(content):
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=_MAX_DICTIONARY_BYTES)
        if content.startswith(_ZSTD_DICTIONARY):
            # This raises if it is damaged.
            _open_zstd(_MAX_DICTIONARY_BYTES, content)()
            return content
    except zstandard.ZstdError:
        pass
    return None


GZIP = Codec(
    "gzip",
    (".gz", ".gzip", ".bgz"),
    # Compression method 8 is the only one defined, and the upper bits of the flags are reserved.
    re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"),
    # Twice as fast as zlib (measured: 127 MB in 0.22 s, zlib 0.48 s), and as strict.
    lambda *_: lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    # Its type stub declares an instance here.
    (igzip_lib.IsalError,),  # type: ignore[arg-type]
)
ZSTD = Codec(
    "zstd",
    (".zst", ".zstd"),
    re.compile(rb"\x28\xb5\x2f\xfd"),
    _open_zstd,
    (zstandard.ZstdError,),
    _refuse_zstd,
    has_skippable=True,
    is_checked=False,
    find_dictionary=_find_zstd_dictionary,
)
LZ4 = Codec(
    "lz4",
    (".lz4",),
    re.compile(rb"\x04\x22\x4d\x18"),
    lambda *_: lz4.frame.LZ4FrameDecompressor,
    (RuntimeError,),
    has_skippable=True,
    is_checked=False,
)
BZIP2 = Codec(
    "bzip2",
    (".bz2",),
    re.compile(rb"BZh[1-9](?:\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)"),
    lambda *_: bz2.BZ2Decompressor,
    (OSError,),
)
XZ = Codec(
    "xz",
    (".xz",),
    re.compile(rb"\xfd7zXZ\x00"),
    # The window takes most of the decompressor's memory.
    lambda max_window_bytes, _: lambda: lzma.LZMADecompressor(memlimit=max_window_bytes + (16 << 20)),
    (lzma.LZMAError,),
)
CODECS = (GZIP, ZSTD, LZ4, BZIP2, XZ)


def find_codec_by_name(name: str) -> Codec | None:
    """Return the compression that a file name promises; None if it promises none."""
    return next((codec for codec in CODECS if name.lower().endswith(codec.suffixes)), None)


def find_codec_by_content(head: bytes) -> Codec | None:
    """Return the compression that the first bytes of a member show; None if they show none."""
    return next((codec for codec in CODECS if codec.member.match(head)), None)


def measure_skippable(head: bytes) -> int:
    """Return the length of a skippable frame, including its header."""
    return _SKIPPABLE_HEADER_BYTES + int.from_bytes(head[4:_SKIPPABLE_HEADER_BYTES], "little")
