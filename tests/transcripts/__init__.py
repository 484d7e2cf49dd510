"""Transcripts: what Python sessions with `torch` print, as recorded from real PyTorch.

A transcript is a text file of blocks, separated by empty lines; each block is a session of its own
that starts with `torch` and `np` imported.  What stands below a prompt is what PyTorch shows: the
value's repr, `Type: first line` of an exception, `Type! first words` of a warning; addresses are
left out.  The tests run every block on rushlight, and on real torch where it is installed, so that
a transcript cannot drift from PyTorch.

    python -m tests.transcripts --record tests/transcripts/autograd.txt   # needs torch
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
Step = tuple[str, str]  # source, what it shows
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_INTERNAL = re.compile(r" \(Triggered internally at .*", re.S)


def blocks(name: str) -> list[tuple[str, list[Step]]]:
    """The (title, steps) of each block; the title is a leading `#` line or the first statement."""
    found = []
    for text in re.split(r"\n\s*\n", (FOLDER / f"{name}.txt").read_text(encoding="utf-8")):
        title, steps = parse(text)
        if steps:
            found.append((title or steps[0][0].splitlines()[0], steps))
    return found


def parse(text: str) -> tuple[str, list[Step]]:
    title = ""
    steps: list[tuple[list[str], list[str]]] = []
    for line in text.strip("\n").splitlines():
        if line.startswith("#"):
            title = title or line.lstrip("# ")
        elif line.startswith(">>> "):
            steps.append(([line[4:]], []))
        elif line.startswith("...") and steps and not steps[-1][1]:
            steps[-1][0].append(line[4:])
        elif steps:
            steps[-1][1].append(line)
    return title, [("\n".join(source), "\n".join(shown)) for source, shown in steps]


def graph(t: Any, depth: int = 6) -> Any:
    """The names of a tensor's graph: (node, *inputs); the repr of leaves and of nothing."""

    def walk(node: Any, left: int) -> Any:
        if node is None:
            return None
        name = node.name().replace("torch::autograd::", "")
        below = [walk(n, left - 1) for n, _ in node.next_functions] if left else []
        return (name, *below) if below else name

    return walk(t.grad_fn, depth)


def namespace(torch: Any) -> dict[str, Any]:
    import gc
    import threading

    import numpy as np

    return {
        "torch": torch,
        "np": np,
        "graph": graph,
        "gc": gc,
        "threading": threading,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "__name__": "__main__",
    }


def run(source: str, scope: dict[str, Any]) -> str:
    """Runs one step and returns what it shows."""
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(printed):
            try:
                tree = ast.parse(source)
                last = tree.body[-1]
                value = None
                if isinstance(last, ast.Expr):
                    exec(compile(ast.Module(tree.body[:-1], []), "<step>", "exec"), scope)
                    value = eval(compile(ast.Expression(last.value), "<step>", "eval"), scope)
                else:
                    exec(compile(tree, "<step>", "exec"), scope)
                if value is not None:
                    print(repr(value))
            except Exception as error:
                text = str(error)
                print(f"{type(error).__name__}: {text.splitlines()[0] if text else ''}".rstrip())
    lines = [
        f"{w.category.__name__}! {_INTERNAL.sub('', str(w.message)).splitlines()[0][:70]}".rstrip()
        for w in caught
        if issubclass(w.category, UserWarning)
    ]
    shown = "\n".join(x.rstrip() for x in printed.getvalue().splitlines() if x.strip())
    return _ADDRESS.sub("0x", "\n".join([*lines, shown]).strip())


def check(steps: list[Step], torch: Any) -> None:
    """Runs a block's steps and compares what each shows."""
    scope = namespace(torch)
    wrong = []
    for source, expected in steps:
        got = run(source, scope)
        if got != expected:
            wrong.append(f">>> {source}\nexpected: {expected}\n     got: {got}")
    assert not wrong, "\n".join(["", *wrong])


def record(path: Path, torch: Any) -> None:
    """Writes what this `torch` shows below each prompt."""
    parts = []
    for text in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        _, steps = parse(text)
        scope = namespace(torch)
        lines = [line for line in text.strip("\n").splitlines() if line.startswith("#")]
        for source, _ in steps:
            first, *more = source.splitlines()
            lines.append(f">>> {first}")
            lines.extend(f"... {line}".rstrip() for line in more)
            shown = run(source, scope)
            if shown:
                lines.extend(shown.splitlines())
        if lines:
            parts.append("\n".join(lines))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
