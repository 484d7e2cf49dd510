"""Files: torch.save and torch.load, safetensors, and reading pickles without executing them.

In: objects, paths, files. Out: files that PyTorch reads, and objects from files that it wrote.
"""

from __future__ import annotations

from .layouts import get_layout as _get_layout
from .locations import default_restore_location, location_tag, register_package
from .reader import load
from .safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .writer import save

__all__ = [
    "_get_layout",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
]
