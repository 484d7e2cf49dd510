"""Random training programs of a third kind, for `random_steps.py`: they have rarer habits.

A program gets some habits, each with lines before the loop, at the beginning of a step, in its
middle (`random_habits.py`) and at its end: memory written as soon as it is made, views behind
autograd's back, micro-batches, values that decide, frozen and shared parameters, half precision,
functions and hooks of the user's.  What it computes in between is as in `random_writer.py`, with
more operators.
"""

from __future__ import annotations

from random_habits import Habits
from random_writer import OPTIMISERS

WIDE = 20_000_000  # programs from this number on are of this kind
MORE_OPTIMISERS = [
    *OPTIMISERS,
    "torch.optim.SGD([{{'params': {0}, 'lr': 0.03}}], lr=0.02, maximize=True)",
    "torch.optim.Adam({}, lr=0.01, amsgrad=True, weight_decay=0.02, eps=1e-5)",
    "torch.optim.Adamax({}, lr=0.01, eps=1e-3)",
    "torch.optim.NAdam({}, lr=0.01, eps=1e-5)",
    "torch.optim.RAdam({}, lr=0.01, eps=1e-5)",
    "torch.optim.Adadelta({}, lr=0.5)",
    "torch.optim.ASGD({}, lr=0.01)",
    "torch.optim.RMSprop({}, lr=0.005, momentum=0.5, centered=True, eps=1e-3)",
    "torch.optim.SGD({}, lr=torch.tensor(0.02), momentum=0.9)",
]
SCHEDULES = [
    "StepLR({}, 3, gamma=0.5)",
    "ExponentialLR({}, 0.9)",
    "CosineAnnealingLR({}, T_max=5)",
    "LambdaLR({}, lambda t: 1 / (1 + t))",
    "MultiStepLR({}, [2, 6], gamma=0.3)",
    "LinearLR({}, 0.1, total_iters=6)",
    "OneCycleLR({}, max_lr=0.02, total_steps=40, cycle_momentum=False)",
    "CosineAnnealingWarmRestarts({}, 4)",
]
CUSTOM = """
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g
class Times(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        return x * k
    @staticmethod
    def backward(ctx, g):
        return g * ctx.k, None
class Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x + y, x * y
    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g + h * y, g + h * x if ctx.needs_input_grad[1] else None
class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(0.5)
    @staticmethod
    def backward(ctx, g):
        return g * 0.5
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x * 4 + 0.137).floor() / 4
    @staticmethod
    def backward(ctx, g):
        return g.clamp(-1, 1)
"""
SLOPE = """
def slope(a, p, create):
    if not (a.requires_grad and p.requires_grad):
        return torch.zeros_like(p)
    g = torch.autograd.grad(torch.tanh(a).sum(), p, None, True, create, allow_unused=True)[0]
    return torch.zeros_like(p) if g is None else g
"""


SCALED = """
class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))
    def forward(self, x):
        return torch.tanh(self.w * x)
scaled = Scaled()
"""


