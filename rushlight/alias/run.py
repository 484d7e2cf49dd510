"""Runs a Python program in which torch and torchvision mean rushlight.

In: a script, a module or a text, and its arguments. Out: what ``python`` itself would do with them:
``sys.argv``, ``sys.path[0]``, ``__main__``, exit status, and tracebacks that begin at the program's
first line. Frames inside rushlight are left out of them unless RUSHLIGHT_TRACEBACK=full.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

from rushlight.alias import finder, manifest

__all__ = ["main", "run_module", "run_script", "run_text"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORTLIB = importlib.__file__
_USAGE = """usage: python -m rushlight SCRIPT [ARGS]     run a PyTorch script as it stands
       python -m rushlight -m MODULE [ARGS]  run a module
       python -m rushlight -c CODE [ARGS]    run a text
       python -m rushlight VERB [OPTIONS]    rushlight's own commands: train (VERB --help)
"""


def main(arguments: list[str]) -> int:
    """Runs what the command line says; returns the exit status.

    Example:
        >>> main(["-c", "import torch; print(torch.__name__)"])  # doctest: +SKIP
        rushlight
        0
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    first, rest = arguments[0], arguments[1:]
    if first in ("-V", "--version"):
        from rushlight.version import rushlight_version, torch_version

        print(f"rushlight {rushlight_version} (PyTorch API {torch_version})")
        return 0
    if first in ("-m", "-c"):
        if not rest:
            print(f"Argument expected for the {first} option\n{_USAGE}", end="", file=sys.stderr)
            return 2
        return (run_module if first == "-m" else run_text)(rest[0], rest[1:])
    if first in _verbs():
        from rushlight.cli import main as verb

        return verb(arguments)
    if first.startswith("-") and first != "-":
        print(f"unknown option {first}\n{_USAGE}", end="", file=sys.stderr)
        return 2
    return run_script(first, rest)


def _verbs() -> tuple[str, ...]:
    from rushlight import cli

    return tuple(getattr(cli, "VERBS", ("train",)))


def run_script(path: str, arguments: list[str]) -> int:
    """Runs a file, or a folder or zip archive that holds a ``__main__.py``."""
    if path == "-":
        return _run(lambda: compile(sys.stdin.read(), "<stdin>", "exec"), [path, *arguments], "")
    full = os.path.abspath(path)
    spec = PathFinder.find_spec("__main__", [full]) if os.path.exists(full) else None
    if spec is not None:  # a folder or an archive
        return _run_spec(spec, [path, *arguments], full)
    # As in Python, a link's own folder does not count.
    folder = os.path.dirname(os.path.realpath(full))

    def code() -> CodeType:
        with io.open_code(full) as file:
            return compile(file.read(), full, "exec", dont_inherit=True)

    try:
        with open(full, "rb"):
            pass
    except OSError as error:
        problem = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {full!r}: {problem}", file=sys.stderr)
        return 2
    loader = SourceFileLoader("__main__", full)
    return _run(code, [path, *arguments], folder, __file__=full, __loader__=loader)


def run_text(text: str, arguments: list[str]) -> int:
    """Runs a text, as ``python -c`` does."""
    return _run(lambda: compile(text + "\n", "<string>", "exec"), ["-c", *arguments], "")


def run_module(name: str, arguments: list[str]) -> int:
    """Runs a module or a package's ``__main__``, as ``python -m`` does."""
    _prepare(os.getcwd(), ["-m", *arguments])
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    except ImportError as error:
        print(f"{sys.executable}: Error while finding module {name!r} ({error})", file=sys.stderr)
        return 1
    if spec is None:
        print(f"{sys.executable}: No module named {name}", file=sys.stderr)
        return 1
    return _run_spec(spec, [spec.origin or name, *arguments], None)


def _run_spec(spec: ModuleSpec, argv: list[str], folder: str | None) -> int:
    loader: Any = spec.loader
    # A script in a folder is no importable module, so its __spec__ is of no use to workers.
    return _run(
        lambda: loader.get_code(spec.name),
        argv,
        folder,
        __spec__=spec,
        __package__=spec.parent,
        __loader__=loader,
        __file__=spec.origin,
        __cached__=spec.cached,
    )


def _prepare(folder: str | None, argv: list[str]) -> None:
    sys.argv[:] = argv
    if folder is not None and not sys.flags.safe_path:
        # `python -m rushlight` has put the working directory first.
        if sys.path and sys.path[0] in ("", os.getcwd()):
            sys.path.pop(0)
        sys.path.insert(0, folder)
    finder.install()
    finder.expose()


def _run(code: Callable[[], CodeType], argv: list[str], folder: str | None, **names: Any) -> int:
    """Executes code as ``__main__``."""
    _prepare(folder, argv)
    main_module = ModuleType("__main__")
    attributes = dict(__builtins__=__builtins__, __annotations__={}, __spec__=None, __cached__=None)
    vars(main_module).update(attributes | names)
    sys.modules["__main__"] = main_module
    try:
        exec(code(), vars(main_module))
    except SystemExit:
        raise
    except BaseException as error:
        _report(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _report(error: BaseException) -> None:
    """Shows an uncaught exception through ``sys.excepthook``, as Python does."""
    seen: set[int] = set()
    whole = os.environ.get("RUSHLIGHT_TRACEBACK") == "full"
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, ModuleNotFoundError):
            _explain(current)
        current.__traceback__ = _without_frames(current.__traceback__, whole)
        pending += [current.__cause__, current.__context__]
        pending += getattr(current, "exceptions", ())
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.last_exc = error  # type: ignore[attr-defined]
    sys.stdout.flush()
    sys.excepthook(type(error), error, error.__traceback__)


def _explain(error: ModuleNotFoundError) -> None:
    name = error.name or ""
    if name.partition(".")[0] in manifest.ROOTS:
        error.add_note(f"{name} is not in rushlight yet, or is misspelt")


def _without_frames(tb: TracebackType | None, whole: bool) -> TracebackType | None:
    """A traceback without the frames that run the program, and without rushlight's inside."""
    entries = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    own: list[bool] = []
    for entry in entries:
        own.append(_is_own(entry, bool(own) and own[-1]))
    # What runs the program stands before its first frame: this file, and the import system's files.
    first = next((i for i, entry in enumerate(entries) if not _runs(entry)), len(entries))
    keep = [e for e, mine in zip(entries[first:], own[first:], strict=True) if whole or not mine]
    result: TracebackType | None = None
    for entry in reversed(keep):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


def _is_own(entry: TracebackType, inside: bool) -> bool:
    file = entry.tb_frame.f_code.co_filename
    # importlib.import_module is ours where our own code has called it
    return file.startswith((_PACKAGE, "<frozen importlib")) or (inside and file == _IMPORTLIB)


def _runs(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename == __file__
