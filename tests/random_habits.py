"""Rarer habits of random training programs, for `random_wide.py`: what they do within a step."""

from __future__ import annotations

from random_writer import Shape, Writer, broadcast, numel

HABITS = (
    "made behind quiet micro decided tied frozen modes scheduled sliding carried halves integers"
    " masks custom hooked slopes checkpointed numpy collected contexts closure manual varied"
    " reseeded vectors counted"
).split()


class Habits(Writer):
    """Writes a program's lines: more operators, and what the habits do in the middle of a step."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.habits = self.random.sample(HABITS, self.random.randrange(2, 5))
        self.late: list[str] = []  # lines for the end of a step
        self.rich = self.random.random() < 0.6 or bool({"tied", "modes"} & set(self.habits))
        self.parameters: list[str] = []
        self.masks: dict[str, Shape] = {}

    # Small helpers

    def maybe(self, chance: float) -> bool:
        """True so often."""
        return self.random.random() < chance

    def one(self, *forms: str) -> str:
        """One of these texts."""
        return self.random.choice(forms)

    def every(self) -> str:
        """A condition that holds now and then."""
        k = self.random.choice([2, 3, 4])
        return f"step % {k} == {self.random.randrange(k)}"

    def block(self, text: str) -> None:
        """Lines that begin at the present depth."""
        for line in text.strip().splitlines():
            self.add(line)

    def free(self) -> str | None:
        """A variable that may be written to, preferably a late one."""
        names = [n for n in self.shapes if n not in self.fixed]
        return self.random.choice(names[-4:]) if names else None

    def parameter(self) -> str:
        """A parameter."""
        return self.random.choice(self.parameters)

    def like(self, shape: Shape) -> str | None:
        """A variable that can be broadcast to a shape."""
        return self.pick(lambda other: broadcast(shape, other) == shape)

    # More operators

    def more(self) -> None:
        """Operators that the other kinds of programs do not have."""
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        d = self.dim(shape) % len(shape)
        rest = (*shape[:d], *shape[d + 1 :])
        k = self.random.randrange(shape[d])
        b = self.like(shape)
        forms: list[tuple[Shape, str]] = [
            (rest, f"{a}.unbind({d})[{k}]"),
            (rest, f"{a}.max(dim={d})[0]"),
            (rest, f"{a}.min({d}).values"),
            (rest, f"{a}.var({d}, unbiased=False)"),
            (rest, f"{a}.prod({d})"),
            (rest, f"{a}.norm(dim={d})"),
            ((*shape[:d], 1, *shape[d + 1 :]), f"{a}.topk(1, dim={d})[0]"),
            ((*shape[:d], 1, *shape[d + 1 :]), f"{a}.split(1, {d})[{k}]"),
            ((*shape[:d], 2 * shape[d], *shape[d + 1 :]), f"{a}.repeat_interleave(2, {d})"),
            ((*shape[:-1], shape[-1] + 1), f"F.pad({a}, (1, 0))"),
            ((*shape[:-1], shape[-1] + 2), f"F.pad({a}, (0, 2), value=0.3)"),
            (shape[::-1], f"{a}.permute({tuple(range(len(shape)))[::-1]})"),
            ((numel(shape),), f"{a}.flatten()"),
            (shape, f"{a}.clamp(-1, 1)"),
            (shape, f"{a}.clamp(max=0.7)"),
            (shape, f"{a} ** 2"),
            (shape, f"F.gelu({a})"),
            (shape, f"F.softplus({a})"),
            (shape, f"F.elu({a})"),
            (shape, f"F.leaky_relu({a}, 0.1)"),
            (shape, f"F.normalize({a}, dim={d})"),
            (shape, f"torch.addcmul({a}, {b}, {b}, value=0.1)"),
            (shape, f"torch.where({a} > {b}, {a}, {b} * 0.5)"),
            (shape, f"{a}.tril()" if len(shape) > 1 else f"{a}.cumprod(0)"),
            ((), f"F.mse_loss({a}, {b}.expand_as({a}))"),
            ((), f"F.huber_loss({a}, {b}.expand_as({a}), delta=0.3)"),
        ]
        if len(shape) == 2:
            forms += [
                ((shape[1], shape[0]), f"{a}.T"),
                ((shape[0], shape[0]), f"torch.einsum('ij,kj->ik', {a}, {a})"),
                ((min(shape),), f"{a}.diagonal()"),
                ((shape[0], shape[0]), f"torch.addmm({a}[:, :1], {a}, {a}.t(), beta=0.5)"),
                ((1, *shape), f"{a}[None]"),
            ]
        if numel(shape) > 2:
            kernel = f"{a}.reshape(-1)[:2].reshape(1, 1, 2)"
            forms.append(
                ((numel(shape) - 1,), f"F.conv1d({a}.reshape(1, 1, -1), {kernel}).flatten()")
            )
        self.bind(*self.random.choice(forms))

    def write(self) -> None:
        """Writes in place, more kinds of them."""
        a = self.free()
        if a is None or self.maybe(0.5):
            super().write()
            return
        shape, b, c = self.shapes[a], self.like(self.shapes[a]), self.scalar()
        forms = [f"{a}.zero_()", f"{a}.fill_({c})", f"{a}.clamp_(-1, 1)", f"{a}.add_({a})"]
        forms += [f"{a}.addcmul_({b}, {b}, value=0.1)", f"{a}.lerp_({b}, 0.3)", f"{a} /= {c}"]
        forms += [f"{a}.masked_fill_({a}.detach() > 0.137, {c})", f"{a}.sigmoid_()", f"{a} *= {b}"]
        forms += [f"{a}[{a}.detach() > 0.137] = {c}", f"{a}[...] = {b}", f"{a}.neg_().abs_()"]
        if shape:
            forms += [f"{a}[0], {a}[-1] = {a}[-1].clone(), {a}[0].clone()", f"{a}[:1] = {a}[-1:]"]
            forms += [f"{a}.index_fill_(0, torch.tensor([step % {shape[0]}]), 0.3)"]
            forms += [f"{a}[step % {shape[0]}] = {c}", f"{a}.unbind(0)[0].mul_(0.5)"]
            forms += [f"{a}.t().mul_(0.9)" if len(shape) == 2 else f"{a}.mT"]
            forms[-1] = forms[-1] if len(shape) == 2 else f"{a}.flatten().mul_(0.9)"
        self.add(self.random.choice(forms))

    # Habits in the middle of a step

    def made(self) -> None:
        """Memory just made, seen before it is filled."""
        a = self.pick()
        shape, kind = self.shapes[a], f"dtype=torch.{self.dtype}"
        full = [f"torch.zeros({shape}, {kind})", f"torch.full({shape}, 0.3, {kind})"]
        full += [f"torch.zeros_like({a})", f"{a}.new_ones({shape})"]
        bare = [
            f"torch.empty({shape}, {kind})",
            f"torch.empty_like({a})",
            f"{a}.new_empty({shape})",
        ]
        empty, b, c = self.maybe(0.5), self.like(shape), self.scalar()
        name = self.bind(shape, self.one(*(bare if empty else full)))
        self.learned.discard(name)
        seen = self.one("", "view", "look") if empty else self.one("", "view", "read", "look")
        other = None
        if seen == "view":
            self.count += 1
            other = f"v{self.count}"
            self.add(f"{other} = {name}.{self.one('view(-1)', 'unsqueeze(0)', 'detach()')}")
        elif seen == "read":
            other = self.bind(shape, f"{name} + {a}")
        elif seen == "look":
            self.add(f"out({name}.shape, {name}.requires_grad, {name}.is_leaf)")
        if name in (a, b):  # it was an old name
            self.add(f"{name}.fill_({c})")
            return
        forms = [f"{name}.fill_({c})", f"{name}.copy_({b})", f"{name}[...] = {b}"]
        forms += [f"{name}.zero_().add_({b})", f"torch.mul({b}.detach(), 2, out={name})"]
        forms += [f"{name}.copy_({b}).mul_({c})", f"{name}.fill_({c}); {name} += {b}"]
        if not empty:
            forms += [f"{name} += {b}", f"{name}.add_({b}, alpha=0.5)", f"{name}.sub_({c})"]
            if shape:
                forms += [f"{name}[0] = {c}", f"{name}[-1] += {c}", f"{name}[0].copy_({a}[0])"]
        form = self.random.choice(forms)
        if f"out={name}" in form and self.shapes[b] != shape:
            form = f"{name}.copy_({b})"
        self.add(form)
        self.learned.add(name)
        if other is not None and self.maybe(0.5):
            self.add(f"out({other})")
        elif seen == "view":
            self.bind((), f"{other}.sum()")

    def behind(self) -> None:
        """Values changed behind autograd's back."""
        a, c = self.free() or self.parameter(), self.scalar()
        b, p = self.like(self.shapes[a]), self.parameter()
        shape, other = self.shapes[p], self.random.choice(self.parameters)
        self.add(
            self.one(
                f"{a}.detach().mul_({c})",
                f"{a}.data.add_({c})",
                f"{a}.data.mul_(0.9)",
                f"{a}.data = {a}.data * 0.5",
                f"{a}.data.copy_({b}.data)",
                f"{a}.detach().copy_({b}.detach())",
                f"{a}.detach().view(-1)[0] = {c}",
                f"{a}.data[...] = {a}.data.flip(0)" if self.shapes[a] else f"{a}.data.neg_()",
                f"{p}.data.mul_(0.99)",
                f"{p}.data[0] = 0.1 * step",
                f"{p}.data = {p}.data.clone()",
                f"{p}.data.clamp_(-1, 1)",
                f"{p}.detach()[-1].add_(0.01)",
                f"if {self.every()}: {p}.data = torch.full({shape}, 0.2, dtype=torch.{self.dtype})",
                f"{p}.data, {other}.data = {other}.data, {p}.data"
                if self.shapes[other] == shape
                else f"{p}.data -= 0.01 * {p}.data",
                f"if {p}.grad is not None: {p}.grad.data.mul_(0.5)",
                f"if {p}.grad is not None: {p}.grad = {p}.grad.detach() * 0.5",
            )
        )

    def quiet(self) -> None:
        """Parameters changed in place without gradients."""
        p = self.parameter()
        when = f"if {self.every()}: " if self.maybe(0.3) else ""
        mode = self.one("torch.no_grad()", "torch.no_grad()", "torch.set_grad_enabled(False)")
        self.add(f"with {mode}:")
        for _ in range(self.random.randrange(1, 3)):
            form = self.one(
                f"{p}.mul_(0.99)",
                f"{p}.clamp_(-1, 1)",
                f"{p} -= 0.01 * {p}.sin()",
                f"{p}.copy_({p} / ({p}.norm() + 1))",
                f"{p}[0].zero_()",
                f"{p}[-1] += 0.01 * step",
                f"{p}.add_(torch.randn_like({p}), alpha=0.01)",
                f"{p} -= 0.01 * {p}.grad if {p}.grad is not None else 0",
                f"mean_{p}.mul_(0.9).add_({p}, alpha=0.1)",
                f"mean_{p}.lerp_({p}, 0.1)",
                f"mean_{p} = mean_{p} * 0.9 + {p} * 0.1",
                f"{p}.copy_(mean_{p})",
                f"score = score + {p}.sum()",
            )
            self.add(f"    {when}{form}")

    def decided(self) -> None:
        """A value decides which of two computations comes."""
        a, b = self.pick(), self.pick()
        shape = self.shapes[b]
        c = self.random.choice([0.137, -0.211, 0.613, 1.731])
        test = self.one(
            f"{a}.sum().item() > {c}",
            f"({a} > {c}).any()",
            f"float({a}.mean()) < {c}",
            f"bool({a}.max() > {c})",
            f"{a}.abs().sum() > {abs(c)} * 3",
            f"({a} > {c}).sum().item() % 2",
            f"not torch.isfinite({a}).all()",
        )
        if self.maybe(0.2):
            name = self.bind(shape, f"{b} * 1")
            self.add(f"for _ in range(int({a}.abs().sum().tanh().item() * 3.7)):")
            self.add(f"    {name} = {self.one(f'{name} * 0.7', f'torch.sin({name}) + {b}')}")
            return
        yes, no = self.random.sample(
            [f"{b} * 0.5", f"torch.tanh({b})", f"{b} + {self.scalar()}", f"{b}.clone()", f"-{b}"], 2
        )
        name = f"v{self.count + 1}"
        self.count += 1
        self.add(f"if {test}: {name} = {yes}")
        self.add(f"else: {name} = {no}")
        self.shapes[name] = shape
        self.learned.add(name)

    def sliding(self) -> None:
        """Parts of data, others in each step."""
        n, k = self.random.choice([2, 3]), self.random.randrange(1, 4)
        row, piece = self.shapes["row"], (self.shapes["row"])
        forms: list[tuple[Shape, str]] = [
            (row, "table[step]"),
            (row, f"table[step % {k + 2}]"),
            (row, "table[-step - 1]"),
            (row, "table[order[step]]"),
            (row, f"table.select(0, step + {k})"),
            ((n, *piece), f"table[step : step + {n}]"),
            ((n, *piece), f"table.narrow(0, step, {n})"),
            ((n, *piece), f"table[step * {n} % 16 :][:{n}]"),
            ((2, *piece), "table[torch.tensor([step, 3])]"),
            ((2, *piece), "table[order[step : step + 2]]"),
            ((n, *piece), f"table.split({n})[step % 6]"),
            ((n, *piece), f"table[step : step + {2 * n} : 2]"),
        ]
        name = self.bind(*self.random.choice(forms))
        if self.maybe(0.25):
            shape = self.shapes[name]
            self.add(
                self.one(
                    "table[step].mul_(0.5)",
                    f"table[step] = {self.scalar()}",
                    f"{name}.mul_(0.9)",
                    f"{name} += {self.like(shape)}.detach()",
                    f"table[(step + 1) % 30] = {self.like(row) or 'row'}.detach()",
                )
            )

    def halves(self) -> None:
        """Pieces in another precision; only what rounds alike whoever computes it."""
        a = self.pick()
        shape = self.shapes[a]
        kind = self.one("float16", "bfloat16", "float")
        h = f"h{self.count}"
        self.add(f"{h} = {a}.{self.one(f'to(torch.{kind})', f'type(torch.{kind})')}")
        for _ in range(self.random.randrange(0, 4)):
            b = self.pick(lambda other: other == shape)
            form = self.one(
                f"{h} * 2",
                f"{h} * 0.3",
                f"{h}.abs()",
                f"-{h}",
                f"{h} * {h}",
                f"{h} + 0.5",
                f"{h}.relu()",
                f"torch.maximum({h}, {b}.to({h}.dtype))",
                f"{h} - {b}.to({h}.dtype)",
                f"torch.where({h} > 0.137, {h}, {h} * 0.5)",
                f"{h}.clone().mul_(0.5)",
                f"{h} / 3",
            )
            self.add(f"{h} = {form}")
        if self.maybe(0.3):
            self.add(f"out({h}.dtype.itemsize, {h}.detach().double())")
        self.bind(shape, self.one(f"{h}.to(torch.{self.dtype})", f"{h}.to({a}.dtype)"))
        self.learned.add(list(self.shapes)[-1])

    def integers(self) -> None:
        """Indices and labels."""
        a = self.pick(lambda shape: len(shape) > 0)
        if a is None:
            return
        shape = self.shapes[a]
        n = shape[0]
        index = self.one(
            f"(torch.arange({n}) + step) % {n}",
            f"torch.randperm({n})",
            f"torch.randint({n}, ({n},))",
            f"{a}.detach().reshape({n}, -1)[:, 0].argsort()",
            f"torch.tensor([(k * step) % {n} for k in range({n})])",
        )
        b = self.pick(lambda other: other == shape)
        tail = (1,) * (len(shape) - 1)
        wide = f"index.view({(-1, *tail)}).expand({shape})"
        forms: list[tuple[Shape, str]] = [
            (shape, f"{a}[index]"),
            (shape, f"{a}.gather(0, {wide})"),
            (shape, f"{a}.scatter(0, {wide}, {b})"),
            (shape, f"{a}.scatter_add(0, {wide}, {b})"),
            (shape, f"{a}.index_add(0, index, {b}, alpha=0.5)"),
            (shape, f"{a}.index_copy(0, torch.arange({n}), {b})"),
            (shape, f"{a} * index.view({(-1, *tail)})"),
            (shape, f"{a} + (index.view({(-1, *tail)}) * step // 3)"),
            ((n, n), f"F.one_hot(index, {n}).to(torch.{self.dtype}) * {a}.sum()"),
            ((), f"{a}.sum() * (index.sum() - index.max())"),
        ]
        if len(shape) == 2:
            labels = f"index % {shape[1]}"
            forms += [
                ((), f"F.cross_entropy({a}, {labels})"),
                ((n,), f"F.nll_loss(F.log_softmax({a}, 1), {labels}, reduction='none')"),
                ((n,), f"{a}[torch.arange({n}), {labels}]"),
                ((n, shape[1]), f"F.embedding(index, {a})"),
            ]
        self.add(f"index = {index}")
        self.bind(*self.random.choice(forms))
        if self.maybe(0.15):
            self.add("out(index, (index == 0).sum().item())")

    def masked(self) -> None:
        """Masks of truth values."""
        a = self.pick()
        shape, c = self.shapes[a], self.random.choice([0.137, -0.211, 0.613])
        same = [m for m, s in self.masks.items() if s == shape]
        test = self.one(f"{a} > {c}", f"({a}.detach() * 3).sin() < {c}", f"{a}.abs() >= {abs(c)}")
        if same:
            m = self.random.choice(same)
            test = self.one(f"({test}) & {m}", f"~{m}", f"{m} | ({test})", f"{m} ^ ({test})")
        name = f"mask{len(self.masks)}"
        self.add(f"{name} = {test}")
        if self.depth == 3:
            self.masks[name] = shape
        b = self.pick(lambda other: other == shape)
        self.bind(
            *self.random.choice(
                [
                    (shape, f"torch.where({name}, {a}, {b})"),
                    (shape, f"{a} * {name}"),
                    (shape, f"{a}.masked_fill({name}, {c})"),
                    ((), f"{a}[{name}].sum()"),
                    ((), f"torch.masked_select({b}, {name}).tanh().sum()"),
                    ((), f"{b}.sum() * {name}.sum()"),
                    (shape, f"{name}.to({a}.dtype) - {b}"),
                    (shape, f"torch.where({name}.any(), {a}, {b})"),
                ]
            )
        )
        if self.maybe(0.15):
            self.add(f"out({name}, bool({name}.all()))")

    def custom(self) -> None:
        """Functions whose gradients the user has written."""
        a = self.pick()
        shape, c = self.shapes[a], self.scalar()
        b = self.pick(lambda other: other == shape)
        forms = [f"Cube.apply({a})", f"Times.apply({a}, {c})", f"Halved.apply({a} * 1)"]
        forms += [f"Both.apply({a}, {b})[{self.random.randrange(2)}]", f"Halved.apply({a}.clone())"]
        forms += [f"sum(Both.apply({a}, {b}))"]
        if self.exact:
            forms.append(f"Through.apply({a})")
        self.bind(shape, self.random.choice(forms))

    def hooked(self) -> None:
        """Hooks on what is computed."""
        a = self.pick()
        form = self.one(
            f"{a}.register_hook(lambda g: g * 0.5)",
            f"{a}.register_hook(lambda g: seen.append(g.sum().item()))",
            f"{a}.register_hook(lambda g: g.clamp(-0.1, 0.1))",
            f"{a}.register_hook(lambda g: g + {self.scalar()})",
            f"{a}.retain_grad()",
        )
        if a not in self.fixed:
            self.add(f"if {a}.requires_grad: {form}")
            if "retain" in form:
                self.late.append(f"out({a}.grad)")

    def slopes(self) -> None:
        """Gradients asked for in the middle of a step."""
        a = self.pick(lambda shape: True)
        p = self.parameter()
        if self.maybe(0.15):
            form = (
                f"torch.func.grad(lambda t: (torch.tanh(t) * {self.scalar()}).sum())({a}.detach())"
            )
            self.bind(self.shapes[a], form)
            return
        name = self.bind(self.shapes[p], f"slope({a}, {p}, {self.one('True', 'True', 'False')})")
        self.learned.add(name)

    def checkpointed(self) -> None:
        """A part that is computed again for the backward pass."""
        a = self.pick()
        shape = self.shapes[a]
        b = self.like(shape)
        inner = self.one(
            "torch.tanh(t) * u",
            "torch.sin(t * 2) + t",
            "F.dropout(t, 0.3) * 2",
            "(t + u).exp().log1p()",
            "t.clone().mul_(0.5).sigmoid()",
        )
        how = self.one("use_reentrant=False", "use_reentrant=False", "use_reentrant=True")
        inner = f"lambda t, u={b}: {inner}"
        name = self.bind(shape, f"torch.utils.checkpoint.checkpoint({inner}, {a}, {how})")
        self.learned.add(name)

    def numpy(self) -> None:
        """Memory that NumPy sees."""
        a = self.free()
        if a is None:
            return
        self.add(
            self.one(
                "array *= 0.9",
                "array[0] = 0.1 * step",
                "out(float(array.sum()))",
                "out(float(view.sum()))",
                "view += 0.01",
                "n0.mul_(0.9)",
                "n0.add_(0.1); out(array.tolist())",
                f"view = {a}.detach().numpy()",
                f"view = {self.parameter()}.detach().numpy()",
                f"view = {a}.detach().numpy(); view *= 0.5",
                f"if {self.every()}: view[...] = 0.3",
                f"view = {a}.numpy(force=True)",
                "row0 = torch.from_numpy(view.copy()); kept.append(row0)",
                f"out(np.asarray({a}.detach()).mean() > 0.137)",
            )
        )

    def collected(self) -> None:
        """Values gathered over steps."""
        a = self.pick()
        self.add(
            self.one(
                f"total = total + {a}.detach().mean()",
                f"total += {a}.sum().item()",
                f"history.append({a}.mean())",
                f"history.append({a}.detach().mean())",
                "if len(history) > 4: out(torch.stack(history).mean()); history.clear()",
                "if len(history) > 3: out(sum(history).item()); history = history[1:]",
                f"out(total if step % 3 else {a}.shape)",
                f"kept.append({a}.detach().mean())",
                f"trail[step] = {a}.detach().mean()",
                f"trail[step % 4] += {a}.mean().item()",
                "out(trail.sum().item())",
            )
        )

    def contexts(self) -> None:
        """Computations in other modes."""
        a = self.pick()
        shape = self.shapes[a]
        mode = self.one(
            "torch.set_grad_enabled(step % 2 == 0)",
            "torch.enable_grad()",
            "torch.no_grad()",
            "torch.inference_mode()",
            "torch.autograd.graph.save_on_cpu()",
            "torch.autograd.graph.saved_tensors_hooks(lambda t: t * 1, lambda t: t)",
            "torch.random.fork_rng()",
        )
        self.add(f"with {mode}:")
        self.depth += 1
        for _ in range(self.random.randrange(1, 3)):
            self.random.choice([self.unary, self.binary, self.with_number, self.chance])()
        name = list(self.shapes)[-1]
        self.depth -= 1
        if "inference" in mode and name not in self.fixed and self.maybe(0.8):
            self.add(f"{name} = {name}.clone()")
        elif self.maybe(0.3):
            self.bind(shape, f"{a} + {self.like(shape)}.detach()")

    def varied(self) -> None:
        """Data of another size in each step."""
        b = self.pick()
        shape = self.shapes[b]
        k = self.random.choice([2, 3, 4])
        size = self.one(f"2 + step % {k}", f"4 if step % {k} else 2", f"5 if step < {k + 4} else 3")
        made = f"torch.randn(({size}, *{shape}), dtype=torch.{self.dtype})"
        forms: list[tuple[Shape, str]] = [
            (shape, f"{made}.mul({b}).mean(0)"),
            (shape, f"torch.tanh({made} + {b}).sum(0)"),
            (shape, f"({made} * {b}).cumsum(0)[-1]"),
            (shape, f"({made} * {b})[1]"),
            ((), f"F.mse_loss({made}, {b}.expand({size}, *{shape}))"),
            ((), f"sum([t.sum() for t in ({made} * {b}).unbind(0)])"),
        ]
        if len(shape) == 2:
            row = f"torch.randn(({size}, {shape[1]}), dtype=torch.{self.dtype})"
            forms += [
                ((shape[0],), f"F.linear({row}, {b}).sum(0)"),
                ((shape[0],), f"torch.softmax({row} @ {b}.t(), 1).max(0)[0]"),
            ]
        self.bind(*self.random.choice(forms))
        self.learned.add(list(self.shapes)[-1])

    def counted(self) -> None:
        """Python numbers that are others in each step, ints most of all."""
        a = self.pick()
        shape, kind = self.shapes[a], f"dtype=torch.{self.dtype}"
        n = self.one(
            "step", "(step + 1)", "(step % 5)", "(7 - step)", "(step // 3)", "(step * 0.5)"
        )
        forms = [
            f"{a} * {n}",
            f"{n} - {a}",
            f"{a} / ({n} * 2 + 1)",
            f"torch.tanh({a} * 0.3) ** (step % 3 + 1)",
            f"{a} + torch.full({shape}, {n}, {kind})",
            f"{a} * torch.full((), 1.0 / (step + 1), {kind})",
            f"{a} * torch.zeros({shape}, {kind}).fill_({n})",
            f"torch.clamp({a}, max={n} % 4)",
            f"{a}.clone().mul_({n}).add_({n}, alpha=2)",
            f"torch.where({a} > 0.137, {a}, {n})",
            f"{a} * (torch.arange(4) * {n}).sum()",
            f"{a} * torch.full((2,), step).prod()",
            f"torch.lerp({a}, {a} * 2, 1 / (step + 2))",
            f"torch.add({a}, {a}, alpha={n})",
            f"{a}.masked_fill({a} > 0.137, {n})",
            f"{a} * (torch.ones(3) * {n}).long().sum()",
            f"({a} * 10).detach().remainder({n} + 8) * {a}",
        ]
        self.bind(shape, self.random.choice(forms))
        self.learned.add(list(self.shapes)[-1])

    def reseeded(self) -> None:
        """Random draws from a known state."""
        a = self.pick()
        shape, kind = self.shapes[a], f"dtype=torch.{self.dtype}"
        self.add(
            self.one(
                "torch.manual_seed(step)",
                "state = torch.get_rng_state()",
                "torch.set_rng_state(state)",
                f"if {self.every()}: torch.manual_seed(3)",
                "source.manual_seed(step)",
                "drawn = torch.Generator().manual_seed(7 + step)",
                "out(torch.rand(2), random.random() >= 0)",
            )
        )
        forms = [
            f"{a} + torch.randn({shape}, generator=source, {kind})",
            f"{a} * torch.rand({shape}, generator=drawn, {kind})",
            f"{a} * torch.bernoulli(torch.full({shape}, 0.5, {kind}))",
            f"{a} + torch.empty({shape}, {kind}).uniform_(-1, 1)",
            f"{a} + torch.normal(0.0, 0.1, {shape}, {kind})",
            f"F.dropout({a}, 0.5, training={self.every()})",
            f"{a} + torch.randint(3, {shape})",
        ]
        self.bind(shape, self.random.choice(forms))

    def vectors(self) -> None:
        """Parameters gathered, exchanged and copied."""
        p, k = self.parameter(), self.random.randrange(4, 12)
        everything = f"[{', '.join(self.parameters)}]"
        n = sum(numel(self.shapes[q]) for q in self.parameters)
        form = self.one("bind", "bind", "line")
        if form == "bind":
            forms: list[tuple[Shape, str]] = [
                ((n,), f"torch.nn.utils.parameters_to_vector({everything})"),
                ((n,), f"torch.cat([q.flatten() for q in {everything}])"),
                ((), f"sum((q ** 2).sum() for q in {everything}) * 0.01"),
                (self.shapes[p], f"copy_of[{p!r}] * 0.5"),
                (self.shapes[p], f"torch.func.functional_call(scaled, {{'w': {p}}}, (2.0,))"),
            ]
            self.bind(*self.random.choice(forms))
            self.learned.add(list(self.shapes)[-1])
            return
        self.add(
            self.one(
                f"copy_of[{p!r}] = {p}.detach().clone()",
                f"copy_of[{p!r}] = {p} * 1",
                f"if step == {k}: torch.nn.utils.vector_to_parameters(torch.ones({n},"
                f" dtype=torch.{self.dtype}), {everything})",
                f"if {self.every()}: copy_of = {{k: v.detach() * 0.9 for k, v in copy_of.items()}}",
                f"out(sum(q.numel() for q in {everything}), {p}.grad is None)",
                f"if step == {k}: kept.append([q.detach().clone() for q in {everything}])",
            )
        )
