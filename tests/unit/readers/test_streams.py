from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from prox_spark.readers import streams
from prox_spark.readers.streams import Gap, read_blocks

pytestmark = pytest.mark.unit

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    # The command line tools write a checksum, too.
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".lz4": lambda content: lz4.frame.compress(content, content_checksum=True),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
every_codec = pytest.mark.parametrize("suffix", COMPRESS)


def text(n_lines: int, seed: int = 1) -> bytes:
    noise = random.Random(seed)
    return b"".join(b'{"text": "%d %s"}\n' % (i, noise.randbytes(40).hex().encode()) for i in range(n_lines))


def read(path: Path, content: bytes, **options: int) -> tuple[bytes, list[Gap]]:
    path.write_bytes(content)
    items = list(read_blocks(str(path), **options))
    assert all(items)
    return b"".join(i for i in items if isinstance(i, bytes)), [i for i in items if isinstance(i, Gap)]


@every_codec
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "part-00000"])
def test_compression_is_known_by_content_whatever_the_name(tmp_path: Path, suffix: str, name: str) -> None:
    assert read(tmp_path / name, COMPRESS[suffix](text(9))) == (text(9), [])


@every_codec
def test_many_members_are_one_stream_in_large_blocks(tmp_path: Path, suffix: str) -> None:
    parts = [text(500, seed) for seed in range(60)]
    (tmp_path / "a").write_bytes(b"".join(map(COMPRESS[suffix], parts)))
    blocks = list(read_blocks(str(tmp_path / "a")))
    assert b"".join(blocks) == b"".join(parts)
    assert min(map(len, blocks[:-1])) >= streams.BLOCK_BYTES and max(map(len, blocks)) < 3 * streams.BLOCK_BYTES


@every_codec
@pytest.mark.parametrize("content", [b"", b"\n", b'{"text": "x"}'])
def test_little_content_and_empty_members_are_read(tmp_path: Path, suffix: str, content: bytes) -> None:
    compress = COMPRESS[suffix]
    assert read(tmp_path / f"a{suffix}", compress(b"") + compress(content) + compress(b"")) == (content, [])


@every_codec
@pytest.mark.parametrize("content", [b'{"text": "x"}\n', b'\xef\xbb\xbf \n{"text": "x"}', b'[{"text": "x"}]'])
def test_plain_json_under_a_compressed_name_is_read(tmp_path: Path, suffix: str, content: bytes) -> None:
    assert read(tmp_path / f"a.jsonl{suffix}", content) == (content, [])


@every_codec
@pytest.mark.parametrize("content", [b"", b"plain text\n", b"\x9f\x8b\x08\x00 noise"])
def test_anything_else_under_a_compressed_name_is_a_gap(tmp_path: Path, suffix: str, content: bytes) -> None:
    read_text, (gap,) = read(tmp_path / f"a.jsonl{suffix}", content)
    assert (read_text, gap.offset, gap.end) == (b"", 0, None)


