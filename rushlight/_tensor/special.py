"""Special functions: those with parameters, and the names of ``torch.special``."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import api
from rushlight._tensor.api import FUNCTIONS, both, method, number, operand
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.ir import op as records
from rushlight.ops import special

__all__ = ["SPECIAL"]

SPECIAL: dict[str, Any] = {}  # what torch.special publishes


@both
def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Any:
    """The n-th derivative of digamma.

    Args:
        n: the order, not negative.
        input: a real tensor; integers give the default float.

    Raises:
        RuntimeError: for a negative order.

    Example:
        >>> import rushlight as torch
        >>> torch.polygamma(1, torch.tensor([1.0]))
        tensor([1.6449])
    """
    if isinstance(n, Tensor):  # the method: x.polygamma(n)
        n, input = input, n
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    op, attrs = special.polygamma, (n,)
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


special.polygamma.public = polygamma


@method
def polygamma_(input: Tensor, n: int) -> Tensor:
    """``polygamma`` written into the tensor itself."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return write(special.polygamma, (input,), (n,))


@both
def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Any:
    """The logarithm of the multivariate gamma function of dimension p.

    Raises:
        RuntimeError: for p below 1.
    """
    op, attrs = special.mvlgamma, (_dimension(p),)
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


special.mvlgamma.public = mvlgamma


@method
def mvlgamma_(input: Tensor, p: int) -> Tensor:
    """``mvlgamma`` written into the tensor itself."""
    return write(special.mvlgamma, (input,), (_dimension(p),))


def _dimension(p: int) -> int:
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return p


@both
def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Any:
    """``log(x / (1 - x))``, with x first kept within [eps, 1 - eps] if eps is given."""
    op, attrs = special.logit, (_maybe_float(eps),)
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


special.logit.public = logit


def _maybe_float(eps: Any) -> float | None:
    return None if eps is None else float(number(eps))


def _logit_in_place(input: Tensor, eps: float | None = None) -> Tensor:
    """``logit`` written into the tensor itself."""
    return write(special.logit, (input,), (_maybe_float(eps),))


_logit_in_place.__name__ = _logit_in_place.__qualname__ = "logit_"
api.alias("logit_", _logit_in_place)


def _publish(name: str, op: records.Op, second: str | None) -> None:
    """A function of torch.special alone."""
    if second is None:

        def f(input: Tensor, *, out: Tensor | None = None) -> Any:
            return call(op, (input,)) if out is None else write_into(op, (input,), (), out)

    elif second == "other":

        def f(input: Any, other: Any, *, out: Tensor | None = None) -> Any:  # type: ignore[misc]
            inputs = (operand(input), operand(other))
            return call(op, inputs) if out is None else write_into(op, inputs, (), out)

    else:

        def f(input: Any, n: Any, *, out: Tensor | None = None) -> Any:  # type: ignore[misc]
            inputs = (operand(input), operand(n))
            return call(op, inputs) if out is None else write_into(op, inputs, (), out)

    f.__name__ = f.__qualname__ = name
    f.__module__ = "rushlight.special"
    f.__doc__ = op.doc
    op.public = SPECIAL[name] = f


for _op in list(records.ops()):
    if _op.name.startswith("special_"):
        _publish(_op.name.removeprefix("special_"), _op, (*_op.inputs, None)[1])

for _new, _old in (
    ("digamma", "digamma"),
    ("psi", "digamma"),
    ("erf", "erf"),
    ("erfc", "erfc"),
    ("erfinv", "erfinv"),
    ("exp2", "exp2"),
    ("expit", "sigmoid"),
    ("expm1", "expm1"),
    ("gammainc", "igamma"),
    ("gammaincc", "igammac"),
    ("gammaln", "lgamma"),
    ("i0", "i0"),
    ("log1p", "log1p"),
    ("logit", "logit"),
    ("logsumexp", "logsumexp"),
    ("multigammaln", "mvlgamma"),
    ("polygamma", "polygamma"),
    ("round", "round"),
    ("sinc", "sinc"),
    ("xlogy", "xlogy"),
    ("softmax", "softmax"),
    ("log_softmax", "log_softmax"),
):
    SPECIAL[_new] = FUNCTIONS[_old]
