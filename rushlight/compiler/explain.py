"""What a program does, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rushlight.codegen.driver import BARRIER, STOP
from rushlight.compiler.loops import Instruction, Kernel
from rushlight.compiler.steps import CallStep, LoopStep, Step

__all__ = ["describe", "loops_text", "name_of"]


def name_of(step: Step) -> str:
    """One line about a step."""
    if isinstance(step, LoopStep):
        k = step.kernel
        names = [i.name for s in k.stages for i in s.body]
        reduces = [f"reduce.{r.name}" for s in k.stages for r in s.reduces]
        work = [n for n in names if n not in ("load", "const", "number", "reduced", "axis")]
        shown = list(dict.fromkeys(work + reduces)) or ["copy"]
        return f"loops {list(k.outer)}x{list(k.inner)} {' '.join(shown)}"
    if isinstance(step, CallStep):
        return step.name
    call = step.call
    return f"python {call.attrs[0].name if call.kind in ('opaque', 'kernel') else call.kind}"


def describe(steps: Sequence[Step], flags: Sequence[int], nbytes: int) -> str:
    """A program's steps with their loops."""
    lines = [f"{len(steps)} steps, {nbytes} bytes of temporaries"]
    launch = 0
    for i, step in enumerate(steps):
        count = 1 if isinstance(step, LoopStep) else 0
        count = len(step.bounds) if isinstance(step, CallStep) else count
        own = flags[launch] if count else 0
        launch += count
        marks = (" (barrier)" if own & BARRIER else "") + (" (after checks)" if own & STOP else "")
        lines.append(f"{i}: {name_of(step)}{marks}")
        if isinstance(step, LoopStep):
            lines.append(loops_text(step.kernel, [repr(p.memory) for p in step.places]))
    return "\n".join(lines)


def loops_text(kernel: Kernel, names: Sequence[str]) -> str:
    """A kernel's stages, one instruction a line."""
    lines = []
    for stage in kernel.stages:
        axes = list(kernel.outer) + (list(kernel.inner) if stage.inner else [])
        lines.append(f"    for {axes}:")
        lines += [f"        %{i} = {_instruction(x, names)}" for i, x in enumerate(stage.body)]
        lines += [f"        reduce {r.name} %{r.value}: {r.dtype}" for r in stage.reduces]
        lines += [
            f"        store %{s.value} -> {names[s.buffer]}{list(s.strides)}" for s in stage.stores
        ]
    return "\n".join(lines)


def _instruction(x: Instruction, names: Sequence[str]) -> str:
    args = ", ".join([f"%{a}" for a in x.args])
    if x.name in ("load", "gather"):
        inside = f"{names[x.attrs[0]]}{list(x.attrs[2])}"
        return f"{x.name} {inside}{' at ' + args if args else ''}: {x.dtype}"
    attrs = " ".join([str(a) for a in x.attrs])
    return f"{x.name} {args}{attrs}: {x.dtype}"
