"""Python floats that remember how they were computed.

While the recorder runs an optimiser's step, hyper-parameters are Symbols: they behave as the floats
they are, and arithmetic on them yields Symbols with the expression.  So ``-lr / (1 - beta1**step)``
becomes part of the program, whose numbers are read anew in each step.  Where Python decides on a
Symbol (``if weight_decay != 0``), the decision is noted: its value must then stay what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.ir.trace import Expression, Number

__all__ = ["Decisions", "Symbol", "expression", "plain"]


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


class Symbol(float):
    """A float with the expression that gave it."""

    expression: Any
    decided: Decisions

    __slots__ = ("decided", "expression")

    @classmethod
    def of(cls, value: float, what: Any, decided: Decisions | None = None) -> Symbol:
        """A float that remembers an expression."""
        self = cls(value)
        self.expression = what
        self.decided = decided if decided is not None else Decisions(False)
        return self

    def plain(self) -> float:
        """The value as a float like any other."""
        return float.__add__(self, 0.0)

    def decide(self) -> float:
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

    def __neg__(self) -> Symbol:
        return Symbol.of(-self.plain(), expression("negative", self.expression), self.decided)

    def __hash__(self) -> int:
        return hash(self.decide())

    def __int__(self) -> int:
        return int(self.decide())

    def __float__(self) -> float:
        return self.decide()

    def __repr__(self) -> str:
        return repr(self.decide())


def _arithmetic(name: str, ufunc: str, swapped: bool) -> Callable[..., Any]:
    plain_method = getattr(float, name)

    def method(self: Symbol, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        value = plain_method(self, other)
        if type(value) is not float:
            return value
        x = other.expression if isinstance(other, Symbol) else float(other)
        args = (x, self.expression) if swapped else (self.expression, x)
        return Symbol.of(value, expression(ufunc, *args), self.decided)

    return method


for _name, _ufunc in (
    ("add", "add"),
    ("sub", "subtract"),
    ("mul", "multiply"),
    ("truediv", "divide"),
    ("pow", "power"),
):
    setattr(Symbol, f"__{_name}__", _arithmetic(f"__{_name}__", _ufunc, False))
    setattr(Symbol, f"__r{_name}__", _arithmetic(f"__r{_name}__", _ufunc, True))


def _comparison(name: str) -> Callable[..., Any]:
    name = f"__{name}__"
    plain_method = getattr(float, name)

    def method(self: Symbol, other: Any) -> Any:
        answers = self.decided.answers
        if (
            answers is None
            or type(self.expression) is not Number
            or type(other) not in (int, float)
        ):
            other = float(other) if isinstance(other, Symbol) else other
            return plain_method(self.decide(), other)
        answer = plain_method(self.plain(), other)
        answers.add((self.expression.at, name, other, answer))
        return answer

    return method


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Symbol, f"__{_name}__", _comparison(_name))


def plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with Symbols as the floats that they are."""
    for x in values:
        if type(x) is Symbol:
            return tuple([x.plain() if type(x) is Symbol else x for x in values])
    return values
