"""The MT19937 engine behind every CPU generator, with PyTorch's seeding and state bytes.

In: a seed or 5056 state bytes; out: 32- and 64-bit words. Everything else in this package turns
those words into values. Source: Matsumoto and Nishimura, "Mersenne Twister" (1998); the layout of
the state bytes was measured on torch 2.13.0 (Linux x86-64, CPU).

| offset | type    | meaning                                                        |
|--------|---------|----------------------------------------------------------------|
| 0      | u64     | the seed, modulo 2**64                                         |
| 8      | i32     | words left in the block plus one (1 right after seeding)       |
| 12     | i32     | 1: seeded                                                      |
| 16     | u64     | words used in the block (0 right after seeding)                |
| 24     | 624 u64 | key words                                                      |
| 5016   | f64     | 0                                                              |
| 5024   | f64     | the cached normal deviate, or 0                                |
| 5032   | f64     | 0                                                              |
| 5040   | i32     | 1 when the cached deviate is valid (4 bytes of padding follow) |
| 5048   | f32     | cached float32 deviate: never used on the CPU, carried along   |
| 5052   | u8      | 1 when that one is valid (3 bytes of padding follow)           |
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from numpy.random import MT19937

__all__ = ["DEFAULT_SEED", "STATE_SIZE", "Engine"]

DEFAULT_SEED = 67280421310721  # of a new Generator
STATE_SIZE = 5056

_BLOCK = 624
_MASK53 = np.uint64((1 << 53) - 1)
_LAYOUT = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key", "normal", "cached", "float", "float_ok"],
        "formats": ["<u8", "<i4", "<i4", "<u8", "(624,)<u8", "<f8", "<i4", "<u4", "u1"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040, 5048, 5052],
        "itemsize": STATE_SIZE,
    }
)


def _check_seed(seed: int) -> int:
    if not -(1 << 63) <= seed < 1 << 64:
        raise ValueError("Overflow when unpacking long long")
    return seed & 0xFFFFFFFFFFFFFFFF


class Engine:
    """One MT19937 stream: key, position, seed, and the spare normal deviate.

    The NumPy bit generator is made at the first draw, so a new engine costs nothing
    (``numpy.random`` takes 20 ms to import).

    Args:
        seed: any integer in [-2**63, 2**64 - 1]; its low 32 bits choose the stream.

    Example:
        >>> Engine(5).words32(2).tolist()
        [953453411, 236996814]
    """

    __slots__ = ("_bits", "_fresh", "_unused", "cached_normal", "initial_seed")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.initial_seed = _check_seed(seed)
        self.cached_normal: float | None = None
        self._bits: MT19937 | None = None
        self._fresh = True
        self._unused = (0, 0)  # the float32 deviate of the state bytes and its flag

    # ---- seeding -------------------------------------------------------------------------

    @property
    def streams(self) -> Any:
        """The package that fills arrays from this engine; operators reach it through it."""
        from rushlight.runtime import random

        return random

    def seed(self, seed: int | None = None) -> int:
        """Start the stream again; without a seed, from 64 bits of the system's entropy.

        Returns:
            The seed, modulo 2**64.

        Raises:
            ValueError: the seed is outside [-2**63, 2**64 - 1].
        """
        chosen = int.from_bytes(os.urandom(8), "little") if seed is None else seed
        self.initial_seed = _check_seed(chosen)
        self.cached_normal = None
        self._fresh = True
        self._unused = (0, 0)
        if self._bits is not None:
            self._start(self._bits)
        return self.initial_seed

    def _start(self, bits: MT19937) -> None:
        np.random.RandomState(bits).seed(self.initial_seed & 0xFFFFFFFF)

    def _generator(self) -> MT19937:
        bits = self._bits
        if bits is None:
            bits = np.random.MT19937(0)
            self._start(bits)
            self._bits = bits
        return bits

    # ---- words ---------------------------------------------------------------------------

    def raw(self, count: int) -> npt.NDArray[np.uint64]:
        """The next ``count`` 32-bit words, each in a uint64 (the cheapest form to get)."""
        bits = self._bits or self._generator()
        if count:
            self._fresh = False
        words: npt.NDArray[np.uint64] = bits.random_raw(count)
        return words

    def word(self) -> int:
        """The next 32-bit word as a Python integer."""
        bits = self._bits or self._generator()
        self._fresh = False
        return int(bits.random_raw())

    def words32(self, count: int) -> npt.NDArray[np.uint32]:
        """The next ``count`` 32-bit words."""
        return self.raw(count).astype(np.uint32)

    def words64(self, count: int) -> npt.NDArray[np.uint64]:
        """The next ``count`` 64-bit words: first word high, second word low."""
        words = self.raw(2 * count)
        high = words[0::2] << np.uint64(32)
        high |= words[1::2]
        return high

    def doubles(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` float64 uniforms in [0, 1): the low 53 bits of a 64-bit word each."""
        words = self.words64(count)
        words &= _MASK53
        values = words.view(np.int64).astype(np.float64)
        values *= 2.0**-53
        return values

    def floats(self, count: int) -> npt.NDArray[np.float32]:
        """``count`` float32 uniforms in [0, 1): the low 24 bits of a 32-bit word each."""
        if count == 1:  # random transforms draw one at a time
            return np.array([(self.word() & 0xFFFFFF) * 2.0**-24], np.float32)
        words = self.words32(count)
        words &= np.uint32(0xFFFFFF)
        values = words.view(np.int32).astype(np.float32)
        values *= np.float32(2.0**-24)
        return values

    def skip(self, count: int) -> None:
        """Throw ``count`` 32-bit words away."""
        if count:
            bits = self._generator()
            self._fresh = False
            bits.random_raw(count, output=False)

    # ---- state ---------------------------------------------------------------------------

    def mark(self) -> tuple[Any, bool]:
        """The place in the stream, for ``rewind`` (the cached normal is not part of it)."""
        return self._generator().state, self._fresh

    def rewind(self, mark: tuple[Any, bool]) -> None:
        """Go back to a place that ``mark`` returned."""
        self._generator().state, self._fresh = mark

    def state_bytes(self) -> npt.NDArray[np.uint8]:
        """The whole state as 5056 bytes, a fresh array; the table above is the layout."""
        state: Any = self._generator().state["state"]
        record = np.zeros(1, _LAYOUT)
        record["seed"] = self.initial_seed
        record["seeded"] = 1
        used = 0 if self._fresh else int(state["pos"])
        record["next"] = used
        record["left"] = 1 if self._fresh else _BLOCK + 1 - used
        record["key"] = state["key"]
        if self.cached_normal is not None:
            record["normal"] = self.cached_normal
            record["cached"] = 1
        record["float"], record["float_ok"] = self._unused
        return record.view(np.uint8)

    def load_state(self, state: bytes | bytearray | memoryview | npt.NDArray[np.uint8]) -> None:
        """Take over a state that ``state_bytes`` (or PyTorch) wrote.

        Raises:
            TypeError: an array of another dtype than uint8.
            RuntimeError: the size is not 5056, or the position in it is impossible.
        """
        if isinstance(state, np.ndarray):
            if state.dtype != np.uint8:
                raise TypeError("RNG state must be a torch.ByteTensor")
            data = np.ascontiguousarray(state).reshape(-1)
        else:
            data = np.frombuffer(state, np.uint8)
        if data.size != STATE_SIZE:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_SIZE} but found the input RNG "
                f"state size to be {data.size}"
            )
        record: Any = data.view(_LAYOUT)[0]
        left, used = int(record["left"]), int(record["next"])
        fresh = left == 1 and used == 0
        consistent = fresh or (1 <= used <= _BLOCK and left == _BLOCK + 1 - used)
        if int(record["seeded"]) != 1 or not consistent:
            raise RuntimeError("Invalid mt19937 state")
        key = record["key"].astype(np.uint32)
        self._generator().state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": _BLOCK if fresh else used},
        }
        self.initial_seed = int(record["seed"])
        self.cached_normal = float(record["normal"]) if record["cached"] else None
        self._fresh = fresh
        self._unused = (int(record["float"]), int(record["float_ok"]))

    def clone(self) -> Engine:
        """A second engine at the same place, the cached normal included."""
        other = Engine(self.initial_seed)
        if self._bits is not None:
            other.rewind(self.mark())
        other.cached_normal = self.cached_normal
        other._unused = self._unused
        return other
