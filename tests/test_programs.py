"""Random programs: chains of operators, views, in-place writes and branches, then backward.

Each program is made from a seed, as source text: it is run here and on real torch, where that is
installed, and values and gradients must agree to float32 rounding.  Without torch, the float64
gradients are compared with finite differences.

    python tests/test_programs.py --count 10000          # a night's worth
    python tests/test_programs.py --seed 17 --show       # one program, printed
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
from typing import Any

import numpy as np
import pytest

import rushlight as rl

UNARY = "exp sin cos tanh sigmoid relu abs neg square sqrt1 log1 gelu softplus erf atan".split()
BINARY = [
    "{a} + {b}",
    "{a} - {b}",
    "{a} * {b}",
    "{a} / ({b}.abs() + 1)",
    "torch.maximum({a}, {b})",
    "torch.minimum({a}, {b})",
    "torch.where({a} > {b}, {a}, {b} * 2)",
    "torch.hypot({a}, {b})",
    "torch.lerp({a}, {b}, 0.3)",
    "torch.atan2({a}, {b})",
]
SCALARS = [
    "{a} * 1.5",
    "2 - {a}",
    "{a} + 1",
    "{a} / 3",
    "({a}.abs() + 1) ** 1.5",
    "{a}.clamp(-1, 1)",
    "{a}.clamp(min=0.1)",
    "1 / ({a}.abs() + 1)",
    "{a}.pow(3)",
    "-{a}",
]
IN_PLACE = [
    "{t}.mul_(1.5)",
    "{t}.add_({s})",
    "{t}.sub_(0.5)",
    "{t}.clamp_(-2, 2)",
    "{t}.neg_()",
    "{t}.tanh_()",
    "{t}.zero_()",
    "{t}.fill_(0.3)",
    "{t}.copy_({s})",
    "{t}.mul_({s})",
]


class Program:
    """The source of one program and the shapes of its variables.

    Attributes:
        lines: the statements; leaves ``x0``, ``x1`` ... are given.
        shapes: the shape of each variable.
    """

    def __init__(self, seed: int, length: int = 14) -> None:
        self.rng = random.Random(seed)
        self.lines: list[str] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.leaves: list[str] = []
        self.views: dict[str, str] = {}  # a variable and the base whose memory it may share
        for i in range(self.rng.randint(1, 3)):
            rank = self.rng.choice([1, 2, 2, 3])
            shape = tuple(self.rng.choice([1, 2, 3, 4]) for _ in range(rank))
            self.leaves.append(f"x{i}")
            self.shapes[f"x{i}"] = shape
        for _ in range(length):
            self._step()
        self._finish()

    def _new(self, source: str, shape: tuple[int, ...], base: str | None = None) -> str:
        name = f"v{len(self.shapes)}"
        self.lines.append(f"{name} = {source}")
        self.shapes[name] = shape
        self.views[name] = base if base is not None else name
        return name

    def _pick(self) -> str:
        names = list(self.shapes)
        return self.rng.choice(names[-6:] if self.rng.random() < 0.7 else names)

    def _step(self) -> None:
        steps = [
            self._unary,
            self._binary,
            self._scalar,
            self._view,
            self._view,
            self._reduce,
            self._matmul,
            self._in_place,
            self._join,
            self._index,
            self._branch,
        ]
        self.rng.choice(steps)()

    def _unary(self) -> None:
        a = self._pick()
        name = self.rng.choice(UNARY)
        source = {
            "sqrt1": f"({a}.abs() + 1).sqrt()",
            "log1": f"({a}.abs() + 1).log()",
            "exp": f"({a} * 0.3).exp()",
            "square": f"({a} * 0.5).square()",
            "gelu": f"torch.nn.functional.gelu({a})",
            "softplus": f"torch.nn.functional.softplus({a})",
        }.get(name, f"{a}.{name}()")
        self._new(source, self.shapes[a])

    def _scalar(self) -> None:
        a = self._pick()
        self._new(self.rng.choice(SCALARS).format(a=a), self.shapes[a])

    def _binary(self) -> None:
        a = self._pick()
        partners = [n for n, s in self.shapes.items() if joined(s, self.shapes[a]) is not None]
        b = self.rng.choice(partners)
        shape = joined(self.shapes[a], self.shapes[b])
        assert shape is not None
        self._new(self.rng.choice(BINARY).format(a=a, b=b), shape)

    def _view(self) -> None:
        a = self._pick()
        shape = self.shapes[a]
        base = self.views.get(a, a)
        n = len(shape)
        if n == 0:
            self._new(f"{a}.unsqueeze(0)", (1,), base)
            return
        kind = self.rng.choice(
            [
                "transpose",
                "unsqueeze",
                "select",
                "slice",
                "expand",
                "flatten",
                "permute",
                "diagonal",
                "narrow",
                "chunk",
            ]
        )
        d, e = self.rng.randrange(n), self.rng.randrange(n)
        size = shape[d]
        if kind == "transpose":
            swapped = list(shape)
            swapped[d], swapped[e] = swapped[e], swapped[d]
            self._new(f"{a}.transpose({d}, {e})", tuple(swapped), base)
        elif kind == "permute":
            order = list(range(n))
            self.rng.shuffle(order)
            self._new(f"{a}.permute({order})", tuple(shape[i] for i in order), base)
        elif kind == "unsqueeze" and n < 4:
            self._new(f"{a}.unsqueeze({d})", (*shape[:d], 1, *shape[d:]), base)
        elif kind == "select":
            at = self.rng.randrange(size)
            self._new(f"{a}.select({d}, {at})", shape[:d] + shape[d + 1 :], base)
        elif kind == "slice":
            step = self.rng.choice([1, 2])
            start = self.rng.randrange(size)
            index = ", ".join([":"] * d + [f"{start}::{step}"])
            length = len(range(start, size, step))
            self._new(f"{a}[{index}]", (*shape[:d], length, *shape[d + 1 :]), base)
        elif kind == "narrow":
            start = self.rng.randrange(size)
            length = self.rng.randint(1, size - start)
            self._new(
                f"{a}.narrow({d}, {start}, {length})", (*shape[:d], length, *shape[d + 1 :]), base
            )
        elif kind == "expand" and size == 1:
            wide = (*shape[:d], 3, *shape[d + 1 :])
            self._new(f"{a}.expand({list(wide)}) * 1", wide)
        elif kind == "diagonal" and d != e:
            rest = tuple(s for i, s in enumerate(shape) if i not in (d, e))
            self._new(f"{a}.diagonal(0, {d}, {e})", (*rest, min(size, shape[e])), base)
        elif kind == "chunk" and size > 1:
            half = (size + 1) // 2
            self._new(f"{a}.chunk(2, {d})[0] * 1", (*shape[:d], half, *shape[d + 1 :]))
        else:
            self._new(f"{a}.reshape(-1)", (int(np.prod(shape)),))

    def _reduce(self) -> None:
        a = self._pick()
        shape = self.shapes[a]
        if not shape:
            return
        d = self.rng.randrange(len(shape))
        keep = self.rng.random() < 0.5
        rest = (*shape[:d], 1, *shape[d + 1 :]) if keep else shape[:d] + shape[d + 1 :]
        f = self.rng.choice(
            [
                "{a}.sum({d}, {k})",
                "{a}.mean({d}, {k})",
                "{a}.amax({d}, {k})",
                "{a}.logsumexp({d}, {k})",
                "{a}.max({d}, {k})[0]",
                "({a} * 0.5).prod({d}, {k})",
            ]
        )
        self._new(f.format(a=a, d=d, k=keep), rest)
        if self.rng.random() < 0.3:
            g = self.rng.choice(
                [
                    "{a}.cumsum({d})",
                    "{a}.softmax({d})",
                    "{a}.log_softmax({d})",
                    "{a}.flip({d})",
                    "{a}.roll(1, {d})",
                ]
            )
            self._new(g.format(a=a, d=d), shape)

    def _matmul(self) -> None:
        pairs = [
            (a, b)
            for a, s in self.shapes.items()
            for b, t in self.shapes.items()
            if len(s) == 2 and len(t) in (1, 2) and s[1] == t[0]
        ]
        if pairs:
            a, b = self.rng.choice(pairs)
            self._new(f"{a} @ {b}", (self.shapes[a][0], *self.shapes[b][1:]))

    def _join(self) -> None:
        a = self._pick()
        shape = self.shapes[a]
        same = [n for n, s in self.shapes.items() if s == shape]
        b = self.rng.choice(same)
        if len(shape) < 3:
            d = self.rng.randint(0, len(shape))
            self._new(f"torch.stack([{a}, {b}], {d})", (*shape[:d], 2, *shape[d:]))
        if shape:
            d = self.rng.randrange(len(shape))
            self._new(f"torch.cat([{a}, {b}], {d})", (*shape[:d], 2 * shape[d], *shape[d + 1 :]))

    def _index(self) -> None:
        a = self._pick()
        shape = self.shapes[a]
        if not shape:
            return
        index = [self.rng.randrange(shape[0]) for _ in range(self.rng.randint(1, 4))]
        if self.rng.random() < 0.5:
            self._new(f"{a}[torch.tensor({index})]", (len(index), *shape[1:]))
        else:
            source = f"{a}.index_select(0, torch.tensor({index}))"
            self._new(source, (len(index), *shape[1:]))

    def _in_place(self) -> None:
        """Writes to a copy, whole or through a view, and goes on with the copy."""
        a = self._pick()
        copy = self._new(f"{a}.clone()", self.shapes[a])
        target, shape = copy, self.shapes[a]
        for _ in range(self.rng.randint(0, 2)):
            before = len(self.shapes)
            if not shape:
                break
            d = self.rng.randrange(len(shape))
            if self.rng.random() < 0.5:
                target = self._new(f"{target}.transpose(0, {d})", swap(shape, d), copy)
            else:
                at = self.rng.randrange(shape[d])
                target = self._new(f"{target}.select({d}, {at})", shape[:d] + shape[d + 1 :], copy)
            assert len(self.shapes) > before
            shape = self.shapes[target]
        sources = [
            n
            for n, s in self.shapes.items()
            if joined(s, shape) == shape and self.views.get(n, n) != copy
        ]
        if not sources:
            return
        source = self.rng.choice(sources)
        self.lines.append(self.rng.choice(IN_PLACE).format(t=target, s=source))
        self._new(f"{copy} * 1", self.shapes[copy])

    def _branch(self) -> None:
        a = self._pick()
        name = f"v{len(self.shapes)}"
        self.lines.append(f"{name} = {a} * 2 if float({a}.detach().sum()) > 0.123 else {a}.sin()")
        self.shapes[name] = self.shapes[a]

    def _finish(self) -> None:
        used = [n for n in self.shapes if n not in self.leaves][-4:] or self.leaves
        terms = [f"({n} * 0.5).tanh().sum()" for n in (*used, *self.leaves)]
        self.lines.append("loss = " + " + ".join(terms))

    def source(self) -> str:
        return "\n".join(self.lines)


def swap(shape: tuple[int, ...], d: int) -> tuple[int, ...]:
    sizes = list(shape)
    sizes[0], sizes[d] = sizes[d], sizes[0]
    return tuple(sizes)


def joined(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that these broadcast to, if they do."""
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


