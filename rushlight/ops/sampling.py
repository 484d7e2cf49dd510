"""Draws that depend on their parameters smoothly: gamma, Dirichlet; and binomial counts.

In: tensors of parameters and, last, the engine.  Out: contiguous tensors of draws.  The gradients
of gamma and Dirichlet draws are those of ``implicit_gradients.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops import implicit_gradients
from rushlight.ops.build import elementwise, no_derivative


def _fresh(m: Meta, *rest: Any) -> Plan:
    return Plan(meta(m.shape, m.dtype, None, m.device))


standard_gamma = Op(
    "_standard_gamma",
    kind="random",
    attrs=("engine",),
    rule=_fresh,
    kernel=lambda out, x, engine: engine.streams.standard_gamma(
        engine, np.ascontiguousarray(x).reshape(-1)
    ),
    grads=(lambda o, g, x, y: g * o._standard_gamma_grad(x, y),),
    node="StandardGammaBackward0",
)

standard_gamma_grad = elementwise(
    "_standard_gamma_grad",
    implicit_gradients.gamma_path,
    (no_derivative("_standard_gamma_grad"),) * 2,
    inputs=("input", "output"),
    result="float",
    wide=True,
    kinds="f",
    domain=(0.3, 4.0),
    whole="loops until all elements have converged",
    api="",
    doc="The derivative of a standard gamma draw to its shape.",
)


def _dirichlet_grad(o: Any, g: Any, x: Any, y: Any) -> Any:
    """Each weight moves its own share; the others give way in proportion."""
    total = x.sum(-1, True)
    own = o._dirichlet_grad(y, x, total)
    return own * (g - (y * g).sum(-1, True))


sample_dirichlet = Op(
    "_sample_dirichlet",
    kind="random",
    attrs=("engine",),
    rule=_fresh,
    kernel=lambda out, x, engine: engine.streams.dirichlet(engine, np.ascontiguousarray(x)).reshape(
        -1
    ),
    grads=(_dirichlet_grad,),
    node="_DirichletBackward",
)

dirichlet_grad = elementwise(
    "_dirichlet_grad",
    implicit_gradients.beta_path,
    (no_derivative("_dirichlet_grad"),) * 3,
    inputs=("x", "alpha", "total"),
    result="float",
    wide=True,
    kinds="f",
    domain=(0.1, 0.9),
    whole="loops until all elements have converged",
    api="",
    samples=lambda make: [((make(3), make(3), make(3) + 1.0), ())],
    doc="The derivative of a beta draw to its first parameter, over 1 - x.",
)


def _binomial_rule(count: Meta, prob: Meta, engine: Any) -> Plan:
    if not count.dtype.is_floating_point:
        raise ValueError(
            f"binomial only supports floating-point dtypes for count, got: {count.dtype.title}"
        )
    if not prob.dtype.is_floating_point:
        raise ValueError(
            f"binomial only supports floating-point dtypes for prob, got: {prob.dtype.title}"
        )
    if count.dtype is not prob.dtype:
        raise RuntimeError(f"Found dtype {prob.dtype.title} but expected {count.dtype.title}")
    return _fresh(count)


def _binomial(out: Meta, count: Any, prob: Any, engine: Any) -> Any:
    prob = np.broadcast_to(prob, count.shape)
    return engine.streams.binomial(
        engine, np.ascontiguousarray(count).reshape(-1), np.ascontiguousarray(prob).reshape(-1)
    )


binomial = Op(
    "binomial",
    kind="random",
    inputs=("count", "prob"),
    attrs=("engine",),
    rule=_binomial_rule,
    kernel=_binomial,
    grads=(no_derivative("binomial"), no_derivative("binomial")),
)
