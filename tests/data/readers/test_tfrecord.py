"""TFRecord files and tf.train.Example messages, written here from the formats' definitions."""

import gzip
import runpy
import struct
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.readers import tfrecord
from pyrovp.data.readers.tfrecord import example, masked_crc, records


def crc32c(data: bytes) -> int:
    """Bit by bit: the reflected Castagnoli polynomial, ones before and after."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def framed(data: bytes) -> bytes:
    """A record as it lies in a file."""
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", mask(crc32c(part))) for part in (length, data)]
    return length + checksums[0] + data + checksums[1]


def varint(value: int) -> bytes:
    value %= 2**64
    octets = []
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def field(number: int, payload: bytes | int) -> bytes:
    """A field of counted bytes, or of one whole number."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def bytes_list(values: Sequence[bytes]) -> bytes:
    return field(1, b"".join(field(1, value) for value in values))


def float_list(values: Sequence[float], packed: bool = True) -> bytes:
    numbers = [struct.pack("<f", value) for value in values]
    single = b"".join(varint(1 << 3 | 5) + number for number in numbers)
    return field(2, field(1, b"".join(numbers)) if packed else single)


def int64_list(values: Sequence[int], packed: bool = True) -> bytes:
    together = field(1, b"".join(map(varint, values)))
    return field(3, together if packed else b"".join(field(1, value) for value in values))


def message(*features: tuple[str, bytes]) -> bytes:
    """A tf.train.Example of features in this order."""
    entries = [field(1, name.encode()) + field(2, feature) for name, feature in features]
    return field(1, b"".join(field(1, entry) for entry in entries))


RFC_3720 = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (
        bytes.fromhex(
            "01c00000 00000000 00000000 00000000 14000000 00000400"
            "00000014 00000018 28000000 00000000 02000000 00000000"
        ),
        0xD9963A56,
    ),
]


@pytest.mark.parametrize(("data", "crc"), RFC_3720)
def test_checksums_of_rfc_3720(data: bytes, crc: int) -> None:
    """Appendix B.4: the CRC, and the checksum that a TFRecord file stores for it."""
    assert crc32c(data) == crc
    assert masked_crc()(data) == mask(crc)


def test_records_come_back(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = [rng.bytes(size) for size in (5, 0, 1, 3000)]
    (tmp_path / "a.tfrecords").write_bytes(b"".join(map(framed, data)))
    assert list(records(tmp_path / "a.tfrecords")) == data


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, bytes, list[int]]:
    """A file of three records: its path, its bytes, and where the records begin and end."""
    parts = [framed(b"first"), framed(b"second one"), framed(b"x")]
    path = tmp_path / "b.tfrecords"
    path.write_bytes(b"".join(parts))
    return path, path.read_bytes(), [0, *np.cumsum([len(part) for part in parts]).tolist()]


def test_a_cut_file_names_record_and_byte(three: tuple[Path, bytes, list[int]]) -> None:
    path, whole, edges = three
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        complete = sum(edge <= size for edge in edges) - 1
        if size in edges:
            assert len(list(records(path))) == complete
            continue
        reader = records(path)
        assert len([next(reader) for _ in range(complete)]) == complete
        expected = rf"b.tfrecords, record {complete} \(byte {edges[complete]}\): found only \d+ b"
        with pytest.raises(DamagedFile, match=expected):
            next(reader)


def test_a_changed_bit_is_found(three: tuple[Path, bytes, list[int]]) -> None:
    path, whole, edges = three
    for byte in range(edges[1], edges[2]):
        changed = bytearray(whole)
        changed[byte] ^= 4
        path.write_bytes(changed)
        what = "its length" if byte < edges[1] + 12 else "data"
        reader = records(path)
        assert next(reader) == b"first"
        with pytest.raises(DamagedFile, match=rf"record 1 \(byte 21\): found {what} with the che"):
            next(reader)


