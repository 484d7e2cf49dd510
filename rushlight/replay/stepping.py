"""An optimiser's step as one event: what the recorder notes of it and what the matcher asks.

In: an optimiser whose step walks its groups.  Out: groups whose floats are Symbols while the step
is recorded, and guards that the optimiser is what it was; its floats are then run-time numbers.
"""

from __future__ import annotations

from typing import Any

from rushlight.dispatch.symbolic import Decisions, Symbol
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.trace import Number

__all__ = ["StepRecord"]


class StepRecord:
    """One step of an optimiser.

    Args:
        optimizer: it has ``param_groups`` and ``state``.
        numbers: the run-time numbers of the recording, to which the step's floats are added.
        settled: the parameters, by id, whose gradients earlier events of the stretch decide.

    Attributes:
        groups: the groups with Symbols for floats, for the step to use.
        gradients: of the parameters whose gradients no event of the stretch decides, what they are.
        counters: version counters of what the step writes to, and how often.
    """

    def __init__(self, optimizer: Any, numbers: list[float], settled: set[int]) -> None:
        self.optimizer = optimizer
        self.problem: str | None = None
        self.decided = Decisions(True)
        self.sources: list[tuple[int, str, int | None, int]] = []  # group, key, position, number
        self.counters: dict[Any, int] = {}
        self.tables: list[Any] = []  # the numbers of the programs that contain this step
        self.groups = [self._wrapped(i, g, numbers) for i, g in enumerate(optimizer.param_groups)]
        self.last = [dict(g) for g in optimizer.param_groups]
        self.before = _entries(optimizer)
        params = [p for g in optimizer.param_groups for p in g["params"]]
        self.gradients = [(p, p._grad) for p in params if id(p) not in settled]

    def _wrapped(self, at: int, group: dict[str, Any], numbers: list[float]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in group.items():
            if isinstance(value, Tensor):
                self.problem = f"{key} is a tensor"
            if type(value) is float:
                made[key] = self._symbol(at, key, None, value, numbers)
            elif type(value) is tuple and value and all([type(x) is float for x in value]):
                parts = [self._symbol(at, key, i, x, numbers) for i, x in enumerate(value)]
                made[key] = tuple(parts)
            else:
                made[key] = value
        return made

    def _symbol(
        self, at: int, key: str, position: int | None, value: float, numbers: list[float]
    ) -> Symbol:
        number = len(numbers)
        numbers.append(value)
        self.sources.append((at, key, position, number))
        symbol: Symbol = Symbol.of(value, Number(number), self.decided)
        return symbol

    def finish(self) -> str | None:
        """Called when the step has run; why it cannot be replayed, if it cannot."""
        if None in self.decided.values:
            return "an optimiser that decides on values"
        if [(k, id(t)) for _, k, t in self.before] != [
            (k, id(t)) for _, k, t in _entries(self.optimizer)
        ]:
            return "the optimiser made its state"
        return self.problem

    def numbers(self) -> set[int]:
        """The run-time numbers that are this step's."""
        return {number for *_, number in self.sources}

    def _fixed(self, at: int) -> tuple[Any, ...]:
        """The entries of a group that must stay what they are."""
        free = {key for i, key, _, n in self.sources if i == at and n not in self.decided.values}
        kept = {key for i, key, _, n in self.sources if i == at and n in self.decided.values}
        group = self.last[at]
        return tuple([(k, v) for k, v in group.items() if k != "params" and k not in free - kept])

    def key(self) -> Any:
        """What another step must equal to be the same."""
        o = self.optimizer
        fixed = [tuple([(k, repr(v)) for k, v in self._fixed(i)]) for i in range(len(self.last))]
        params = [(id(g["params"]), *map(id, g["params"])) for g in self.last]
        params += [tuple(map(id, o.param_groups))]
        state = [id(t) for _, _, t in self.before] + [id(g) for _, g in self.gradients]
        state += [id(t._storage) for t in self.tensors()]
        answers = sorted(map(repr, self.decided.answers or ()))
        return (
            *(id(o), id(o.param_groups), id(o.state), tuple(fixed), tuple(params)),
            *(tuple(state), tuple(answers)),
        )

    def tensors(self) -> list[Tensor]:
        """The tensors whose memory the step uses, but for gradients that the stretch makes."""
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        state = [t for _, _, t in self.before]
        return params + state + [grad for _, grad in self.gradients if grad is not None]

    def guards(self, s: Any) -> list[str]:
        """The matcher's checks that a step is this one; ``s`` names constants."""
        o = self.optimizer
        checks = [f"a0 is {s.constant(o)} and a0.state is {s.constant(o.state)}"]
        whole = s.constant(o.param_groups)
        checks.append(f"a0.param_groups is {whole} and len({whole}) == {len(self.last)}")
        for i, (group, last) in enumerate(zip(o.param_groups, self.last, strict=True)):
            g, params = s.constant(group), s.constant(group["params"])
            checks.append(f"{whole}[{i}] is {g}")
            checks.append(f"({g} == {s.constant(last)} or {s.constant(self.renewed)}({i}))")
            checks.append(f"{g}['params'] is {params} and len({params}) == {len(group['params'])}")
        for holder, key, t in self.before:
            checks.append(f"{s.constant(holder)}[{key!r}] is {s.constant(t)}")
        for p, grad in self.gradients:
            checks.append(f"{s.constant(p)}._grad is {s.constant(grad)}")
        return checks

    def fill(self, table: Any, numbers: list[float]) -> None:
        """Puts the step's numbers into a program's, and keeps them up to date there."""
        if len(table):
            self.tables.append(table)
            for *_, n in self.sources:
                table[n] = numbers[n]

    def renewed(self, at: int) -> bool:
        """Takes over a group's floats if nothing else has changed."""
        group, last = self.optimizer.param_groups[at], self.last[at]
        if group.keys() != last.keys():
            return False
        for key, value in self._fixed(at):
            if type(group[key]) is not type(value) or group[key] != value:
                return False
        found = []
        for i, key, position, number in self.sources:
            if i == at:
                value = group[key] if position is None else group[key][position]
                if type(value) is not float:
                    return False
                found.append((number, value))
        values = dict(found)
        for number, question, other, answer in self.decided.answers or ():
            if number in values and getattr(values[number], question)(other) is not answer:
                return False
        for number, value in found:
            for table in self.tables:
                table[number] = value
        last.update(group)
        return True


def _entries(optimizer: Any) -> list[tuple[Any, str, Any]]:
    """The tensors of an optimiser's state: (dictionary, key, tensor)."""
    found = []
    for holder in optimizer.state.values():
        if isinstance(holder, dict):
            found += [(holder, k, t) for k, t in holder.items() if isinstance(t, Tensor)]
    return found
