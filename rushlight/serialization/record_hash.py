"""The identity that PyTorch writes into an archive: a hash of the records' names and one of CRCs.

In: the names of the records in the order of writing, and their CRC-32. Out: forty digits. The names
are folded in the order in which GNU's C++ library walks a set of strings, so that files come out
byte for byte as PyTorch's Linux wheel writes them; nothing reads these digits for their meaning.

Source: Austin Appleby's MurmurHash64A (public domain) with the seed of libstdc++; the order was
inferred from, and is tested against, files that PyTorch wrote.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["identity"]

_MASK = (1 << 64) - 1
_MULTIPLIER = 0xC6A4A7935BD1E995
_SEED = 0xC70F6907
# Sizes of the hash table as it grows.
_BUCKETS = (13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753, 42043, 85229, 172933)


def _shift(value: int) -> int:
    return value ^ (value >> 47)


def _murmur(data: bytes) -> int:
    whole = len(data) // 8 * 8
    value = _SEED ^ (len(data) * _MULTIPLIER & _MASK)
    for start in range(0, whole, 8):
        word = int.from_bytes(data[start : start + 8], "little") * _MULTIPLIER & _MASK
        value = (value ^ (_shift(word) * _MULTIPLIER & _MASK)) * _MULTIPLIER & _MASK
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    return _shift(_shift(value) * _MULTIPLIER & _MASK)


def _fold(seed: int, value: int) -> int:
    return seed ^ (value + 0x9E3779B9 + (seed << 6) + (seed >> 2) & _MASK)


def _walk(hashes: list[int]) -> list[int]:
    """The order in which the set gives its members back: latest bucket, latest member first."""
    order: list[int] = []
    size = 0
    buckets: dict[int, list[int]] = {}
    for count, value in enumerate(hashes):
        if count + 1 > size:
            order = [v for b in reversed(buckets.values()) for v in reversed(b)]
            size = next((n for n in _BUCKETS if n > count), 2 * count + 1)
            buckets = {}
            for old in order:
                buckets.setdefault(old % size, []).append(old)
        buckets.setdefault(value % size, []).append(value)
    return [v for b in reversed(buckets.values()) for v in reversed(b)]


def identity(names: Iterable[str], checksums: Iterable[int]) -> str:
    """The digits for an archive of these records.

    Example:
        >>> names = ["data.pkl", ".format_version", ".storage_alignment", "byteorder", "version"]
        >>> identity(names, [])[:20]
        '02908468677762923104'
    """
    name_hash = checksum = 0
    for value in _walk([_murmur(name.encode()) for name in names]):
        name_hash = _fold(name_hash, value)
    for value in checksums:
        checksum = _fold(checksum, value)
    return f"{name_hash:020d}{checksum:020d}"
