"""Gradients for inputs of every layout and dtype: transposed, expanded, strided, conjugated.

With PyTorch installed, values, gradients and the gradients' strides are compared with it; without,
gradients are compared with finite differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

FUNCTIONS = [
    "v.exp()",
    "v.abs()",
    "v*v",
    "v/(v*v+2)",
    "v.sum(0)",
    "v.mean()",
    "v.reshape(-1)",
    "v@v.transpose(0,1)",
    "v.cumsum(0)",
    "v.prod(0)",
    "v.sin()",
    "v.tanh()",
    "v.sqrt()",
    "v.log()",
    "v.reciprocal()",
    "v**2",
    "v**3",
    "v**0.5",
    "v*1j",
    "v+1j",
    "v.real",
    "v.clone().mul_(v)",
    "v.norm()",
    "v.var(0)",
    "torch.cat([v,v])",
    "torch.stack([v,v],1)",
    "v[0]*v",
    "v.conj()*v",
    "torch.dot(v.reshape(-1),v.reshape(-1))",
    "torch.vdot(v.reshape(-1),v.reshape(-1))",
    "v.flip(0)",
    "v.diagonal()",
    "torch.outer(v.reshape(-1),v.reshape(-1))",
    "torch.einsum('ij,kj->ik',v,v)",
    "torch.where(v.abs()>1,v,v*2)",
    "v.cos()",
    "v.sinh()",
    "v.cosh()",
    "v.square()",
    "v.sigmoid()",
    "v.angle()",
    "v.mean(1,keepdim=True)*v",
    "v.masked_fill(v.abs()>1,0)",
    "v.roll(1,0)",
    "v.expm1()",
    "v.acos()",
    "v.atan()",
    "v.asinh()",
    "v.div(v+3)",
    "v.sub(v,alpha=2)",
    "torch.addcmul(v,v,v,value=0.5)",
    "torch.lerp(v,v*2,0.3)",
    "v.tril()",
    "v.trace()",
    "v.index_select(0,torch.tensor([0,0]))",
    "v.std(1)",
    "v.unfold(0,2,1)",
    "v.repeat(2,1)",
    "v.to(torch.complex128)",
]
LAYOUTS = ["plain", "transposed", "expanded", "strided", "conjugated"]


def seen(t: Any, layout: str) -> Any:
    """The leaf as the functions see it."""
    if layout == "transposed":
        return t.t()
    if layout == "expanded":
        return t[:1].expand(t.shape)
    if layout == "strided":
        return t[::2]
    if layout == "conjugated":
        return t.conj() if t.is_complex() else t.neg()
    return t


def values(dtype: str) -> Any:
    rng = np.random.default_rng(0)
    real = np.abs(rng.normal(size=(4, 4))) * 0.3 + 0.2
    return real + 1j * rng.normal(size=(4, 4)) if dtype.startswith("complex") else real


def run(torch: Any, source: str, dtype: str, layout: str) -> Any:
    """(value, gradient, its strides, its dtype), or the kind of error."""
    t = torch.tensor(values(dtype).tolist(), dtype=getattr(torch, dtype)).requires_grad_()
    try:
        y = eval(source, {"torch": torch, "v": seen(t, layout)})
        if y.is_complex():
            y = (y * (1 + 2j)).real + y.imag * 0.3
        weights = torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape) * 0.1 + 1
        (y * weights).sum().backward()
    except Exception as error:
        return type(error).__name__
    grad = t.grad
    return (
        np.array(y.detach().tolist()),
        np.array(grad.resolve_conj().tolist()),
        tuple(grad.stride()),
        str(grad.dtype),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_like_torch(dtype, layout):
    torch = pytest.importorskip("torch")
    for source in FUNCTIONS:
        got, want = run(rl, source, dtype, layout), run(torch, source, dtype, layout)
        if isinstance(want, str):
            assert got == want, source
            continue
        assert got[2:] == want[2:], source
        for a, b in zip(got[:2], want[:2], strict=True):
            assert np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True), source


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_like_differences(dtype, layout):
    for source in FUNCTIONS:
        found = run(rl, source, dtype, layout)
        if isinstance(found, str) or not np.isfinite(found[0]).all():
            continue  # not for this dtype, or undefined for these values
        leaf = rl.tensor(values(dtype).tolist(), dtype=getattr(rl, dtype)).requires_grad_()

        def f(t: Any, source: str = source) -> Any:
            return eval(source, {"torch": rl, "v": seen(t, layout)})

        assert rl.autograd.gradcheck(f, (leaf,)), source
