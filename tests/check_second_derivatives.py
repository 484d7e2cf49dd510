"""Second derivatives of every operator of PyTorch's table, by gradgradcheck in float64.

    python tests/check_second_derivatives.py                 # all; needs torch for its samples
    python tests/check_second_derivatives.py conv2d linalg   # operators whose names hold a part
    python tests/check_second_derivatives.py --samples 3     # the first samples only

In: PyTorch's OpInfo database, the operators that it calls twice differentiable, with their sample
inputs; no derivative is taken from torch. A random projection of the Jacobian is compared with
differences (`fast_mode`), and where that is off, the whole of it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
import warnings
from typing import Any

import rushlight

OUT_OF_SCOPE = (
    "jiterator sparse to_sparse torch.ops as_strided.partial_views masked. native_ slice "
    "max_pool2d_with_indices_backward nn.functional.linear_cross_entropy chalf"
).split()
"""What rushlight lacks or has in half precision; `masked` is Python that wants PyTorch's dtypes."""
PROMISED_BUT_FAILS = {
    "nn.functional.ctc_loss": "PyTorch's own raises too",
    "linalg.norm.subgradients_at_zero": "not twice differentiable at zero; PyTorch's fails too",
}


def operators(parts: list[str], dtype: Any) -> list[Any]:
    """The operators whose second derivatives PyTorch promises."""
    database = importlib.import_module("torch.testing._internal.common_methods_invocations")
    found = []
    for op in database.op_db:
        name = op.full_name
        if not op.supports_gradgrad or dtype not in op.dtypes:
            continue
        if name.startswith(tuple(OUT_OF_SCOPE)) or name in PROMISED_BUT_FAILS:
            continue
        if name.startswith("_") and not name.startswith("__"):
            continue
        if not parts or any(part in name for part in parts):
            found.append(op)
    return found


def tensors_of(x: Any) -> list[Any]:
    """The tensors within lists, tuples and dicts."""
    if isinstance(x, rushlight.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for v in x for t in tensors_of(v)] if isinstance(x, (list, tuple)) else []


def standing(x: Any, convert: Any) -> Any:
    """Arguments with stand-ins for tensors, all else as PyTorch's functions take it."""
    if type(x) in (list, tuple):
        return type(x)([standing(v, convert) for v in x])
    if isinstance(x, dict):
        return {k: standing(v, convert) for k, v in x.items()}
    found = convert(x)
    return convert.stand(found) if isinstance(found, rushlight.Tensor) else x


def caller(op: Any) -> Any:
    """The operator as a function of stand-ins, which PyTorch's own methods would refuse."""
    helpers = importlib.import_module("torch_samples")
    name = helpers.METHODS.get(op.full_name)
    if isinstance(op.op, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        name = op.op.__name__
    return (lambda x, *a, **k: getattr(x, name)(*a, **k)) if name else op.op


def check(op: Any, sample: Any) -> bool:
    """Checks one sample; False where it has no derivative or is not in double precision.

    Raises:
        GradcheckError: first and second derivatives do not fit together.
    """
    helpers = importlib.import_module("torch_samples")
    convert = helpers.Converter()
    convert.stand = helpers.stand
    args = standing((sample.input, *sample.args), convert)
    kwargs = standing(sample.kwargs, convert)
    leaves = [t for t in tensors_of(helpers.plain([args, kwargs])) if t.requires_grad]
    exact = (rushlight.float64, rushlight.complex128)  # differences tell nothing of coarser ones
    if not any(t.numel() for t in leaves) or any(t.dtype not in exact for t in leaves):
        return False
    call = caller(op)

    def f(*_: Any) -> Any:
        rushlight.manual_seed(0)
        out = op.gradcheck_wrapper(call, *args, **kwargs)
        out = sample.output_process_fn_grad(out)
        return tuple([t for t in tensors_of(helpers.plain([out])) if t.requires_grad])

    found = f()
    if not found or any(t.dtype not in exact for t in found):
        return False
    return bool(rushlight.autograd.gradgradcheck(f, leaves, fast_mode=True))


def run(op: Any, most: int, dtype: Any) -> tuple[int, list[str]]:
    """How many samples of an operator passed, and what failed."""
    import torch

    torch.manual_seed(0)
    count, failed = 0, []
    try:
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=True))
    except RuntimeError as error:  # needs another device
        return 0, [f"no samples: {error}"]
    for i, sample in enumerate(samples[:most]):
        try:
            count += check(op, sample)
        except Exception as error:
            lines = str(error).splitlines() or [""]
            failed.append(f"sample {i}: {type(error).__name__}: {lines[0][:150]}")
    return count, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="parts of operators' names")
    parser.add_argument("--samples", type=int, default=10**6, help="at most this many an operator")
    parser.add_argument("--dtype", default="float64", choices=("float64", "complex128"))
    given = parser.parse_args()
    dtype = getattr(importlib.import_module("torch"), given.dtype)
    warnings.simplefilter("ignore")
    total = bad = 0
    begun = time.monotonic()
    table = operators(given.parts, dtype)
    for op in table:
        count, failed = run(op, given.samples, dtype)
        total += count
        if failed:
            bad += 1
            print(f"{op.full_name:45s} {len(failed)} fail, {count} pass; {failed[0]}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{len(table)} operators, {total} samples pass, {bad} operators fail, {seconds:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
