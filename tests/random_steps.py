"""Random training programs, run eagerly and with hot code replayed: both must say the same.

    python tests/random_steps.py --programs 10000 --seed 0     # every night
    python tests/random_steps.py --show 17                     # one program's source
    python tests/random_steps.py --only 17                     # run one
    python tests/random_steps.py --shrink 17                   # the part of it that goes wrong

A program is Python source, made from its number alone: parameters and data of small shapes, then
some steps of random operators with views, writes in place, branches, looks at values, several
losses and optimisers; from number 100000 on, also layers, hooks, errors and changes half-way.
Half of them compute in float64, where rounding cannot hide a mistake.
What raises an error raises it in both runs; its text is compared too.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from replay_programs import Out, differences

STEPS = 10
RICH = 100_000  # programs from this number on have layers and habits, too
Shape = tuple[int, ...]
SHAPES: list[Shape] = [(), (3,), (4,), (2, 3), (3, 4), (4, 3), (3, 3), (1, 4), (2, 3, 4)]
UNARY = "tanh sigmoid relu abs neg square sin cos exp sqrt log1p".split()
OPTIMISERS = [
    "torch.optim.SGD({}, lr=0.02)",
    "torch.optim.SGD({}, lr=0.02, momentum=0.9)",
    "torch.optim.SGD({}, lr=0.02, momentum=0.5, nesterov=True, weight_decay=0.01)",
    "torch.optim.Adam({}, lr=0.01)",
    "torch.optim.AdamW({}, lr=0.01, betas=(0.8, 0.9))",
    "torch.optim.RMSprop({}, lr=0.005)",
    "torch.optim.Adagrad({}, lr=0.01, eps=1e-3)",  # of what is flat it would make noise
]


def numel(shape: Shape) -> int:
    """How many elements."""
    n = 1
    for s in shape:
        n *= s
    return n


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The common shape, if there is one."""
    result: list[int] = []
    for i in range(1, max(len(a), len(b)) + 1):
        x = a[-i] if i <= len(a) else 1
        y = b[-i] if i <= len(b) else 1
        if x != y and 1 not in (x, y):
            return None
        result.insert(0, y if x == 1 else x)
    return tuple(result)


