"""Random draws, as PyTorch's CPU generator makes them.

A kernel draws from an engine and returns the values in memory order; the driver lays them out in
the result.  The last attribute is always the engine.  Written in place (``x.normal_()``), which is
how every public function draws.  Source: the stream facts in ``runtime/random``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan


def _same(m: Meta, *attrs: Any) -> Plan:
    return Plan(m)


def _no_gradient(o: Any, g: Any) -> Any:
    return o.zeros_like(g)


def _draw(name: str, attrs: tuple[str, ...], values: Any) -> Op:
    """``x.NAME_()``: overwrites a tensor with draws; the old values get no gradient."""
    return Op(
        name,
        kind="random",
        attrs=(*attrs, "engine"),
        rule=_same,
        kernel=lambda out, x, *rest: values(rest[-1], out, *rest[:-1]),
        grads=(_no_gradient,),
    )


uniform = _draw(
    "uniform",
    ("low", "high"),
    lambda e, out, low, high: e.streams.uniform(e, out.numel, out.dtype.numpy, low, high),
)
normal = _draw(
    "normal",
    ("mean", "std"),
    lambda e, out, mean, std: e.streams.normal(
        e, out.numel, out.dtype.numpy, mean, std, contiguous=out.contiguous
    ),
)
random_from = _draw(
    "random_from",
    ("low", "high"),
    lambda e, out, low, high: e.streams.random_(e, out.numel, out.dtype.numpy, low, high),
)
random_default = _draw(
    "random_default", (), lambda e, out: e.streams.random_default(e, out.numel, out.dtype.numpy)
)
exponential = _draw(
    "exponential",
    ("lambd",),
    lambda e, out, lambd: e.streams.exponential(e, out.numel, out.dtype.numpy, lambd),
)
cauchy = _draw(
    "cauchy",
    ("median", "sigma"),
    lambda e, out, median, sigma: e.streams.cauchy(e, out.numel, out.dtype.numpy, median, sigma),
)
geometric = _draw(
    "geometric", ("p",), lambda e, out, p: e.streams.geometric(e, out.numel, out.dtype.numpy, p)
)
log_normal = _draw(
    "log_normal",
    ("mean", "std"),
    lambda e, out, mean, std: e.streams.log_normal(e, out.numel, out.dtype.numpy, mean, std),
)
bernoulli_p = _draw(
    "bernoulli_p",
    ("p",),
    lambda e, out, p: e.streams.bernoulli_scalar(e, out.numel, out.dtype.numpy, p),
)


def _bernoulli(out: Meta, p: Any, engine: Any) -> Any:
    """Draws in logical order into a contiguous result."""
    return engine.streams.bernoulli_tensor(engine, np.ascontiguousarray(p).reshape(-1)).astype(
        out.dtype.numpy
    )


bernoulli = Op(
    "bernoulli",
    kind="random",
    attrs=("engine",),
    rule=lambda m, engine: Plan(m.like()),
    kernel=_bernoulli,
    grads=(_no_gradient,),
)


def _bernoulli_with_rule(x: Meta, p: Meta, engine: Any) -> Plan:
    return Plan(x)


def _bernoulli_with(out: Meta, x: Any, p: Any, engine: Any) -> Any:
    """One draw an element of ``x`` in memory order, each with its own probability."""
    from rushlight.ir.strides import memory_order

    p = np.broadcast_to(p, out.shape)
    if not out.contiguous:
        p = p.transpose(memory_order(out.shape, out.strides))
    return engine.streams.bernoulli_tensor(engine, np.ascontiguousarray(p).reshape(-1)).astype(
        out.dtype.numpy
    )


bernoulli_with = Op(
    "bernoulli_with",
    kind="random",
    inputs=("input", "p"),
    attrs=("engine",),
    rule=_bernoulli_with_rule,
    kernel=_bernoulli_with,
    grads=(_no_gradient, lambda o, g, _x, _p: o.zeros_like(_p)),
)


randperm = Op(
    "randperm",
    kind="random",
    inputs=(),
    attrs=("n", "dtype", "device", "engine"),
    rule=lambda n, dtype, device, engine: Plan(meta((n,), dtype, None, device)),
    kernel=lambda out, n, dtype, device, engine: engine.streams.randperm(engine, n, dtype.numpy),
)


def _multinomial_rule(m: Meta, num_samples: int, replacement: bool, engine: Any) -> Plan:
    if not m.dtype.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {m.dtype.title}"
        )
    if m.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    return Plan(meta((*m.shape[:-1], num_samples), dtypes.int64, None, m.device))


def _multinomial(out: Meta, weights: Any, num_samples: int, replacement: bool, engine: Any) -> Any:
    rows = np.ascontiguousarray(weights).reshape(-1, weights.shape[-1])
    return engine.streams.multinomial(engine, rows, num_samples, replacement).reshape(-1)


multinomial = Op(
    "multinomial",
    kind="random",
    attrs=("num_samples", "replacement", "engine"),
    rule=_multinomial_rule,
    kernel=_multinomial,
)


def _sampler(name: str) -> Op:
    return Op(
        name,
        kind="random",
        attrs=("engine",),
        rule=lambda m, engine: Plan(meta(m.shape, m.dtype, None, m.device)),
        kernel=lambda out, x, engine: np.asarray(
            getattr(engine.streams, name)(engine, np.ascontiguousarray(x).reshape(-1))
        ).astype(out.dtype.numpy),
        grads=(_no_gradient,),
    )


poisson = _sampler("poisson")
