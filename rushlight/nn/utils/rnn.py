"""Sequences of different lengths: padding them, packing them, and back.

In: a list of sequences, or a padded batch with lengths.  Out: a padded batch, or a
`PackedSequence`, which recurrent layers read without the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import rushlight as rl
from rushlight import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]

_Packed = TypeVar("_Packed", bound="PackedSequence")


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


def _maybe(value: Any, fn: Callable[[Any], Any]) -> Any:
    return None if value is None else fn(value)


class PackedSequence(PackedSequence_):
    """A batch of sequences without padding: all first steps, then all second steps, ...

    Made by `pack_sequence` and `pack_padded_sequence`, not by hand.

    Attributes:
        data: (total steps, *).
        batch_sizes: how many sequences reach each step; int64 on the CPU.
        sorted_indices: the order in which the sequences were packed, or None.
        unsorted_indices: the inverse order, or None.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.nn.utils.rnn import pack_sequence
        >>> pack_sequence([rl.tensor([1, 2]), rl.tensor([3])]).data
        tensor([1, 3, 2])
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> Any:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        fields = (data, batch_sizes, sorted_indices, unsorted_indices)
        return super().__new__(cls, *fields)

    def pin_memory(self: _Packed) -> _Packed:
        """The same in page-locked memory."""
        return type(self)(
            self.data.pin_memory(),
            self.batch_sizes,
            _maybe(self.sorted_indices, lambda t: t.pin_memory()),
            _maybe(self.unsorted_indices, lambda t: t.pin_memory()),
        )

    def to(self: _Packed, *args: Any, **kwargs: Any) -> _Packed:
        """Move or cast the data as `Tensor.to` does; indices move but keep their dtype."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self

        def move(t: Any) -> Any:
            return t.to(data.device)

        return type(self)(
            data,
            self.batch_sizes,
            _maybe(self.sorted_indices, move),
            _maybe(self.unsorted_indices, move),
        )

    def cuda(self: _Packed, *args: Any, **kwargs: Any) -> _Packed:
        """Move to a GPU."""
        if not (args or "device" in kwargs):
            kwargs["device"] = "cuda"
        return self.to(*args, **kwargs)

    def cpu(self: _Packed, *args: Any, **kwargs: Any) -> _Packed:
        """Move to the CPU."""
        if not (args or "device" in kwargs):
            kwargs["device"] = "cpu"
        return self.to(*args, **kwargs)

    def double(self: _Packed) -> _Packed:
        """Cast the data to float64."""
        return self.to(dtype=rl.float64)

    def float(self: _Packed) -> _Packed:
        """Cast the data to float32."""
        return self.to(dtype=rl.float32)

    def half(self: _Packed) -> _Packed:
        """Cast the data to float16."""
        return self.to(dtype=rl.float16)

    def long(self: _Packed) -> _Packed:
        """Cast the data to int64."""
        return self.to(dtype=rl.int64)

    def int(self: _Packed) -> _Packed:
        """Cast the data to int32."""
        return self.to(dtype=rl.int32)

    def short(self: _Packed) -> _Packed:
        """Cast the data to int16."""
        return self.to(dtype=rl.int16)

    def char(self: _Packed) -> _Packed:
        """Cast the data to int8."""
        return self.to(dtype=rl.int8)

    def byte(self: _Packed) -> _Packed:
        """Cast the data to uint8."""
        return self.to(dtype=rl.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return bool(self.data.is_pinned())


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes `permutation` (None for None).

    Example:
        >>> import rushlight as rl
        >>> invert_permutation(rl.tensor([2, 0, 1]))
        tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    places = rl.arange(0, permutation.numel(), device=permutation.device)
    return rl.empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch.

    Args:
        input: (T, B, *), or (B, T, *) with `batch_first`.
        lengths: of the B sequences, a list or an int64 tensor on the CPU.
        batch_first: default: `False`.
        enforce_sorted: the lengths must come in descending order; else they are sorted here, and
            the order is kept in the result. Default: `True`.

    Raises:
        RuntimeError: lengths that do not descend, are not positive, or do not fit the batch.
    """
    if isinstance(lengths, Tensor):
        lengths = lengths.to(dtype=rl.int64)
    else:
        lengths = rl.as_tensor(lengths, dtype=rl.int64, device="cpu")
    order = None
    if not enforce_sorted:
        lengths, order = rl.sort(lengths, descending=True)
        order = order.to(input.device)
        input = input.index_select(0 if batch_first else 1, order)
    data, batch_sizes = _pack(input, lengths, batch_first)
    packed: PackedSequence = PackedSequence(data, batch_sizes, order, None)
    return packed