def values_for(program: Program, seed: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1.5, 1.5, program.shapes[name]) for name in program.leaves]


def run(torch: Any, program: Program, values: Any, dtype: str) -> tuple[float, list[Any]]:
    """The loss and the gradients of the leaves."""
    leaves = {
        name: torch.tensor(v.tolist(), dtype=getattr(torch, dtype), requires_grad=True)
        for name, v in zip(program.leaves, values, strict=True)
    }
    scope: dict[str, Any] = {"torch": torch, **leaves}
    exec(compile(program.source(), "<program>", "exec"), scope)
    scope["loss"].backward()
    grads = [leaves[name].grad for name in program.leaves]
    return scope["loss"].item(), [np.array(g.tolist()) for g in grads]


def compare_with_torch(seed: int, torch: Any) -> None:
    program = Program(seed)
    values = [v.astype(np.float32).astype(float) for v in values_for(program, seed)]
    loss, grads = run(rl, program, values, "float32")
    wanted, wanted_grads = run(torch, program, values, "float32")
    assert close(loss, wanted, 1e-4), f"seed {seed}: loss {loss} for {wanted}\n{program.source()}"
    for name, g, w in zip(program.leaves, grads, wanted_grads, strict=True):
        assert close(g, w, 1e-3), f"seed {seed}: {name}.grad\n{g}\nfor\n{w}\n{program.source()}"


