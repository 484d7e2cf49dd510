"""``RUSHLIGHT_LOG=trace,compile``: what recording, replaying and compiling do, line by line."""

from __future__ import annotations

import os
import sys

__all__ = ["log"]

_topics = frozenset(os.environ.get("RUSHLIGHT_LOG", "").replace(" ", "").split(",")) - {""}


def log(topic: str, text: str) -> None:
    """Prints a line if its topic is asked for."""
    if topic in _topics:
        print(f"[rushlight {topic}] {text}", file=sys.stderr)
