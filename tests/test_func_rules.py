"""Every operator inside ``vmap``: what the batch gives is what a loop over samples gives.

The samples of the registry are run with all their tensors batched, and with each one alone; then
the same for gradients taken inside ``vmap``.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from op_samples import SAMPLES

import rushlight as rl
import rushlight.ops
from rushlight.dispatch.gate import call
from rushlight.func import grad, vmap
from rushlight.ir import op as records
from rushlight.ir.samples import SampleMaker, samples_of

NAMES = sorted(op.name for op in records.ops() if op.kind not in ("random", "create"))
WITHOUT_RULE = {  # computed sample by sample, with PyTorch's warning
    "ctc_gradient",
    "ctc_loss",
    "embedding_bag",
    "linalg_ldl_factor_ex",
    "linalg_ldl_solve",
    "masked_scatter",
    "searchsorted",  # with a batch of sorters
}
UNSTABLE_SIGNS = {"linalg_svd", "linalg_eigh", "linalg_eig", "linalg_qr"}  # up to a factor
assert rushlight.ops


def samples(name):
    op = records.get(name)
    if name in SAMPLES and op.samples is None:
        return list(SAMPLES[name](SampleMaker(op.domain)))
    return list(samples_of(op))


def other_sample(op, x):
    """Values for a second sample, as good as the first's."""
    if op.kind == "opaque" and x.dtype.kind in "fc":
        return x * 0.9  # stays symmetric, triangular, positive definite
    return np.roll(x.reshape(-1), 1).reshape(x.shape)


def batches(op, inputs):
    """(rows of two samples, batched inputs, in_dims) for each choice of batched inputs."""
    at = [i for i, x in enumerate(inputs) if isinstance(x, (np.ndarray, np.generic))]
    first = [rl.tensor(np.asarray(x)) if i in at else x for i, x in enumerate(inputs)]
    second = list(first)
    for i in at:
        second[i] = rl.tensor(np.array(other_sample(op, np.asarray(inputs[i]))))
    for mask in [at, *([[i] for i in at] if len(at) > 1 else [])]:
        rows = [first, [second[i] if i in mask else x for i, x in enumerate(first)]]
        batch = [
            rl.stack([a, b]) if i in mask else a for i, (a, b) in enumerate(zip(*rows, strict=True))
        ]
        yield rows, batch, tuple(0 if i in mask else None for i in range(len(inputs)))


def many(result):
    return list(result) if isinstance(result, tuple) else [result]


def values(t):
    return t.detach().resolve_conj().resolve_neg().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_batch_is_loop(name):
    op = records.get(name)
    for inputs, attrs in samples(name):
        for rows, batch, dims in batches(op, inputs):

            def function(*xs, attrs=attrs):
                return call(op, xs, attrs)

            try:
                want = [many(function(*row)) for row in rows]
            except (RuntimeError, ValueError, IndexError):
                continue  # the second sample is not a possible input
            with warnings.catch_warnings():
                if name in WITHOUT_RULE:
                    warnings.simplefilter("ignore")
                found = many(vmap(function, in_dims=dims)(*batch))
            for got, *expected in zip(found, *want, strict=True):
                expected = rl.stack(expected)
                assert got.shape == expected.shape
                assert got.dtype is expected.dtype
                if name not in UNSTABLE_SIGNS:
                    np.testing.assert_allclose(
                        values(got), values(expected), rtol=1e-5, atol=1e-7, equal_nan=True
                    )


@pytest.mark.parametrize("name", [n for n in NAMES if records.get(n).differentiable])
def test_gradient_of_a_sample(name):
    """``grad`` inside ``vmap`` gives each sample's gradient."""
    op = records.get(name)
    for inputs, attrs in samples(name):
        floats = tuple(
            i
            for i, x in enumerate(inputs)
            if isinstance(x, (np.ndarray, np.generic)) and np.asarray(x).dtype.kind == "f"
        )
        if not floats:
            continue
        for rows, batch, dims in batches(op, inputs):

            def loss(*xs, attrs=attrs):
                outs = [t for t in many(call(op, xs, attrs)) if t.dtype.is_floating_point]
                return sum((t.abs() if name in UNSTABLE_SIGNS else t.cos()).sum() for t in outs)

            try:
                want = [grad(loss, argnums=floats)(*row) for row in rows]
            except (RuntimeError, ValueError, IndexError):
                continue  # not differentiable at this sample
            with warnings.catch_warnings():
                if name in WITHOUT_RULE:
                    warnings.simplefilter("ignore")
                found = vmap(grad(loss, argnums=floats), in_dims=dims)(*batch)
            for got, *expected in zip(found, *want, strict=True):
                np.testing.assert_allclose(
                    values(got), values(rl.stack(expected)), rtol=1e-4, atol=1e-6, equal_nan=True
                )
