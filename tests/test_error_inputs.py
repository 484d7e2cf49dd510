"""Wrong inputs raise here what they raise in PyTorch, on PyTorch's own table of wrong inputs.

In: `error_inputs_func` of the operators in PyTorch's OpInfo database.  Each call is made with torch
and with rushlight; the types of the exceptions must agree, and their first lines are counted.

    python tests/test_error_inputs.py [part of an operator's name ...]

lists what differs.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")  # PyTorch's test helpers need it
torch_samples = importlib.import_module("torch_samples")

OUT_OF_SCOPE = ("_", "jiterator", "sparse", "to_sparse", "hash_tensor", "native_", "torch.ops")
WITHDRAWN = ("linear_cross_entropy", "nonzero_static", "resize_", "triangular_solve", "chalf")

SAME_TYPE, SAME_TEXT = 641, 641  # of 641: the least counts


def in_scope(op: Any) -> bool:
    name = op.full_name
    if name.startswith("__"):
        return True
    return not name.startswith(OUT_OF_SCOPE) and not any(w in name for w in WITHDRAWN)


def outcome(call: Any) -> tuple[str, str]:
    """The exception's type and first line; empty where there is none."""
    try:
        call()
    except torch_samples.Inapplicable:
        raise
    except Exception as error:
        text = str(error)
        return type(error).__name__, (text.splitlines() or [""])[0]
    return "", ""


class Row:
    """One wrong input and what both packages say to it."""

    def __init__(self, op: str, want: tuple[str, str], got: tuple[str, str]) -> None:
        self.op, self.want, self.got = op, want, got

    def __str__(self) -> str:
        sides = [f"{kind or 'nothing'}: {text}" for kind, text in (self.want, self.got)]
        return f"{self.op}\n    torch     {sides[0]}\n    rushlight {sides[1]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compare(only: tuple[str, ...] = ()) -> list[Row]:
    """Every wrong input of every operator (whose name holds one of the given parts)."""
    database = importlib.import_module("torch.testing._internal.common_methods_invocations")
    rows = []
    for op in database.op_db:
        if op.error_inputs_func is None or not in_scope(op):
            continue
        if only and not any(part in op.full_name for part in only):
            continue
        for case in op.error_inputs("cpu"):
            sample = case.sample_input
            args, kwargs = (sample.input, *sample.args), sample.kwargs
            convert = torch_samples.Converter()
            try:
                mine = torch_samples.ours(op, convert(args), convert(kwargs))
                want = outcome(lambda: op(*args, **kwargs))  # noqa: B023
                if want[0]:
                    rows.append(Row(op.full_name, want, outcome(mine)))
            except torch_samples.Inapplicable:
                continue
    return rows


def test_wrong_inputs_raise_as_in_torch() -> None:
    with quiet():
        rows = compare()
    kinds = [row for row in rows if row.want[0] != row.got[0]]
    texts = sum(row.want == row.got for row in rows)
    print(f"\n{len(rows)} wrong inputs: {len(rows) - len(kinds)} of the same type, ", end="")
    print(f"{texts} with the same first line")
    assert not kinds, "\n".join(map(str, kinds))
    assert len(rows) - len(kinds) >= SAME_TYPE
    assert texts >= SAME_TEXT


if __name__ == "__main__":
    with quiet():
        found = compare(tuple(a for a in sys.argv[1:] if a != "--texts"))
    for row in found:
        if row.want[0] != row.got[0] or ("--texts" in sys.argv and row.want != row.got):
            print(row)
    same = sum(row.want[0] == row.got[0] for row in found)
    lines = sum(row.want == row.got for row in found)
    print(f"{len(found)} wrong inputs, {same} of the same type, {lines} with the same first line")
