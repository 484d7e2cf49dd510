"""The finder that answers imports of torch and torchvision with rushlight's modules.

In: an import of ``torch.X``. Out: the very module object ``rushlight.X``, also under the other name
in ``sys.modules``; its own ``__name__`` and ``__spec__`` stay. Source: the import system's
documentation (finders, loaders, specs).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from rushlight.alias import manifest
from rushlight.missing import missing_attribute, missing_import

__all__ = ["TREE", "install"]

# The folder that holds the packages named torch and torchvision, for PYTHONPATH.
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class TorchModule(ModuleType):
    """A module of rushlight whose missing names are reported under PyTorch's module names."""

    def __getattr__(self, name: str) -> Any:
        lazy = self.__dict__.get("__getattr__")
        if lazy is not None:  # it has just failed; an error of another kind must be seen
            try:
                return lazy(name)
            except AttributeError as error:
                if f"'{name}'" not in str(error):
                    raise
        if not name.startswith("__") and _importing(sys._getframe(1)):
            raise missing_import(self, name)
        raise missing_attribute(self, name) from None


def _importing(frame: Any) -> bool:
    """Whether a frame is carrying out ``from module import name``."""
    from opcode import opmap

    code: CodeType = frame.f_code
    inside: bool = 0 <= frame.f_lasti < len(code.co_code)
    return inside and code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def _rename(module: ModuleType) -> None:
    if type(module) is ModuleType:
        module.__class__ = TorchModule


class _OwnLoader(SourceFileLoader):
    """Loads a module of rushlight as ever, and has its missing names reported as torch's."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _rename(module)


class _AliasLoader(importlib.abc.Loader):
    """Gives the module that stands for another name; it is loaded already."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._own = module.__spec__  # the import system is about to overwrite it
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


class _AliasFinder(importlib.abc.MetaPathFinder):
    """Answers for torch and torchvision, and watches rushlight's own modules being loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = name.partition(".")[0]
        if root == "rushlight":
            return self._own(name, path)
        if root not in manifest.ROOTS:
            return None
        mine = manifest.target(name)
        own = _spec_of(mine) if mine is not None else None
        if mine is None or own is None:
            if path is None or PathFinder.find_spec(name, path) is None:
                return None  # Python says that there is no such module
            # The parent's folder has a file of that name which PyTorch's names do not show.
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        spec = ModuleSpec(name, _AliasLoader(mine), origin=own.origin)
        spec.submodule_search_locations = own.submodule_search_locations
        return spec

    def _own(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path)
        if spec is None or type(spec.loader) is not SourceFileLoader or not spec.origin:
            return spec
        loader = _OwnLoader(name, spec.origin)
        locations = spec.submodule_search_locations
        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=loader, submodule_search_locations=locations
        )


def _spec_of(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a parent is missing
        return None


def install() -> None:
    """Makes torch and torchvision mean rushlight in this process; a second call does nothing."""
    if any(isinstance(finder, _AliasFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _AliasFinder())
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "rushlight":
            _rename(module)


def expose() -> None:
    """Shows the torch name to processes that this one starts: PYTHONPATH begins with the tree.

    Their ``sys.path`` gets the tree behind the script's own folder; the package's parent folder
    comes last where nothing else makes rushlight importable.
    """
    for entry in [p for p in sys.path if p == TREE]:
        sys.path.remove(entry)
    sys.path.insert(1 if sys.path else 0, TREE)
    parent = os.path.dirname(_PACKAGE)
    if parent not in (os.path.abspath(p) for p in sys.path):
        sys.path.append(parent)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [p for p in inherited if p and p != TREE]
    os.environ["PYTHONPATH"] = os.pathsep.join([TREE, *rest])
