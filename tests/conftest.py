"""What every test shares: a plotting back end without windows, checks of the compiler, torchvision.

Where real torch and only the Python part of torchvision are installed (`make oracle`), importing
torchvision needs two of its operators to be declared first; that is done here, once a process.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("RUSHLIGHT_VERIFY", "1")  # graphs and memory plans are checked


def declare_torchvision_operators() -> None:
    """Declares torchvision's `nms` and `qnms`, unless its compiled part or somebody else does."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or importlib.util.find_spec("torch") is None:
        return
    opening = Path(spec.origin).read_text(encoding="utf-8")[:1000]
    if 'Library("torchvision"' in opening:
        return
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_torchvision_library"] = library  # the declarations live as long as this object


declare_torchvision_operators()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests wish to be read at the end of a run."""
    for line in getattr(sys.modules.get("tier1"), "notes", ()):
        terminalreporter.write_line(line)