class Wide(Habits):
    """Writes the source of one program with rarer habits."""

    steps = 20
    optimisers = MORE_OPTIMISERS

    def operator(self) -> None:
        """One random operator, or one of the program's habits."""
        middles = "made behind quiet decided sliding halves integers custom hooked slopes".split()
        middles += "checkpointed numpy collected contexts varied reseeded vectors counted".split()
        mine = [getattr(self, name) for name in middles if name in self.habits]
        if "masks" in self.habits:
            mine.append(self.masked)
        draw = self.random.random()
        if mine and draw < 0.3:
            self.random.choice(mine)()
        elif draw < 0.45:
            self.more()
        else:
            super().operator()

    def begin(self) -> tuple[list[str], list[str]]:
        """What comes before the loop."""
        self.parameters, data = super().begin()
        if not self.rich:
            self.add("score = 0")
        for name in sorted(self.habits, key="scheduled".__eq__):  # groups of parameters come first
            getattr(self, f"before_{name}", lambda: None)()
        return self.parameters, data

    def before_quiet(self) -> None:
        for p in self.parameters:
            self.add(f"mean_{p} = {p}.detach().clone()")

    def before_tied(self) -> None:
        kind = f".to(torch.{self.dtype})"
        bias = self.one("True", "False")
        self.add(f"t0 = torch.nn.Linear(3, 3){kind}")
        self.add(f"t1 = torch.nn.Linear(3, 3, bias={bias}){kind}")
        self.add("t1.weight = t0.weight")
        self.add("t2 = torch.nn.Sequential(t0, torch.nn.Tanh(), t0, t1)")
        self.add("opt0.add_param_group({'params': list(t2.parameters())})")
        self.layers += [("t0", 3, 3), ("t1", 3, 3), ("t2", 3, 3)]

    def before_modes(self) -> None:
        self.add("d0 = torch.nn.Dropout(0.4)")
        self.add(f"b0 = torch.nn.BatchNorm1d(3).to(torch.{self.dtype})")
        self.add(f"b1 = torch.nn.BatchNorm1d(4, affine=False).to(torch.{self.dtype})")
        self.add("opt0.add_param_group({'params': list(b0.parameters())})")
        self.layers += [("b0", 3, 3), ("b1", 4, 4)]
        if self.maybe(0.5):
            self.layers += [("d0", 3, 3), ("d0", 4, 4)]

    def before_scheduled(self) -> None:
        for k in range(len(self.owned)):
            form = self.random.choice(SCHEDULES).format(f"opt{k}")
            self.add(f"plan{k} = torch.optim.lr_scheduler.{form}")

    def before_sliding(self) -> None:
        shape = self.random.choice([(3,), (4,), (2, 3), (3, 4)])
        self.add(f"table = torch.randn({(30, *shape)}, dtype=torch.{self.dtype})")
        self.add("order = torch.randperm(30).tolist()")
        self.add("row = table[0].clone()")
        self.shapes["row"] = shape

    def before_carried(self) -> None:
        shape = self.random.choice([(), (3,), (3, 4), *self.shapes.values()])
        self.add(f"last = torch.zeros({shape}, dtype=torch.{self.dtype})")
        self.shapes["last"] = shape

    def before_custom(self) -> None:
        self.block(CUSTOM)

    def before_hooked(self) -> None:
        self.add("seen = []")
        for p in self.parameters:
            form = self.one(
                "",
                f"{p}.register_hook(lambda g: g.clamp(-0.2, 0.2))",
                f"{p}.register_hook(lambda g: seen.append(g.sum().item()))",
                f"{p}.register_post_accumulate_grad_hook(lambda t: [t.grad.mul_(0.5), None][1])",
                f"{p}.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.norm()))",
            )
            self.add(f"handle_{p} = {form or None}")
        for name, _, _ in self.layers:
            form = self.one(
                "",
                "register_forward_hook(lambda m, i, o: o * 0.5)",
                "register_forward_pre_hook(lambda m, i: (i[0] + 0.1,))",
                "register_full_backward_hook(lambda m, i, o: seen.append(o[0].sum().item()))",
            )
            if form:
                self.add(f"{name}.{form}")

    def before_slopes(self) -> None:
        self.block(SLOPE)

    def before_numpy(self) -> None:
        self.add("view = c0.numpy()")

    def before_reseeded(self) -> None:
        self.block("import random\nstate = torch.get_rng_state()")
        self.add("source, drawn = torch.Generator(), torch.Generator().manual_seed(3)")

    def before_vectors(self) -> None:
        self.block(SCALED)
        self.add(f"copy_of = {{{', '.join(f'{p!r}: {p}.detach() * 1' for p in self.parameters)}}}")

    def before_collected(self) -> None:
        self.add(f"total, history = 0, []; trail = torch.zeros({self.steps}, dtype=torch.float64)")

    def between(self, data: list[str]) -> None:
        """What happens at the beginning of a step."""
        super().between(data)
        p = self.parameter()
        if "quiet" in self.habits and self.maybe(0.7):
            self.quiet()
        if "behind" in self.habits and self.maybe(0.5):
            self.behind()
        if "frozen" in self.habits:
            k = self.random.choice([2, 3, 4])
            self.add(f"{p}.requires_grad_(step % {2 * k} < {k})")
            if self.layers and self.maybe(0.5):
                name = self.random.choice(self.layers)[0]
                self.add(f"{name}.requires_grad_({self.every()})")
        if "modes" in self.habits:
            for name in dict.fromkeys(name for name, _, _ in self.layers):
                if self.maybe(0.6):
                    self.add(f"{name}.train({self.one(self.every(), 'step % 6 < 3', 'step < 8')})")
        if "numpy" in self.habits and self.maybe(0.6):
            self.numpy()
        if "hooked" in self.habits and self.maybe(0.4):
            k = self.random.randrange(3, 9)
            self.add(f"if step == {k} and handle_{p}: handle_{p}.remove()")

    def step(self, data: list[str]) -> None:
        """What is done again and again."""
        self.masks.clear()
        self.late.clear()
        if "micro" not in self.habits:
            super().step(data)
        else:
            self.micro(data)
        for line in self.late:
            self.add(line)
        if "carried" in self.habits:
            self.carry()

    def micro(self, data: list[str]) -> None:
        """Gradients of several passes before a step."""
        self.between(data)
        count, rare = self.random.choice([2, 3]), self.maybe(0.5)
        for k, names in enumerate(self.owned):
            before = set(self.shapes)
            self.add(f"for part in range({count}):")
            self.depth += 1
            for _ in range(self.random.randrange(2, 7)):
                self.operator()
            loss = self.loss(k, names)
            self.add(f"({loss} / {count}).backward()")
            if self.maybe(0.2):
                self.add(f"out({loss}.item())")
            self.depth -= 1
            if self.maybe(0.3):
                for name in set(self.shapes) - before:
                    del self.shapes[name]
            when = f"if step % {count} == 1: " if rare else ""
            zero = f"opt{k}.zero_grad({self.one('', '', 'set_to_none=False')})"
            self.add(f"{when}opt{k}.step(); {zero}")
            if "scheduled" in self.habits:
                self.add(f"{when}plan{k}.step()")

    def carry(self) -> None:
        """What the next step gets from this one."""
        shape = self.shapes["last"]
        a = self.like(shape)
        self.add(
            self.one(
                f"last = {a}.detach().expand({shape})",
                f"last = {a}.detach().clone().expand({shape})",
                f"last = last * 0.5 + {a}.detach()",
                f"last.copy_({a}.detach())",
                f"last = torch.tanh({a} + last).detach()",
                f"last = (last + {a}).data",
                f"last = last + {a}" if self.maybe(0.3) else f"last = {a}.detach() * 1",
                f"last.mul_(0.5).add_({a}.detach())",
                f"if {self.every()}: last = torch.zeros({shape}, dtype=torch.{self.dtype})",
            )
        )

    def update(self, k: int, parameters: list[str]) -> None:
        """From a loss to the parameters."""
        if "closure" in self.habits and self.maybe(0.6):
            loss = self.loss(k, parameters)
            self.add("def closure():")
            self.add(f"    opt{k}.zero_grad()")
            parts = " + ".join(f"(torch.tanh({p}) * {self.scalar()}).mean()" for p in parameters)
            self.add(f"    value = {parts}" + self.one("", f" + {loss}.detach()"))
            self.add("    value.backward()")
            self.add("    return value")
            self.add(self.one("", "out") + f"(opt{k}.step(closure).detach())")
        elif "manual" in self.habits and self.maybe(0.8):
            self.by_hand(k, parameters)
        else:
            super().update(k, parameters)
        if "scheduled" in self.habits:
            self.add(f"plan{k}.step()")
            if self.maybe(0.3):
                self.add(f"out(plan{k}.get_last_lr())")

    def by_hand(self, k: int, parameters: list[str]) -> None:
        """A step without an optimiser."""
        loss = self.loss(k, parameters)
        self.add(f"{loss}.backward()")
        self.add("with torch.no_grad():")
        how = self.one("p -= 0.05 * p.grad", "p.add_(p.grad, alpha=-0.05)", "p.sub_(p.grad * rate)")
        after = self.one("p.grad = None", "p.grad = None", "p.grad.zero_()", "p.grad.mul_(0.5)")
        if self.maybe(0.3):
            how, after = self.one("p.data -= 0.05 * p.grad", "p.data.add_(p.grad * -0.05)"), after
        self.add(f"    for p in [{', '.join(parameters)}]:")
        self.add("        if p.grad is not None:")
        self.add(f"            {how}")
        self.add(f"            {after}")
        if self.maybe(0.5):
            self.add(f"out({loss}.item())")

    def end(self) -> None:
        """What is said when all is over."""
        super().end()
        wanted = {"hooked": "seen", "carried": "last", "collected": "history, trail"}
        wanted |= {
            "sliding": "table",
            "vectors": "copy_of",
            "numpy": "array.tolist(), view.tolist()",
        }
        for name in self.habits:
            if name in wanted:
                self.add(f"out({wanted[name]})")
