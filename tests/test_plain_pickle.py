"""Pickles of plain data: what they may hold, and what is refused without being executed."""

from __future__ import annotations

import collections
import contextlib
import datetime
import io
import os
import pickle
import random
from typing import Any

import numpy as np
import pytest

from rushlight.errors import FileFormatError
from rushlight.serialization import plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN: dict[str, Any] = {
    "numbers": [1, -5, 2**70, -(2**70), 2.5, float("inf"), True, None, 1 + 2j],
    "text": ["", "é", "\ud800", "a" * 300, b"", b"x\xff", bytearray(b"zz")],
    "sets": [{1, 2}, frozenset([1, (2, 3)]), (), (1,), (1, 2, 3, 4)],
    "ordered": collections.OrderedDict(a=1, b=[2]),
    "counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], 5),
    "slices": [slice(1, 2), range(3)],
}
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6, dtype=">i4"),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array(["ab", "c"]),
    np.zeros((0, 3)),
    np.array([True, False]),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data(protocol: int) -> None:
    default: collections.defaultdict[int, list[int]] = collections.defaultdict(list)
    default[1].append(2)
    for value in (*PLAIN.values(), PLAIN, default):
        read = plain_pickle.loads(pickle.dumps(value, protocol))
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays(protocol: int) -> None:
    for array in ARRAYS:
        first, second = plain_pickle.loads(pickle.dumps([array, array], protocol))
        assert first is second
        assert first.dtype == array.dtype
        assert first.shape == array.shape
        assert (first == array).all()
        first[...] = array  # it can be written to
    scalar = plain_pickle.loads(pickle.dumps(np.float32(3), protocol))
    assert scalar == 3
    assert type(scalar) is np.float32


def test_strings_of_python_2() -> None:
    # pickle.dumps({'data': 'caf\xe9'}, 2) by Python 2
    old = b"\x80\x02}q\x00U\x04dataq\x01U\x04caf\xe9q\x02s."
    assert plain_pickle.loads(old, encoding="latin1") == {"data": "café"}
    assert plain_pickle.loads(old, encoding="bytes") == {b"data": b"caf\xe9"}
    with pytest.raises(FileFormatError):
        plain_pickle.loads(old)


def test_recursive_and_several() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    read = plain_pickle.loads(pickle.dumps(loop))
    assert read[1] is read
    file = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]))
    assert plain_pickle.load(file) == 1
    assert plain_pickle.load(file) == [2]


class Bomb:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_executed(protocol: int, tmp_path: Any) -> None:
    mark = str(tmp_path / "mark")
    harmful = [
        Bomb(os.mkdir, mark),
        Bomb(eval, f"__import__('os').mkdir({mark!r})"),
        Bomb(getattr, Bomb(__import__, "os"), "mkdir"),
        Bomb(bytearray, 10**12),
        Bomb(collections.defaultdict, eval),
        datetime.date(2020, 1, 1),
        Bomb(np.dtype, "O"),
        np.array([object]),
        np.zeros(2, [("a", "f4")]),
        np.memmap,
        print,
    ]
    for value in harmful:
        with pytest.raises(FileFormatError):
            plain_pickle.loads(pickle.dumps([1, value], protocol))
    assert not os.path.exists(mark)


def test_damage_is_one_error() -> None:
    data = pickle.dumps([PLAIN, ARRAYS], 2)
    for end in range(len(data)):
        with pytest.raises(FileFormatError):
            plain_pickle.loads(data[:end])
    numbers = random.Random(0)
    for _ in range(3000):
        broken = bytearray(data)
        for _ in range(3):
            broken[numbers.randrange(len(broken))] = numbers.randrange(256)
        with contextlib.suppress(FileFormatError):
            plain_pickle.loads(bytes(broken))


def test_claims_are_not_believed() -> None:
    with pytest.raises(FileFormatError):  # a string of an exabyte
        plain_pickle.loads(b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"x.")
    deep = b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns."  # a key nested 200,000 deep
    with pytest.raises(FileFormatError, match="nested"):
        plain_pickle.loads(deep)
    array = pickle.dumps(np.zeros(4), 2)
    with pytest.raises(FileFormatError):
        plain_pickle.loads(array.replace(b"K\x04\x85", b"K\x05\x85"))
