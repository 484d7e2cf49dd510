"""Random programs of views and in-place writes, run by rushlight, real torch and a NumPy model.

A program is a list of steps, each (name, which variable, numbers).  ``run`` executes it with a
torch-like module and returns what it printed: values, versions, strides, who shares memory,
gradients, and errors by type and first line.  ``run_numpy`` executes its writes and views alone.
"""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
from hypothesis import strategies as st

VIEWS = (
    "select slice transpose t unsqueeze squeeze flat diagonal narrow split unbind chunk expand "
    "movedim view_as_pair detach alias"
).split()
WRITES = "mul_ add_ fill_ zero_ neg_ sin_ copy_from mul_var setitem setmask addcmul_".split()
OTHERS = "mul exp clone double_use".split()

step = st.tuples(
    st.sampled_from(VIEWS * 2 + WRITES * 2 + OTHERS),
    st.integers(0, 9),
    st.integers(0, 7),
    st.integers(0, 7),
    st.sampled_from(["", "", "", "", "no_grad"]),
)
programs = st.tuples(
    st.sampled_from([(4,), (2, 3), (3, 2), (2, 2, 2), (1, 4), ()]),
    st.sampled_from(["plain", "leaf", "computed"]),
    st.lists(step, min_size=1, max_size=9),
)


def view(v, name, i, j):
    """A view of v; raises what the library raises."""
    n = v.dim()
    d = i % n if n else 0
    if name == "select":
        return v.select(d, j % v.shape[d] if n and v.shape[d] else 0)
    if name == "slice":
        return v[j % 3 :: 1 + i % 2]
    if name == "transpose":
        return v.transpose(d, j % n if n else 0)
    if name == "t":
        return v.t()
    if name == "unsqueeze":
        return v.unsqueeze(i % (n + 1))
    if name == "squeeze":
        return v.squeeze()
    if name == "flat":
        return v.view(-1)
    if name == "diagonal":
        return v.diagonal(j % 3 - 1)
    if name == "narrow":
        return v.narrow(d, 0, min(1 + j % 2, v.shape[d] if n else 1))
    if name == "split":
        return v.split(1 + i % 2, d)[0]
    if name == "unbind":
        return v.unbind(d)[0]
    if name == "chunk":
        return v.chunk(2, d)[-1]
    if name == "expand":
        return v.unsqueeze(0).expand(2, *v.shape)
    if name == "movedim":
        return v.movedim(d, -1)
    if name == "view_as_pair":
        return v.view(2, -1)
    if name == "detach":
        return v.detach()
    return v[...]


def write(v, name, i, j, other):
    """An in-place write to v."""
    c = 0.5123 + i / 4
    if name == "mul_":
        v.mul_(c)
    elif name == "add_":
        v.add_(c)
    elif name == "fill_":
        v.fill_(c)
    elif name == "zero_":
        v.zero_()
    elif name == "neg_":
        v.neg_()
    elif name == "sin_":
        v.sin_()
    elif name == "copy_from":
        v.copy_(other.clone())
    elif name == "mul_var":
        plain = v.is_contiguous() and other.is_contiguous()
        v.mul_(other if other is v or plain else other.clone())
    elif name == "setitem":
        v[j % 2] = c
    elif name == "setmask":
        v[v > 0.3] = c
    elif name == "addcmul_":
        v.addcmul_(other.clone(), other.clone(), value=c)
    return v


def show(t, full=False):
    """Everything that a program can see of a tensor, its text too where asked."""
    try:
        return (*look_at(t), repr(t)) if full else look_at(t)
    except RuntimeError as error:
        return ("RuntimeError", str(error).split("\n")[0][:90])


def look_at(t):
    return (
        [round(x, 3) for x in t.detach().reshape(-1).tolist()],
        tuple(t.shape),
        tuple(t.stride()),
        t.storage_offset(),
        t._version,
        t.requires_grad,
        t.is_leaf,
        t._is_view(),
        t.grad_fn is not None,
    )


def start(torch, shape, kind):
    count = int(np.prod(shape))
    x = torch.tensor([0.1137 * (k + 1) for k in range(count)]).reshape(shape)
    if kind == "plain":
        return x, x.clone()
    x = x.clone().requires_grad_()
    return x, (x if kind == "leaf" else x * 1.5)


