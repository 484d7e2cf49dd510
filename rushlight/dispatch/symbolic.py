"""Python numbers that remember how they were computed.

While the recorder runs an optimiser's step, hyper-parameters are Symbols: they behave as the floats
they are, and arithmetic on them yields Symbols with the expression.  So ``-lr / (1 - beta1**step)``
becomes part of the program, whose numbers are read anew in each step.  Where Python decides on a
Symbol (``if weight_decay != 0``), the decision is noted: its value must then stay what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.ir.trace import Expression, Number

__all__ = ["Count", "Decisions", "Symbol", "Symbolic", "expression", "plain"]


used: list[bool] = []  # not empty once there are Symbols that may reach a kernel


def expression(name: str, *args: Any) -> Expression:
    """An expression of numbers."""
    return Expression(name, args)


class Decisions:
    """What Python decided on while Symbols were about.

    Attributes:
        values: the numbers whose value must stay what it was; None stands for values read in the
            program, which cannot be asked beforehand.
        answers: comparisons of a number that must come out alike, (number, method, other, answer);
            None where they cannot be asked, and the value counts.
    """

    __slots__ = ("answers", "values")

    def __init__(self, asks: bool) -> None:
        self.values: set[Any] = set()
        self.answers: set[tuple[int, str, Any, bool]] | None = set() if asks else None


class Symbolic:
    """A number with the expression that gave it: a `Symbol` or a `Count`."""

    expression: Any
    decided: Decisions

    __slots__ = ()

    @classmethod
    def of(cls, value: Any, what: Any, decided: Decisions | None = None) -> Any:
        """A number that remembers an expression."""
        self: Any = cls(value)  # type: ignore[call-arg]
        self.expression = what
        self.decided = decided if decided is not None else Decisions(False)
        return self

    def plain(self) -> Any:
        """The value as a number like any other."""
        raise NotImplementedError

    def decide(self) -> Any:
        """The value, on which Python is about to decide."""
        stack = [self.expression]
        while stack:
            x = stack.pop()
            if type(x) is Number:
                self.decided.values.add(x.at)
            elif type(x) is Expression:
                if x.name == "item":
                    self.decided.values.add(None)
                stack.extend(x.args)
        return self.plain()

    def __bool__(self) -> bool:
        return bool(self.__ne__(0))

    def __neg__(self) -> Any:
        return self.of(-self.plain(), expression("negative", self.expression), self.decided)

    def __hash__(self) -> int:
        return hash(self.decide())

    def __int__(self) -> int:
        return int(self.decide())

    def __float__(self) -> float:
        return float(self.decide())

    def __repr__(self) -> str:
        return repr(self.decide())


class Symbol(Symbolic, float):
    """A float with the expression that gave it."""

    __slots__ = ("decided", "expression")

    def plain(self) -> float:
        return float.__add__(self, 0.0)


class Count(Symbolic, int):
    """An int with the expression that gave it; arithmetic beyond `+ - *` with ints decides."""

    def plain(self) -> int:
        return int.__add__(self, 0)


def _arithmetic(base: type, name: str, ufunc: str, swapped: bool) -> Callable[..., Any]:
    plain_method = getattr(base, name)

    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        value = plain_method(self.plain(), _plain(other))
        if value is NotImplemented and base is int:  # an int and a float
            value = getattr(float, name)(float(self.plain()), _plain(other))
        if type(value) not in (int, float):
            return value
        x = other.expression if isinstance(other, Symbolic) else float(other)
        args = (x, self.expression) if swapped else (self.expression, x)
        kind = Symbol if type(value) is float else Count
        return kind.of(value, expression(ufunc, *args), self.decided)

    return method


def _deciding(base: type, name: str) -> Callable[..., Any]:
    plain_method = getattr(base, name)

    def method(self: Any, *others: Any) -> Any:
        return plain_method(self.decide(), *map(_plain, others))

    return method


def _comparison(base: type, name: str) -> Callable[..., Any]:
    plain_method = getattr(base, name)

    def method(self: Any, other: Any) -> Any:
        answers = self.decided.answers
        known = answers is not None and type(self.expression) is Number
        if not known or type(other) not in (int, float):
            if isinstance(other, Symbolic):
                other = other.decide()
            return plain_method(self.decide(), other)
        answer = plain_method(self.plain(), other)
        answers.add((self.expression.at, name, other, answer))
        return answer

    return method


def _plain(x: Any) -> Any:
    return x.plain() if isinstance(x, Symbolic) else x


_EXACT = {"add": "add", "sub": "subtract", "mul": "multiply"}
_KEPT: dict[type, dict[str, str]] = {
    Symbol: {**_EXACT, "truediv": "divide", "pow": "power"},
    Count: {**_EXACT, "truediv": "divide"},
}
_DECIDE = "pow floordiv mod divmod and or xor lshift rshift".split()
_DECIDE_ALONE = "abs round trunc floor ceil pos invert index".split()

for _kind, _kept in _KEPT.items():
    _base: type = float if _kind is Symbol else int
    for _name, _ufunc in _kept.items():
        for _full, _swapped in ((f"__{_name}__", False), (f"__r{_name}__", True)):
            setattr(_kind, _full, _arithmetic(_base, _full, _ufunc, _swapped))
    _others = [f"__{n}__" for n in (*_DECIDE, *_DECIDE_ALONE)] + [f"__r{n}__" for n in _DECIDE]
    for _full in _others:
        if hasattr(_base, _full) and _full not in vars(_kind):
            setattr(_kind, _full, _deciding(_base, _full))
    for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(_kind, f"__{_name}__", _comparison(_base, f"__{_name}__"))


def plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with Symbols and Counts as the numbers that they are."""
    for x in values:
        if type(x) is Symbol or type(x) is Count:
            return tuple(map(_plain, values))
    return values