def _pack(input: Any, lengths: Any, batch_first: bool) -> tuple[Any, Any]:
    """Data and batch sizes of a batch whose lengths descend."""
    if batch_first:
        input = input.transpose(0, 1)
    if lengths.device.type != "cpu":
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device} Long tensor"
        )
    batch = input.size(1)
    sizes: list[int] = lengths.tolist()
    if input.numel() <= 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(sizes) != batch:
        raise RuntimeError(
            "Expected `len(lengths)` to be equal to batch_size, but got "
            f"{len(sizes)} (batch_size={batch})"
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element "
            "in 'lengths' that is <= 0"
        )
    if sizes != sorted(sizes, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
            "to sidestep this requirement if you do not need ONNX exportability."
        )
    if sizes[0] > input.size(0):
        raise RuntimeError(
            f"Expected lengths of at most {input.size(0)} (the padded length), but got {sizes[0]}"
        )
    steps = []  # runs of steps that equally many sequences reach stay together
    batch_sizes: list[int] = []
    start = 0
    for alive in range(batch, 0, -1):
        stop = sizes[alive - 1]
        if stop > start:
            piece = input[start:stop, :alive]  # (steps, alive, *)
            steps.append(piece.reshape(-1, *input.shape[2:]))
            batch_sizes += [alive] * (stop - start)
            start = stop
    return rl.cat(steps), rl.tensor(batch_sizes, dtype=rl.int64)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Undo `pack_padded_sequence`.

    Args:
        sequence: what was packed.
        batch_first: return (B, T, *) instead of (T, B, *). Default: `False`.
        padding_value: what fills the ends. Default: 0.
        total_length: T, at least the longest length. Default: that length.

    Returns:
        The padded batch, in the order before sorting, and the lengths.
    """
    longest = sequence.batch_sizes.size(0)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        longest = total_length
    data, sizes = sequence.data, sequence.batch_sizes.tolist()
    batch = sizes[0]
    rows = []
    for step in data.split(sizes):  # (alive, *)
        missing = batch - step.size(0)
        if missing:
            filler = step.new_full((missing, *step.shape[1:]), padding_value)
            step = rl.cat([step, filler])
        rows.append(step)
    padded = rl.stack(rows)  # (T, B, *)
    if longest > len(sizes):
        shape = (longest - len(sizes), *padded.shape[1:])
        padded = rl.cat([padded, padded.new_full(shape, padding_value)])
    lengths = rl.tensor([sum(size > b for size in sizes) for b in range(batch)], dtype=rl.int64)
    if batch_first:
        padded = padded.transpose(0, 1)
    order = sequence.unsorted_indices
    if order is None:
        return padded, lengths
    return padded.index_select(0 if batch_first else 1, order), lengths[order.cpu()]


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Stack sequences of different lengths, padding the shorter ones.

    Args:
        sequences: tensors (L, *), with L of their own.
        batch_first: return (B, T, *) instead of (T, B, *). Default: `False`.
        padding_value: what fills them up. Default: 0.
        padding_side: `"right"` or `"left"`. Default: `"right"`.

    Example:
        >>> import rushlight as rl
        >>> pad_sequence([rl.tensor([1, 2]), rl.tensor([3])], batch_first=True)
        tensor([[1, 2],
                [3, 0]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    items = tuple(sequences)
    if not items:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("right", "left"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(item.size(0) for item in items)
    tail = items[0].shape[1:]
    shape = (len(items), longest) if batch_first else (longest, len(items))
    padded = items[0].new_full((*shape, *tail), padding_value)
    for i, item in enumerate(items):
        length = item.size(0)
        span = slice(0, length) if padding_side == "right" else slice(longest - length, longest)
        padded[(i, span) if batch_first else (span, i)] = item
    return padded


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Cut a padded batch back into a list of sequences.

    Args:
        padded_sequences: (T, B, *), or (B, T, *) with `batch_first`.
        lengths: int64 (B).
        batch_first: default: `False`.
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    pairs = zip(padded_sequences, lengths.tolist(), strict=True)
    return [sequence[:length] for sequence, length in pairs]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L, *) of different lengths.

    Args:
        sequences: by descending length, unless `enforce_sorted` is False.
        enforce_sorted: default: `True`.
    """
    lengths = rl.as_tensor([item.size(0) for item in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Undo `pack_sequence`: the list of sequences."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
