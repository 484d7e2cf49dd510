"""The random training programs of `random_steps.py`: each is made from its number alone.

A program is Python source: parameters and data of small shapes, then some steps of random operators
with views, writes in place, branches, looks at values, several losses and optimisers; from number
RICH on, also layers, hooks, errors and changes half-way.  `random_wide.py` writes those of a third
kind.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

STEPS = 10
RICH = 10_000_000  # programs from this number on have layers and habits, too
LEFT_OPEN = "# how far it came is left open"
Shape = tuple[int, ...]
SHAPES: list[Shape] = [(), (3,), (4,), (2, 3), (3, 4), (4, 3), (3, 3), (1, 4), (2, 3, 4)]
UNARY = "tanh sigmoid relu abs neg square sin cos exp sqrt log1p".split()
OPTIMISERS = [
    "torch.optim.SGD({}, lr=0.02)",
    "torch.optim.SGD({}, lr=0.02, momentum=0.9)",
    "torch.optim.SGD({}, lr=0.02, momentum=0.5, nesterov=True, weight_decay=0.01)",
    "torch.optim.Adam({}, lr=0.01, eps=1e-6)",
    "torch.optim.AdamW({}, lr=0.01, betas=(0.8, 0.9), eps=1e-6)",
    "torch.optim.RMSprop({}, lr=0.005)",
    "torch.optim.Adagrad({}, lr=0.01, eps=1e-3)",  # of what is flat they would make noise
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

    steps = STEPS
    optimisers = OPTIMISERS

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
        self.owned: list[list[str]] = []  # the parameters of each optimiser

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

    def begin(self) -> tuple[list[str], list[str]]:
        """Parameters, data and what trains them; returns the names of both."""
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
        self.owned = [parameters[k::losses] or parameters for k in range(losses)]
        for k, names in enumerate(self.owned):
            form = rng.choice(self.optimisers)
            self.add(f"opt{k} = {form.format('[' + ', '.join(names) + ']')}")
        self.add("kept, rate = [], 0.5")
        if self.rich:
            self.make_layers()
        return parameters, data

    def step(self, data: list[str]) -> None:
        """What is done again and again."""
        self.between(data)
        for k, names in enumerate(self.owned):
            for _ in range(self.random.randrange(2, 9)):
                self.operator()
            if self.random.random() < 0.2:
                self.branch()
            self.update(k, names)

    def end(self) -> None:
        """What is said when all is over."""
        if self.rich:
            self.add("out(score)")
            for name, _, _ in self.layers:
                self.add(f"out(dict({name}.state_dict()))")

    def source(self) -> str:
        """The program."""
        parameters, data = self.begin()
        self.add(f"for step in range({self.steps}):")
        self.depth += 1
        self.add("try:")
        self.depth += 1
        self.step(data)
        self.depth -= 1
        self.add("except (RuntimeError, IndexError, ValueError) as error:")
        self.add("    out(step, type(error).__name__, str(error).splitlines()[0])")
        clear = "; ".join(
            ["kept.clear()", *[f"opt{k}.zero_grad()" for k in range(len(self.owned))]]
        )
        self.add(f"    if 'grad' in str(error): {clear}  {LEFT_OPEN}")
        self.depth -= 1
        self.add(f"out({', '.join((*parameters, *data))})")
        self.add(f"out({', '.join(name + '.grad' for name in parameters)})")
        self.add("out(kept, torch.rand(1))")
        self.end()
        return "\n".join(self.lines) + "\n"