@every_codec
def test_cut_off_file_gives_what_is_readable_and_then_a_gap(tmp_path: Path, suffix: str) -> None:
    content = text(24_000)
    whole = COMPRESS[suffix](content)
    found, (gap,) = read(tmp_path / f"a{suffix}", whole[: len(whole) // 2])
    assert content.startswith(found) and len(content) // 4 < len(found) < len(content)
    assert gap.end is None and "cut off" in gap.message


@every_codec
@pytest.mark.parametrize("damage", ["flip", "cut", "insert", "zeros", "header", "end"])
def test_damaged_member_costs_no_other_one(tmp_path: Path, suffix: str, damage: str) -> None:
    parts = [text(30, seed) for seed in range(20)]
    members = [*map(COMPRESS[suffix], parts)]
    bad = bytearray(members[7])
    middle = len(bad) // 2
    if damage == "flip":
        bad[middle] ^= 0x55
    elif damage == "cut":
        del bad[middle : middle + 30]
    elif damage == "insert":
        bad[middle:middle] = b"noise"
    elif damage == "zeros":
        bad[middle : middle + 64] = bytes(64)
    elif damage == "header":
        bad[:6] = b"noise!"
    else:
        del bad[-20:]
    found, gaps = read(tmp_path / f"a{suffix}", b"".join([*members[:7], bytes(bad), *members[8:]]))
    assert found.startswith(b"".join(parts[:7])) and found.endswith(b"".join(parts[8:]))
    assert len(gaps) == 1
    begin = sum(map(len, members[:7]))
    assert gaps[0].end == begin + len(bad) and begin <= gaps[0].offset <= gaps[0].end


@pytest.mark.parametrize("at", [0.02, 0.5, 0.9])
def test_everything_before_the_damage_in_a_long_gzip_member_is_read(tmp_path: Path, at: float) -> None:
    content = text(15_000)
    whole = bytearray(gzip.compress(content))
    place = int(len(whole) * at)
    whole[place : place + 8] = bytes(8)
    found, (gap,) = read(tmp_path / "a.gz", bytes(whole))
    # Reading byte by byte yields no more.
    slow, n_slow = zlib.decompressobj(31), 0
    with pytest.raises(zlib.error):
        for i in range(len(whole)):
            n_slow += len(slow.decompress(whole[i : i + 1]))
    assert len(found) == n_slow and gap.end is None
    n_same = next(i for i, (a, b) in enumerate(zip(content, found, strict=False)) if a != b)
    assert abs(n_same / len(content) - at) < 0.02


def test_wrong_checksum_loses_nothing_and_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(text(99))
    found, (gap,) = read(tmp_path / "a.gz", whole[:-8] + b"\0\0\0\0" + whole[-4:] + gzip.compress(b"next"))
    assert found == text(99) + b"next" and "checksum" in gap.message


def test_neighbouring_damaged_members_are_one_gap(tmp_path: Path) -> None:
    members = [gzip.compress(text(3, seed)) for seed in range(9)]
    bad = [b"noise" + member[5:] for member in members[3:6]]
    found, gaps = read(tmp_path / "a.gz", b"".join([*members[:3], *bad, *members[6:]]))
    assert found == b"".join(text(3, seed) for seed in (0, 1, 2, 6, 7, 8)) and len(gaps) == 1


@every_codec
@pytest.mark.parametrize("padding", [1, 511, 9_000_000])
def test_zeros_behind_and_between_members_are_no_gap(tmp_path: Path, suffix: str, padding: int) -> None:
    member = COMPRESS[suffix](text(9))
    assert read(tmp_path / f"a{suffix}", member + bytes(padding) + member + bytes(padding)) == (2 * text(9), [])


@every_codec
@pytest.mark.parametrize("junk", [b"junk", b"\x00\x00junk", b"\x1f\x8b\x08\x00junk" * 1_000, b"\x28\xb5\x2f\xfd"])
def test_junk_behind_the_last_member_is_one_gap_and_loses_nothing(tmp_path: Path, suffix: str, junk: bytes) -> None:
    member = COMPRESS[suffix](text(9))
    found, gaps = read(tmp_path / f"a{suffix}", member + junk)
    assert found == text(9) and [gap.end for gap in gaps] == [None]


@pytest.mark.parametrize("suffix", [".zst", ".lz4"])
@pytest.mark.parametrize("name", ["a.zst", "part-00000"])
def test_skippable_frames_are_passed_over(tmp_path: Path, suffix: str, name: str) -> None:
    def skippable(content: bytes, number: int = 0) -> bytes:
        return bytes([0x50 + number, 0x2A, 0x4D, 0x18]) + len(content).to_bytes(4, "little") + content

    frames = [COMPRESS[suffix](text(9, seed)) for seed in range(3)]
    content = b"".join(skippable(len(frame).to_bytes(4, "little")) + frame for frame in frames)
    whole = skippable(b"") + content + skippable(bytes(99), 14)
    assert read(tmp_path / name, whole) == (b"".join(text(9, seed) for seed in range(3)), [])


@pytest.mark.parametrize("size", [5, 0xFFFF_FFFF])
def test_skippable_frame_of_a_wrong_size_costs_no_frame(tmp_path: Path, size: int) -> None:
    frame = zstandard.compress(text(9))
    found, gaps = read(tmp_path / "a.zst", frame + b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + b"four" + frame)
    assert found == 2 * text(9) and len(gaps) == 1


def zstd_with_window(content: bytes, window_log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
    out = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as writer:
        writer.write(content)
    return out.getvalue()


@pytest.mark.parametrize("window_log", [27, 28, 31])
def test_large_zstd_windows_are_read(tmp_path: Path, window_log: int) -> None:
    assert read(tmp_path / "a.zst", zstd_with_window(text(9), window_log)) == (text(9), [])


def test_zstd_window_over_the_limit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    small = zstandard.compress(text(2))
    found, (gap,) = read(tmp_path / "a.zst", small + zstd_with_window(text(9), 28) + small, max_window_bytes=128 << 20)
    assert found == 2 * text(2)
    assert all(word in gap.message for word in ("256 MiB", "input.max_zstd_window_mb = 128", "zstd -dc --long=28"))


def test_zstd_dictionary_that_is_not_there_is_named(tmp_path: Path) -> None:
    words = zstandard.train_dictionary(4_000, [text(3, seed) for seed in range(400)])
    frame = zstandard.ZstdCompressor(dict_data=words).compress(text(3))
    found, (gap,) = read(tmp_path / "a.zst", frame)
    assert not found and f"dictionary {words.dict_id()}" in gap.message


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_content_that_blows_up_a_thousandfold_comes_in_bounded_blocks(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a").write_bytes(COMPRESS[suffix](b"a" * (200 << 20)))
    sizes = [len(block) for block in read_blocks(str(tmp_path / "a"))]
    assert sum(sizes) == 200 << 20 and max(sizes) < 64 << 20


@every_codec
def test_random_damage_to_one_member_costs_no_other_one(tmp_path: Path, suffix: str) -> None:
    chance = random.Random(20)
    parts = [text(1, seed) for seed in range(20)]
    members = [*map(COMPRESS[suffix], parts)]
    for _ in range(60):
        bad, number = bytearray(chance.choice(members)), chance.randrange(20)
        place = chance.randrange(len(bad))
        kind = chance.randrange(4)
        if kind == 0:
            bad[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del bad[place : place + chance.randrange(1, 40)]
        elif kind == 2:
            bad[place:place] = chance.randbytes(chance.randrange(1, 40))
        else:
            del bad[place:]
        found, gaps = read(tmp_path / "a", b"".join([*members[:number], bad, *members[number + 1 :]]))
        before, behind = b"".join(parts[:number]), b"".join(parts[number + 1 :])
        if number == 0 and not found.startswith(b"{"):
            continue  # Neither its first bytes nor its name tell the compression any more.
        assert found.startswith(before) and found.endswith(behind), (kind, place, number)
        assert len(gaps) <= 1


def test_start_of_a_long_bzip2_block_tells_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bz2.compress(text(9_000)))
    assert (tmp_path / "a").stat().st_size > 200_000 and text(9_000).startswith(
        streams.read_head(str(tmp_path / "a"))[:99]
    )
    assert streams.read_head(str(tmp_path / "a"))
