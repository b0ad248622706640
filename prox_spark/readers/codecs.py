"""Compressions that input files may have: how each is known by its first bytes, and what undoes it.

All of them cut a file in parts that are decompressed one by one (gzip members, zstd and lz4 frames, bzip2 and xz streams):
here each is called a member.
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

# What precedes a frame of zstd or lz4 and is to be passed over: 4 bytes of magic, 4 of length, the content.
SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
# ArchiveTeam's .warc.zst begins with the dictionary of its frames in a skippable frame of this number.
DICTIONARY_FRAME = re.compile(rb"\x5d\x2a\x4d\x18")
_SKIPPABLE_HEADER_BYTES = 8
_ZSTD_DICTIONARY = b"\x37\xa4\x30\xec"
_MAX_DICTIONARY_BYTES = 64 << 20


class Decompressor(Protocol):
    """One member being decompressed, as bz2, lzma, lz4 and isal have it."""

    @property
    def eof(self) -> bool:
        """True if the member has come to its end."""

    @property
    def needs_input(self) -> bool:
        """True if there is nothing more to get from what it was given."""

    @property
    def unused_data(self) -> bytes | None:
        """What it was given behind the member's end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Takes compressed bytes, returns at most so many others."""


@dataclass(frozen=True)
class Codec:
    """A compression.

    Attributes:
        name: for messages.
        suffixes: of file names.
        member: what a member begins with; a match in the middle of a file is likely one, not certainly.
        opener: given the largest window in bytes and a dictionary or None, what makes the decompressor of a member; one at a
            time is in use.
        errors: what it raises where the bytes are damaged.
        refuse: says of a member's first bytes why it can't be read though it is whole, given the same; None: it can.
        has_skippable: skippable frames may stand between members.
        is_checked: every member has a checksum; without one a damaged member may seem whole, and go on over the next one.
        find_dictionary: says what dictionary is in a dictionary frame, if any.
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
    """A frame of zstd with bounds: on the size of its window and on how much one call puts into memory."""

    # A block of zstd can blow up 30,000 times; how far the bytes at hand do shows after the first steps only.
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
    # Its buffers are made once for all frames: files of a frame per record have thousands.
    shared = zstandard.ZstdDecompressor(dict_data=words, max_window_size=max_window_bytes)
    return lambda: _ZstdFrame(shared.decompressobj())


def _refuse_zstd(head: bytes, max_window_bytes: int, dictionary: bytes | None) -> str | None:
    try:
        frame = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError:
        return None  # damaged: the decompressor says how
    # Behind its signature a dictionary has its number.
    if frame.dict_id and not (dictionary and int.from_bytes(dictionary[4:8], "little") == frame.dict_id):
        return f"the zstd frame needs dictionary {frame.dict_id}, which is not in the file: `zstd -d -D DICTIONARY FILE` unpacks it"
    if frame.window_size > max_window_bytes:
        # What `zstd --long` takes: the window as a power of two.
        long = min(31, max(27, (frame.window_size - 1).bit_length()))
        return (
            f"the zstd frame needs a window of {frame.window_size >> 20:,} MiB, more than input.max_zstd_window_mb = "
            f"{max_window_bytes >> 20:,}. Raise it if a task has so much memory, or repack the file: "
            f"`zstd -dc --long={long} FILE | zstd -o NEW_FILE`"
        )
    return None


def _find_zstd_dictionary(frame: bytes) -> bytes | None:
    """The dictionary in a skippable frame, which may be compressed itself."""
    content = frame[_SKIPPABLE_HEADER_BYTES:]
    try:
        if ZSTD.member.match(content):
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=_MAX_DICTIONARY_BYTES)
        if content.startswith(_ZSTD_DICTIONARY):
            # It may be damaged.
            _open_zstd(_MAX_DICTIONARY_BYTES, content)()
            return content
    except zstandard.ZstdError:
        pass
    return None


GZIP = Codec(
    "gzip",
    (".gz", ".gzip", ".bgz"),
    # Compression method 8 is the only one there is; the upper bits of the flags are reserved.
    re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"),
    # Twice as fast as zlib (measured: 127 MB in 0.22 s, zlib 0.48 s), and as strict.
    lambda *_: lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    # Its stub has an instance here.
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
    # The window is most of what the decompressor needs.
    lambda max_window_bytes, _: lambda: lzma.LZMADecompressor(memlimit=max_window_bytes + (16 << 20)),
    (lzma.LZMAError,),
)
CODECS = (GZIP, ZSTD, LZ4, BZIP2, XZ)


def codec_of_name(name: str) -> Codec | None:
    """The compression that a file name promises."""
    return next((codec for codec in CODECS if name.lower().endswith(codec.suffixes)), None)


def codec_of_content(head: bytes) -> Codec | None:
    """The compression that the first bytes of a member show."""
    return next((codec for codec in CODECS if codec.member.match(head)), None)


def skippable_bytes(head: bytes) -> int:
    """Length of a skippable frame, its header included."""
    return _SKIPPABLE_HEADER_BYTES + int.from_bytes(head[4:_SKIPPABLE_HEADER_BYTES], "little")