class Writer:
    """Writes the source of one program."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.number = number
        self.exact = self.random.random() < 0.5
        self.dtype = "float64" if self.exact else "float32"
        self.lines: list[str] = []
        self.depth = 1
        self.shapes: dict[str, Shape] = {}  # variables of floats
        self.fixed: set[str] = set()  # parameters: not to be written or bound anew
        self.learned: set[str] = set()  # parameters and what was computed from them
        self.count = 0
        self.rich = number >= RICH
        self.layers: list[tuple[str, int, int]] = []  # name, features in and out

    # Small helpers

    def add(self, line: str) -> None:
        """A line of the program."""
        self.lines.append("    " * self.depth + line)

    def pick(self, wanted: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        """A variable whose shape is wanted, preferably a late one that comes from a parameter."""
        names = [name for name, shape in self.shapes.items() if wanted(shape)]
        if not names:
            return None
        learned = [name for name in names if name in self.learned]
        if learned and self.random.random() < 0.6:
            names = learned
        return self.random.choice(names[-5:] if self.random.random() < 0.7 else names)

    def bind(self, shape: Shape, text: str) -> str:
        """A new variable, or now and then an old one with another value."""
        same = [n for n, s in self.shapes.items() if s == shape and n[0] == "v"]
        if same and self.random.random() < 0.1:
            name = self.random.choice(same)
        else:
            self.count += 1
            name = f"v{self.count}"
        self.add(f"{name} = {text}")
        self.shapes[name] = shape
        self.learned.discard(name)
        if self.learned.intersection(re.findall(r"\w+", text)):
            self.learned.add(name)
        return name

    def scalar(self) -> str:
        """A number: a constant, or one that changes with the step."""
        return self.random.choice(["2", "0.5", "-1.5", "0.1", "(0.5 + 0.1 * step)", "rate", "3"])

    def dim(self, shape: Shape) -> int:
        """A dimension, from either end."""
        return self.random.randrange(-len(shape), len(shape))

    # Operators

    def unary(self) -> None:
        a = self.pick()
        name = self.random.choice(UNARY)
        inside = {"exp": "-{}.abs()", "sqrt": "({}.abs() + 0.5)", "log1p": "{}.abs()"}
        form = inside.get(name, "{}").format(a)
        self.bind(self.shapes[a], f"torch.{name}({form})")

    def with_number(self) -> None:
        a, c = self.pick(), self.scalar()
        forms = ("{} * {}", "{} + {}", "{} - {}", "{1} - {0}", "{1} * {0}", "{} / {}")
        self.bind(self.shapes[a], self.random.choice(forms).format(a, c))

    def binary(self) -> None:
        a = self.pick()
        b = self.pick(lambda shape: broadcast(self.shapes[a], shape) is not None)
        forms = ["{} + {}", "{} - {}", "{} * {}", "{} / ({}.abs() + 1)", "torch.maximum({}, {})"]
        forms += ["torch.add({}, {}, alpha=0.5)", "torch.lerp({}, {}, 0.3)"]
        shape = broadcast(self.shapes[a], self.shapes[b])
        self.bind(shape, self.random.choice(forms).format(a, b))

    def reduction(self) -> None:
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        d = self.dim(shape)
        name = self.random.choice(["sum", "mean", "amax", "logsumexp", "std", "all"])
        if name == "all":
            self.bind((), f"{a}.{self.random.choice(['sum', 'mean', 'max', 'norm'])}()")
            return
        if name == "std" and shape[d] < 2:
            name = "sum"
        keep = self.random.random() < 0.5
        left = list(shape)
        left[d] = 1
        if not keep:
            del left[d]
        self.bind(tuple(left), f"{a}.{name}(dim={d}, keepdim={keep})")

    def along(self) -> None:
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        d = self.dim(shape)
        form = self.random.choice(
            [
                f"torch.softmax({a}, {d})",
                f"F.log_softmax({a}, {d})",
                f"F.layer_norm({a}, {shape[-1:]})",
                f"{a}.cumsum({d})",
                f"{a}.flip({d})",
                f"torch.sort({a}, dim={d})[0]",
                f"{a}.roll(1, {d})",
            ]
        )
        self.bind(shape, form)

    def product(self) -> None:
        a = self.pick(lambda shape: len(shape) >= 2)
        if a is None:
            return
        inner = self.shapes[a][-1]
        b = self.pick(lambda shape: len(shape) == 2 and shape[0] == inner)
        if b is None:
            b = self.pick(lambda shape: len(shape) == 2 and shape[1] == inner)
            if b is None:
                return
            self.bind((*self.shapes[a][:-1], self.shapes[b][0]), f"F.linear({a}, {b})")
            return
        self.bind((*self.shapes[a][:-1], self.shapes[b][1]), f"{a} @ {b}")

    def view(self) -> None:
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        d = self.dim(shape) % len(shape)
        turned = shape[::-1] if len(shape) < 3 else (*shape[:-2], shape[-1], shape[-2])
        rest = (*shape[:d], *shape[d + 1 :])
        forms: list[tuple[Shape, str]] = [
            ((numel(shape),), f"{a}.reshape(-1)"),
            ((numel(shape),), f"{a}.view(-1)"),
            ((*shape[:d], 1, *shape[d:]), f"{a}.unsqueeze({d})"),
            (rest, f"{a}.select({d}, {self.random.randrange(shape[d])})"),
            (turned, f"{a}.transpose(-1, -2)" if len(shape) > 1 else f"{a}.view_as({a})"),
            ((2, *shape), f"{a}.expand(2, *{a}.shape)"),
            (shape, f"{a}.contiguous()"),
            (shape, f"{a}.clone()"),
            (shape, f"{a}[...]"),
        ]
        if shape[d] > 1:
            cut = (*shape[:d], shape[d] - 1, *shape[d + 1 :])
            index = ":, " * d + "1:"
            forms += [(cut, f"{a}[{index}]"), (cut, f"{a}.narrow({d}, 0, {shape[d] - 1})")]
        self.bind(*self.random.choice(forms))

    def joined(self) -> None:
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        b = self.pick(lambda other: other == shape)
        if self.random.random() < 0.5:
            self.bind((2, *shape), f"torch.stack([{a}, {b}])")
        else:
            self.bind((2 * shape[0], *shape[1:]), f"torch.cat([{a}, {b}])")

    def picked(self) -> None:
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        last = shape[0] - 1
        index = f"torch.tensor([0, {last}, step % {shape[0]}])"
        forms: list[tuple[Shape, str]] = [
            ((3, *shape[1:]), f"{a}[{index}]"),
            ((3, *shape[1:]), f"{a}.index_select(0, {index})"),
            (shape, f"{a}.masked_fill({a}.detach() > 1e9, 0.5)"),
        ]
        if self.exact:
            forms.append((shape, f"torch.where({a} > 0, {a}, {a} * 0.1)"))
            forms.append((shape, f"{a} * ({a} > 0.2)"))
        self.bind(*self.random.choice(forms))

    def chance(self) -> None:
        a = self.pick()
        forms = [f"{a} + torch.randn_like({a})", f"F.dropout({a}, 0.3)"]
        forms.append(f"{a} * torch.rand({self.shapes[a]}, dtype={a}.dtype)")
        self.bind(self.shapes[a], self.random.choice(forms))

    def write(self) -> None:
        free = [n for n in self.shapes if n not in self.fixed]
        if not free:
            return
        a = self.random.choice(free[-4:])
        shape = self.shapes[a]
        b = self.pick(lambda other: broadcast(shape, other) == shape)
        c = self.scalar()
        forms = [f"{a}.mul_({c})", f"{a}.add_({c})", f"{a} += {c}", f"{a}.tanh_()", f"{a}.relu_()"]
        forms += [f"{a}.add_({b}, alpha=0.5)", f"{a} -= {b} * 0.1", f"{a}.copy_({b})"]
        if shape:
            forms += [f"{a}[0] = {c}", f"{a}[..., -1].mul_(0.5)", f"{a}[0].copy_({a}[-1])"]
            forms += [f"{a}.select(-1, 0).add_({c})", f"{a}.view(-1)[0].fill_({c})"]
        self.add(self.random.choice(forms))

    def cut(self) -> None:
        a = self.pick()
        if self.random.random() < 0.5:
            self.bind(self.shapes[a], f"{a}.detach()")
            return
        self.add("with torch.no_grad():")
        self.depth += 1
        self.binary()
        self.depth -= 1

    def look(self) -> None:
        a = self.pick()
        form = self.random.choice(
            [
                f"out({a}.sum().item())",
                f"out({a})",
                f"out({a}.shape, {a}.requires_grad, {a}.is_leaf)",
                f"out(len(str({a})) > 0)",
                f"kept.append({a})",
                f"kept.append({a}.detach())",
                f"rate = min(2.0, abs({a}.mean().item()))",
                f"out(bool(({a} == {a}).all()))",
            ]
        )
        when = self.random.choice(["", "", f"if step % 3 == {self.random.randrange(3)}: "])
        self.add(when + form)

    def branch(self) -> None:
        k = self.random.choice([2, 2, 3, 5])
        before = dict(self.shapes)
        self.add(f"if step % {k} == {self.random.randrange(k)}:")
        self.depth += 1
        for _ in range(self.random.randrange(1, 3)):
            self.operator()
        self.add("pass")
        self.depth -= 1
        for name in set(self.shapes) - set(before):  # not bound on the other way
            del self.shapes[name]

    # Layers and habits

    def layer(self) -> None:
        if not self.layers:
            return
        name, inputs, outputs = self.random.choice(self.layers)
        a = self.pick(lambda shape: len(shape) == 2 and shape[1] == inputs and shape[0] > 1)
        if a is not None:
            self.bind((self.shapes[a][0], outputs), f"{name}({a})")
            self.learned.add(list(self.shapes)[-1])

    def evaluation(self) -> None:
        self.add("with torch.no_grad():")
        self.depth += 1
        before = set(self.shapes)
        for _ in range(self.random.randrange(2, 5)):
            self.random.choice([self.unary, self.binary, self.reduction, self.view, self.layer])()
        a = self.pick()
        self.add(f"score = score + {a}.detach().sum()")
        if self.random.random() < 0.4:
            self.add("out(score.item())")
        self.depth -= 1
        for name in set(self.shapes) - before:
            self.learned.discard(name)

    def habit(self) -> None:
        a, k = self.pick(), self.random.randrange(STEPS)
        p = self.random.choice(sorted(self.fixed))
        at, shape = f"if step == {k}: ", self.shapes[p]
        forms = [
            f"{at}{p}.requires_grad_(False)",
            f"if step in ({k}, {k + 1}): {p}.requires_grad_(step != {k})",
            f"{at}{p}.data = {p}.data * 0.5",
            f"{at}{p}.data.mul_(0.9)",
            f"{at}{p}.grad = torch.ones({shape}, dtype=torch.{self.dtype})",
            f"{at}{p}.grad = None",
            f"{at}out({a}.detach().numpy().copy().sum())",
            f"if step % 4 == 1: out({a} @ torch.ones(77, dtype=torch.{self.dtype}))",
            f"{at}raise ValueError('a user error')",
            f"{at}{a}.register_hook(lambda g: g * 0.5) if {a}.requires_grad else None",
            f"if {a}.requires_grad: out(torch.autograd.grad({a}.sum(), {p}, retain_graph=True,"
            " allow_unused=True)[0] is None)",
            f"{at}kept.append(copy.deepcopy({p}))",
            f"kept.append({a}.detach().clone())",
            f"del {a}" if a[0] == "v" else "pass",
            f"score = {a}.detach().sum() * 0.1 + score",
            f"{at}opt0.load_state_dict(copy.deepcopy(opt0.state_dict()))",
            f"{at}out(opt0.state_dict()['state'])",
            f"out({a}._version, {a}.grad_fn is None, {a}.is_contiguous())",
        ]
        line = self.random.choice(forms)
        self.add(line)
        if line.startswith("del "):
            del self.shapes[a]
            self.learned.discard(a)

    def operator(self) -> None:
        """One random operator."""
        kinds: dict[Callable[[], None], int] = {
            self.unary: 5,
            self.with_number: 5,
            self.binary: 6,
            self.reduction: 3,
            self.along: 2,
            self.product: 3,
            self.view: 5,
            self.joined: 1,
            self.picked: 1,
            self.chance: 1,
            self.write: 3,
            self.cut: 1,
            self.look: 1,
        }
        if self.rich:
            kinds |= {self.layer: 5, self.habit: 2, self.evaluation: 1}
        self.random.choices(list(kinds), list(kinds.values()))[0]()

    # The whole

    def loss(self, k: int, parameters: list[str]) -> str:
        """A number that depends on some of the variables."""
        names = [self.pick() for _ in range(self.random.randrange(1, 4))]
        names.append(self.random.choice(parameters))
        parts = [f"torch.tanh({name}).mean()" for name in dict.fromkeys(names)]
        self.add(f"loss{k} = {' + '.join(parts)}")
        return f"loss{k}"

    def update(self, k: int, parameters: list[str]) -> None:
        """From a loss to the parameters."""
        chance = self.random.random
        loss = self.loss(k, parameters)
        if chance() < 0.3:
            self.add(f"out({loss}.item())")
        if chance() < 0.7:
            self.add(f"opt{k}.zero_grad({self.random.choice(['', '', 'set_to_none=False'])})")
        if chance() < 0.15:
            self.add(f"{loss}.backward(retain_graph=True)")
        self.add(f"{loss}.backward()")
        if chance() < 0.2:
            self.add(f"out(torch.nn.utils.clip_grad_norm_([{', '.join(parameters)}], 0.5))")
        if chance() < 0.2:
            self.add(f"out({parameters[0]}.grad)")
        if chance() < 0.2:
            self.add(f"kept.append({parameters[-1]}.grad)")
        if chance() < 0.2:
            self.add(f"opt{k}.param_groups[0]['lr'] = 0.02 / (1 + step)")
        when = "if step % 2: " if chance() < 0.15 else ""
        self.add(f"{when}opt{k}.step()")
        if chance() < 0.15:
            self.add(f"with torch.no_grad(): {parameters[0]} -= 0.01 * {parameters[0]}.sin()")
        if chance() < 0.5:
            self.add(f"out({loss}.item())")

    def between(self, data: list[str]) -> None:
        """What happens at the beginning of a step."""
        chance = self.random.random
        for name in data:
            shape = self.shapes[name]
            if chance() < 0.3:
                self.add(f"{name} = torch.randn({shape}, dtype=torch.{self.dtype})")
            elif chance() < 0.2:
                self.add(f"{name}.mul_(0.9).add_(0.1 * step)")
            elif chance() < 0.15:
                self.add(f"if step % 4 == 3: {name}.fill_(0.5)")
        if chance() < 0.4:
            self.add("array[...] = step * 0.1")

    def make_layers(self) -> None:
        """Layers, whose parameters the first optimiser trains, too."""
        self.add("score = 0")
        self.add("import copy")
        for i in range(self.random.randrange(1, 4)):
            n, m = self.random.choice([3, 4]), self.random.choice([3, 4])
            form, m = self.random.choice(
                [
                    (f"Linear({n}, {m})", m),
                    (f"Linear({n}, {m}, bias=False)", m),
                    (f"Sequential(nn.Linear({n}, 5), nn.ReLU(), nn.Linear(5, {m}))", m),
                    (f"LayerNorm({n})", n),
                    (f"BatchNorm1d({n})", n),
                    ("Dropout(0.3)", n),
                    ("ReLU(inplace=True)", n),
                    ("Softmax(dim=1)", n),
                ]
            )
            self.layers.append((f"m{i}", n, m))
            self.add(f"m{i} = torch.nn.{form.replace('nn.', 'torch.nn.')}.to(torch.{self.dtype})")
            if form.startswith(("Linear", "Seq", "Layer", "Batch")):
                self.add(f"opt0.add_param_group({{'params': list(m{i}.parameters())}})")

    def source(self) -> str:
        """The program."""
        rng = self.random
        self.lines = ["def program(torch, np, out):"]
        self.add("F = torch.nn.functional")
        self.add(f"torch.manual_seed({self.number})")
        parameters, data = [], []
        for i in range(rng.randrange(1, 4)):
            parameters.append(f"p{i}")
            self.shapes[f"p{i}"] = rng.choice(SHAPES[1:])
        for i in range(rng.randrange(1, 3)):
            data.append(f"c{i}")
            self.shapes[f"c{i}"] = rng.choice(SHAPES)
        for name in (*parameters, *data):
            wanted = ", requires_grad=True" if name in parameters else ""
            self.add(f"{name} = torch.randn({self.shapes[name]}, dtype=torch.{self.dtype}{wanted})")
        self.fixed, self.learned = set(parameters), set(parameters)
        self.add(f"array = np.ones((3,), np.{self.dtype})")
        self.add("n0 = torch.from_numpy(array)")
        self.shapes["n0"] = (3,)
        losses = rng.choice([1, 1, 1, 2])
        owned = [parameters[k::losses] or parameters for k in range(losses)]
        for k, names in enumerate(owned):
            form = rng.choice(OPTIMISERS)
            self.add(f"opt{k} = {form.format('[' + ', '.join(names) + ']')}")
        self.add("kept, rate = [], 0.5")
        if self.rich:
            self.make_layers()
        self.add(f"for step in range({STEPS}):")
        self.depth += 1
        self.add("try:")
        self.depth += 1
        self.between(data)
        for k in range(losses):
            for _ in range(rng.randrange(2, 9)):
                self.operator()
            if rng.random() < 0.2:
                self.branch()
            self.update(k, owned[k])
        self.depth -= 1
        self.add("except (RuntimeError, IndexError, ValueError) as error:")
        self.add("    out(step, type(error).__name__, str(error).splitlines()[0])")
        clear = "; ".join([f"opt{k}.zero_grad()" for k in range(losses)])
        self.add(f"    if 'grad' in str(error): {clear}  # how far it came is left open")
        self.depth -= 1
        self.add(f"out({', '.join((*parameters, *data))})")
        self.add(f"out({', '.join(name + '.grad' for name in parameters)})")
        self.add("out(kept, torch.rand(1))")
        if self.rich:
            self.add("out(score)")
            for name, _, _ in self.layers:
                self.add(f"out(dict({name}.state_dict()))")
        return "\n".join(self.lines) + "\n"


def compiled(source: str) -> Callable[..., None]:
    """A program as a function."""
    scope: dict[str, Any] = {}
    exec(compile(source, "<program>", "exec"), scope)
    return scope["program"]  # type: ignore[no-any-return]


def said_by(source: str, torch: Any, tier: int | None = 0) -> list[Any]:
    """What a program says, with rushlight in this tier."""
    import numpy as np

    compiler = getattr(torch, "compiler", None)
    if hasattr(compiler, "set_tier"):
        from rushlight.replay import library

        library.TAKES_OVER = 2  # these programs are short
        compiler.set_tier(tier)
    out = Out()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*could not be compiled")
        compiled(source)(torch, np, out)
        return [_BROKEN if _is_broken(x) else x for x in out.finish()]


_BROKEN = "a graph that cannot be run"


def _is_broken(x: Any) -> bool:
    """Whether this is one of two errors; which comes first where both apply is left open."""
    texts = ("Trying to backward through the graph a second time", "one of the variables needed")
    return isinstance(x, str) and x.startswith(texts)


def closeness(source: str) -> float:
    """How far results may lie apart."""
    return 1e-9 if "float64" in source else 2e-3


def check(source: str) -> list[str]:
    """The differences between a program's two runs; none is good.

    Some programs magnify rounding without bound (Adagrad where tanh is flat, say): what differs in
    float32 counts if it differs in float64, too.
    """
    import rushlight as torch

    eager = said_by(source, torch)
    try:
        found = differences(eager, said_by(source, torch, None), closeness(source))
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    if found and "float32" in source:
        return check(source.replace("float32", "float64"))
    return found


def shrunk(source: str, check: Callable[[str], list[str]] = check) -> str:
    """A shorter program whose runs still differ: lines are left out as long as that is so."""
    lines = source.splitlines()
    size = len(lines) // 2
    while size:
        at = 3  # the seed stays
        while at < len(lines):
            fewer = lines[:at] + lines[at + size :]
            text = "\n".join(fewer) + "\n"
            try:
                still = bool(check(text))
            except Exception:  # the eager run fails: that line was needed
                still = False
            if still:
                lines = fewer
            else:
                at += size
        size //= 2
    return "\n".join(lines) + "\n"


def wrong(numbers: Iterable[int], most: int = 10) -> Iterator[tuple[int, list[str]]]:
    """The programs whose runs differ, with the differences; stops after the first few."""
    for number in numbers:
        found = check(Writer(number).source())
        if found:
            yield number, found
            most -= 1
            if not most:
                return


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="number of the first, in thousands")
    parser.add_argument("--show", type=int, help="print this program and stop")
    parser.add_argument("--only", type=int, help="run this program alone")
    parser.add_argument(
        "--shrink", type=int, help="print a short version of a program that differs"
    )
    given = parser.parse_args()
    if given.shrink is not None:
        source = shrunk(Writer(given.shrink).source())
        print(source, *check(source)[:5], sep="\n")
        return 0
    if given.show is not None:
        print(Writer(given.show).source())
        return 0
    first = given.seed * 1000 if given.only is None else given.only
    count = given.programs if given.only is None else 1
    numbers = range(first, first + count)
    if given.only is None:  # as many of one kind as of the other
        half = range(RICH + first, RICH + first + count // 2)
        numbers = itertools.chain(range(first, first + count - count // 2), half)
    failed = 0
    for number, found in wrong(numbers):
        failed += 1
        print(f"program {number} differs:", *found[:5], sep="\n  ")
        if failed <= 3:
            print(Writer(number).source())
    from rushlight import compiler

    if hasattr(compiler, "statistics"):
        now = compiler.statistics()
        print(f"recorded {now.recorded}, matched {now.matched}, launched {now.launched}")
    print(f"{failed} of {count} programs differ" if failed else f"{count} programs agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