def compare_second_derivatives(seed: int, torch: Any) -> None:
    """The gradient of the squared gradient, in float64."""
    program = Program(seed, 10)
    values = values_for(program, seed)
    found = [second(t, program, values) for t in (rl, torch)]
    for name, g, w in zip(program.leaves, *found, strict=True):
        assert close(g, w, 1e-6), f"seed {seed}: {name}\n{g}\nfor\n{w}\n{program.source()}"


def second(torch: Any, program: Program, values: Any) -> list[Any]:
    leaves = {
        name: torch.tensor(v.tolist(), dtype=torch.float64, requires_grad=True)
        for name, v in zip(program.leaves, values, strict=True)
    }
    scope: dict[str, Any] = {"torch": torch, **leaves}
    exec(compile(program.source(), "<program>", "exec"), scope)
    xs = list(leaves.values())
    firsts = torch.autograd.grad(scope["loss"], xs, create_graph=True)
    square = sum((g * g).sum() for g in firsts)
    found = torch.autograd.grad(square, xs, allow_unused=True, materialize_grads=True)
    return [np.array(g.tolist()) for g in found]


def close(a: Any, b: Any, tolerance: float) -> bool:
    scale = max(1.0, float(np.max(np.abs(b), initial=0)))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def compare_with_differences(seed: int) -> None:
    """Along a random direction, the gradient is the central difference of the loss.

    Kinks (relu, abs, maximum ...) may lie between the two points; a program that has one there is
    recognised by differences that disagree among themselves, and says nothing.
    """
    program = Program(seed)
    values = values_for(program, seed)
    rng = np.random.default_rng(seed + 1)
    way = [rng.normal(size=v.shape) for v in values]
    _, grads = run(rl, program, values, "float64")
    slope = sum(float((g * w).sum()) for g, w in zip(grads, way, strict=True))

    def loss(step: float) -> float:
        moved = [v + step * w for v, w in zip(values, way, strict=True)]
        return run(rl, program, moved, "float64")[0]

    wide, narrow = [(loss(h) - loss(-h)) / (2 * h) for h in (1e-5, 2.5e-6)]
    if not close(wide, narrow, 1e-5):
        return
    assert close(slope, narrow, 1e-4), f"seed {seed}: {slope} for {narrow}\n{program.source()}"