def run(torch, program, full=False):
    """What the program prints with this library; warnings are not looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return printed(torch, program, full)


def printed(torch, program, full):
    shape, kind, steps = program
    log = []
    x, first = start(torch, shape, kind)
    variables = [first]

    def attempt(what):
        try:
            return what()
        except Exception as error:
            text = str(error).split("\n")[0]
            if isinstance(error, TypeError):
                text = ""
            log.append((type(error).__name__, text[:90]))
            return None

    for name, a, i, j, mode in steps:
        v, other = variables[a % len(variables)], variables[j % len(variables)]
        with torch.no_grad() if mode else contextlib.nullcontext():
            if name in VIEWS:
                made = attempt(lambda v=v, n=name, i=i, j=j: view(v, n, i, j))
            elif name in WRITES:
                attempt(lambda v=v, n=name, i=i, j=j, w=other: write(v, n, i, j, w))
                made = None
            else:
                made = attempt(
                    lambda v=v, n=name, w=other: {
                        "mul": lambda: v * w,
                        "exp": lambda: v.sin(),
                        "clone": lambda: v.clone(),
                        "double_use": lambda: v * v,
                    }[n]()
                )
        if made is not None:
            variables.append(made)
            log.append(made.data_ptr() == variables[0].data_ptr())
        shown = [show(t, full) for t in variables]
        log.append(shown)
        variables = [t for t, s in zip(variables, shown, strict=True) if s[0] != "RuntimeError"]
    live = [t for t in variables if t.requires_grad]
    if live:
        attempt(lambda: sum((t * (k + 1)).sum() for k, t in enumerate(live)).backward())
        if x.grad is not None:
            log.append([round(g, 3) for g in x.grad.reshape(-1).tolist()])
    return log


def numpy_view(v, name, i, j):
    """The same view of a NumPy array, or None where there is none."""
    n = v.ndim
    d = i % n if n else 0
    if name == "detach" or name == "alias":
        return v.view()
    if name == "unsqueeze":
        return np.expand_dims(v, i % (n + 1))
    if name == "expand":
        return np.broadcast_to(v, (2, *v.shape))
    if name == "squeeze":
        return v.squeeze()
    if name == "flat" or name == "view_as_pair":
        made = v.reshape(-1 if name == "flat" else (2, -1))
        return made if np.shares_memory(made, v) or v.size == 0 else None
    if n == 0:
        return v.view() if name in ("t", "transpose", "movedim") else None
    cut = [slice(None)] * n
    if name in ("select", "unbind"):
        cut[d] = j % v.shape[d] if name == "select" else 0
        return v[(*cut, ...)]
    if name == "slice":
        return v[j % 3 :: 1 + i % 2]
    if name == "transpose":
        return v.swapaxes(d, j % n)
    if name == "t":
        return v.T if n <= 2 else None
    if name == "diagonal":
        return None if n < 2 else np.moveaxis(_diagonal(v, j % 3 - 1), -1, -1)
    if name == "movedim":
        return np.moveaxis(v, d, -1)
    size = v.shape[d]
    if name == "narrow":
        cut[d] = slice(0, min(1 + j % 2, size))
    elif name == "split":
        cut[d] = slice(0, 1 + i % 2)
    elif name == "chunk":
        piece = -(-size // 2)
        cut[d] = slice((-(-size // piece) - 1) * piece, size)
    return v[tuple(cut)]


def _diagonal(v, offset):
    found = np.diagonal(v, offset)
    found.flags.writeable = True
    return found


def numpy_write(v, name, i, j):
    """The same write to a NumPy array."""
    c = np.float32(0.5123 + i / 4)
    if name == "mul_":
        v *= c
    elif name == "add_":
        v += c
    elif name == "fill_":
        v[...] = c
    elif name == "zero_":
        v[...] = 0
    elif name == "neg_":
        np.negative(v, out=v)
    elif name == "sin_":
        np.sin(v, out=v)
    elif name == "setitem":
        v[j % 2] = c
    elif name == "setmask":
        v[v > 0.3] = c


def forward_only(program):
    """The steps of a program that a NumPy array can do as well."""
    shape, _, steps = program
    known = (*VIEWS, "mul_", "add_", "fill_", "zero_", "neg_", "sin_", "setitem", "setmask")
    return shape, [s for s in steps if s[0] in known and s[0] != "expand"]


def run_both(torch, program):
    """Values and memory offsets of all views after each step, by the library and by NumPy."""
    shape, steps = forward_only(program)
    x = start(torch, shape, "plain")[1]
    a = np.array(x.tolist(), np.float32).reshape(shape)
    ours, model = [x], [a]
    for name, which, i, j, _ in steps:
        v, m = ours[which % len(ours)], model[which % len(ours)]
        if name in VIEWS:
            try:
                made = view(v, name, i, j)
            except (RuntimeError, IndexError):
                continue
            seen = numpy_view(m, name, i, j)
            assert seen is not None, (name, tuple(v.shape))
            ours.append(made)
            model.append(seen)
        else:
            try:
                write(v, name, i, j, v)
            except (RuntimeError, IndexError):
                continue
            numpy_write(m if m.ndim or name != "setmask" else m.reshape(1), name, i, j)
        yield ours, model
