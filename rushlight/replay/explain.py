"""What was compiled, as text: stretches, their programs, and what was not compiled and why."""

from __future__ import annotations

from rushlight.replay.replaying import replay
from rushlight.replay.tree import Path

__all__ = ["explain"]


def explain() -> str:
    """The stretches that were compiled, with their events, programs, steps and measured times.

    Times are of each step run alone on one thread, in microseconds.
    """
    said = replay.statistics
    lines = [
        f"{said.compiled} stretches compiled, {said.launched} programs launched in place of "
        f"{said.matched} calls; {said.recorded} calls ran eagerly"
    ]
    for title, counter in (("bailed out", said.bailed), ("not compiled", said.refused)):
        lines += [f"  {title} {times} times: {why}" for why, times in counter.most_common()]
    for number, path in enumerate(said.paths):
        lines += _stretch(number, path)
    return "\n".join(lines)


def _stretch(number: int, path: Path) -> list[str]:
    """One stretch: its events, and after those that launch, the program."""
    lines = [f"stretch {number}"]
    for i, point in enumerate(path.points):
        lines.append(f"  {point.event}")
        phase = path.phases.get(i)
        describe = getattr(phase.program, "explain", None) if phase is not None else None
        if describe is not None and phase is not None:
            lines.append(f"  program, run {point.times} times")
            lines += [f"    {line}" for line in describe().splitlines()]
            times = phase.program.describe_times()
            lines += [f"    {step}: {microseconds:.1f} us" for step, microseconds in times]
    return lines