def test_a_length_beyond_the_file_reserves_no_memory(tmp_path: Path) -> None:
    length = struct.pack("<Q", 2**60)
    path = tmp_path / "c.tfrecords"
    path.write_bytes(length + struct.pack("<I", mask(crc32c(length))) + b"data")
    with pytest.raises(DamagedFile, match=f"only 4 bytes .*, expected {2**60};"):
        list(records(path))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "an empty file"),
        (gzip.compress(framed(b"data")), "record 0 .* compressed"),
        (b"<html>not found</html>", "record 0 .* no TFRecord file"),
    ],
)
def test_what_is_no_tfrecord_file(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "d.tfrecords"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=problem):
        list(records(path))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is imported without it; only reading needs it."""
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    runpy.run_path(tfrecord.__file__)
    with pytest.raises(DataError, match=r"google_crc32c.*pip install 'pyrovp\[data\]'"):
        list(records(tmp_path / "none"))


def test_an_example_from_its_bytes() -> None:
    """Every byte by hand: one feature "ab" with the int64s 1 and 150, and one with bytes."""
    written = bytes.fromhex("0a 1c 0a0d 0a02 6162 12 07 1a05 0a03 01 9601 0a0b 0a01 63 1206 0a04")
    found = example(written + bytes.fromhex("0a02 00ff"))
    assert list(found) == ["ab", "c"]
    assert np.array_equal(found["ab"], [1, 150]) and found["c"] == [b"\x00\xff"]


EXTREMES = [0, 1, 127, 128, 16383, 16384, -1, -128, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("packed", [True, False])
def test_lists_packed_and_single(packed: bool) -> None:
    small, halves = list(range(100)), [0.5, -2.25, 3e38, 0.0]
    found = example(
        message(
            ("extremes", int64_list(EXTREMES, packed)),
            ("small", int64_list(small, packed)),
            ("halves", float_list(halves, packed)),
        )
    )
    for name, values in (("extremes", EXTREMES), ("small", small)):
        assert isinstance(found[name], np.ndarray)
        assert np.asarray(found[name]).dtype == np.int64
        assert np.asarray(found[name]).tolist() == values
    numbers = np.asarray(found["halves"])
    assert numbers.dtype == np.float32 and numbers.flags.writeable
    assert np.array_equal(numbers, np.array(halves, np.float32))


@pytest.mark.parametrize("make", [bytes_list, float_list, int64_list])
def test_empty_lists(make: Callable[[list[object]], bytes]) -> None:
    found = example(message(("none", make([])), ("unset", b"")))
    assert len(found["none"]) == 0 and found["unset"] == []


def test_an_empty_message_has_no_features() -> None:
    assert example(b"") == {}


def test_what_protocol_buffers_allow() -> None:
    """Unknown fields, any order, a message in parts, and the last of two equal names."""
    unknown = [field(9, 5), field(10, b"?"), varint(11 << 3 | 5) + b"four", varint(97) + b"8" * 8]
    value = field(2, unknown[0] + int64_list([1, 2]) + unknown[3] + int64_list([3], packed=False))
    turned = field(1, unknown[1] + value + field(1, b"parts") + unknown[2])
    twice = message(("two", int64_list([1])), ("two", float_list([2.0]) + bytes_list([b"x"])))
    found = example(unknown[2] + field(1, turned + unknown[0]) + twice)
    assert np.array_equal(found["parts"], [1, 2, 3])
    assert found["two"] == [b"x"]
    assert np.array_equal(
        example(message(("wrong wire type", field(3, field(1, 4)))))["wrong wire type"], [4]
    )


def test_a_cut_example_is_damaged() -> None:
    whole = message(
        ("a", bytes_list([b"xyz", b""])),
        ("b", float_list([1.0, 2.0])),
        ("c", int64_list([300, -1])),
    )
    for size in range(1, len(whole)):
        with pytest.raises(DamagedFile, match="file 7: found .*, expected a tf.train.Example"):
            example(whole[:size], "file 7")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (message(("a", field(2, field(1, b"12345")))), "5 bytes of numbers of 4 bytes"),
        (message(("a", field(3, field(1, b"\x01\x80")))), "a whole number that does not end"),
        (message(("a", field(3, field(1, b"\x80" * 10 + b"\x01")))), "number that does not end"),
        (field(1, field(1, field(1, b"\xff"))), "a name that is not UTF-8 at byte 6"),
        (b"\x0b", "wire type 3 at byte 0"),
        (b"\x02\x00", "byte 0 that does not fit"),
    ],
)
def test_what_is_no_example(data: bytes, problem: str) -> None:
    with pytest.raises(DamagedFile, match=problem):
        example(data)


def test_any_bytes_are_an_example_or_damaged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = message(("a", bytes_list([b"x" * 20])), ("b", int64_list([300] * 9)))
    refused = 0
    for _ in range(500):
        changed = bytearray(whole)
        for place in rng.integers(len(whole), size=2):
            changed[place] = rng.integers(256)
        try:
            example(bytes(changed))
        except DamagedFile:
            refused += 1
    assert 0 < refused < 500


def test_images_are_copied_once() -> None:
    images = [bytes([i]) * 100_000 for i in range(10)]
    record = message(*((f"{i}/encoded", bytes_list([image])) for i, image in enumerate(images)))
    tracemalloc.start()
    try:
        found = example(record)
        assert tracemalloc.get_traced_memory()[1] < 1_100_000
    finally:
        tracemalloc.stop()
    assert [found[f"{i}/encoded"] for i in range(10)] == [[image] for image in images]