@pytest.mark.parametrize("start", range(0, 400, 50))
def test_programs_agree_with_torch(start):
    torch = pytest.importorskip("torch")
    for seed in range(start, start + 50):
        compare_with_torch(seed, torch)


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_second_derivatives_agree_with_torch(start):
    torch = pytest.importorskip("torch")
    for seed in range(start, start + 50):
        compare_second_derivatives(seed, torch)


@pytest.mark.parametrize("start", range(0, 160, 20))
def test_gradients_are_differences(start):
    for seed in range(start, start + 20):
        compare_with_differences(seed)


def test_programs_are_varied():
    text = "\n".join(Program(seed).source() for seed in range(200))
    for word in (
        "@",
        ".select(",
        "_(",
        "torch.cat",
        ".expand(",
        " if ",
        "torch.where",
        ".diagonal(",
    ):
        assert word in text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--show", action="store_true", help="print the first program and stop")
    given = parser.parse_args()
    if given.show:
        print(Program(given.seed).source())
        return
    torch = None
    if importlib.util.find_spec("torch") is not None:
        import torch  # type: ignore[no-redef]
    failed = 0
    for seed in range(given.seed, given.seed + given.count):
        try:
            if torch is not None:
                compare_with_torch(seed, torch)
                compare_second_derivatives(seed, torch)
            else:
                compare_with_differences(seed)
        except Exception as error:
            failed += 1
            print(f"{type(error).__name__}: {error}\n", file=sys.stderr)
    print(f"{given.count} programs, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
