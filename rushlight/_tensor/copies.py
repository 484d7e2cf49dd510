"""Copies of what views show (``xxx_copy``), and pieces that share memory but count as tensors of
their own (``unsafe_split``, ``unsafe_chunk``)."""

from __future__ import annotations

import functools
from typing import Any

from rushlight._tensor import gradients as _gradients  # noqa: F401  publishes detach
from rushlight._tensor import movement as _movement  # noqa: F401  publishes the views
from rushlight._tensor.api import FUNCTIONS, function, result_or_out
from rushlight._tensor.formats import FORMATS
from rushlight.dispatch.gate import call
from rushlight.dispatch.tensor import Tensor, Version
from rushlight.ops import movement

__all__: list[str] = []


def _copy_of(name: str, view: Any) -> None:
    """Publishes ``name_copy``: the view or views, copied."""

    @functools.wraps(view)
    def f(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        shown = view(*args, **kwargs)
        if isinstance(shown, tuple):
            made = tuple([_dense_copy(t) for t in shown])
            if out is None:
                return made
            result_or_out(made, tuple(out))
            return None
        return result_or_out(_dense_copy(shown), out)

    f.__name__ = f.__qualname__ = name + "_copy"
    f.__doc__ = f"A copy of what ``{name}`` shows."
    del f.__wrapped__
    function(f)


def _dense_copy(t: Tensor) -> Tensor:
    """A row-major copy with conjugation and negation carried out."""
    return t.clone(memory_format=FORMATS["contiguous_format"])  # type: ignore[no-any-return]


def _alias(input: Tensor) -> Tensor:
    return call(movement.alias, (input,))  # type: ignore[no-any-return]


def _view(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return Tensor.view(input, *args, **kwargs)  # type: ignore[no-any-return]


def _slice(
    input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    return call(movement.slice, (input,), (dim, start, end, step))  # type: ignore[no-any-return]


for _name, _of in {
    "alias": _alias,
    "as_strided": FUNCTIONS["as_strided"],
    "detach": FUNCTIONS["detach"],
    "diagonal": FUNCTIONS["diagonal"],
    "expand": Tensor.expand,
    "permute": FUNCTIONS["permute"],
    "select": FUNCTIONS["select"],
    "slice": _slice,
    "split": FUNCTIONS["split"],
    "split_with_sizes": FUNCTIONS["split_with_sizes"],
    "squeeze": FUNCTIONS["squeeze"],
    "t": FUNCTIONS["t"],
    "transpose": FUNCTIONS["transpose"],
    "unbind": FUNCTIONS["unbind"],
    "unfold": Tensor.unfold,
    "unsqueeze": FUNCTIONS["unsqueeze"],
    "view": _view,
    "view_as_complex": FUNCTIONS["view_as_complex"],
    "view_as_real": FUNCTIONS["view_as_real"],
}.items():
    _copy_of(_name, _of)


def _unsafe(name: str, split: Any) -> None:
    """Publishes ``unsafe_name``: pieces that may be written in place at the user's own risk."""

    def f(input: Tensor, size: Any, dim: int = 0) -> tuple[Tensor, ...]:
        pieces: tuple[Tensor, ...] = split(input, size, dim)
        for t in pieces:
            t._view = None
            t._counter = Version()
        return pieces

    f.__name__ = f.__qualname__ = "unsafe_" + name
    f.__doc__ = f"``{name}`` whose pieces are not tracked as views of the input."
    setattr(Tensor, f.__name__, function(f))


_unsafe("split", FUNCTIONS["split"])
_unsafe("split_with_sizes", FUNCTIONS["split_with_sizes"])
_unsafe("chunk", FUNCTIONS["chunk"])
