"""The main script in spawned workers, without a main guard.

A spawned worker must know the classes that the main script defines, so `multiprocessing` runs the
script there once more, as `__mp_main__`; a script without `if __name__ == "__main__":` would then
train in every worker.  Here the script is run in the worker only up to the point where it would
iterate a loader with workers: a private exception stops it, its output goes nowhere, and of the
lines below that point only imports, functions and classes are still executed.

In: the main module of the parent.  Out, in the worker: a module that is both `__main__` and
`__mp_main__`.  Forked workers inherit everything and need none of this.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import multiprocessing
import os
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any

_DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
)
_loading = False
_hiding = threading.RLock()


class LoaderReached(BaseException):
    """Stops the main script in a worker; not an Exception, which scripts may catch."""


def stop_if_loading_main() -> None:
    """Called where a loader with workers is iterated: ends the main script in a worker."""
    if _loading:
        raise LoaderReached


class MainScript:
    """The parent's main script; unpickling one in a worker runs the script there.

    It must be pickled before anything that refers to the script's classes.
    """

    def __init__(self) -> None:
        main = sys.modules["__main__"]
        self.module_name: str | None = getattr(getattr(main, "__spec__", None), "name", None)
        path = getattr(main, "__file__", None)
        self.path = None if path is None else os.path.abspath(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return _run, (self.module_name, self.path)


@contextlib.contextmanager
def hidden_main() -> Iterator[None]:
    """Keep `multiprocessing` from running the main script itself: it finds no file and no name."""
    main = sys.modules["__main__"]
    with _hiding:
        saved: dict[str, Any] = {
            key: main.__dict__[key] for key in ("__file__", "__spec__") if key in vars(main)
        }
        main.__dict__.pop("__file__", None)
        main.__spec__ = None
        try:
            yield
        finally:
            main.__dict__.update(saved)


def _find(module_name: str | None, path: str | None) -> tuple[Any, str | None, str] | None:
    """The spec, the file and the source of the main script; None where there is nothing to run."""
    if module_name is not None:
        # A package's __main__ is a command such as pytest: it defines nothing that data sets use.
        if module_name.split(".")[-1] == "__main__":
            return None
        import importlib.util

        spec = importlib.util.find_spec(module_name)
        if spec is None or not isinstance(getattr(spec, "origin", None), str):
            return None
        path = spec.origin
    else:
        spec = None
    if path is None or not os.path.isfile(path):
        return None
    if os.path.splitext(os.path.basename(path))[0] == "ipython":
        return None
    import tokenize

    try:
        with tokenize.open(path) as file:
            return spec, path, file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None  # a compiled program: nothing to run


def _run(module_name: str | None, path: str | None) -> None:
    """Run the main script as `__mp_main__`, until it reaches a loader with workers."""
    global _loading
    found = _find(module_name, path)
    if found is None or getattr(sys.modules["__main__"], "_rushlight_main", None) == found[1]:
        return
    spec, file, source = found
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(__file__=file, __spec__=spec, _rushlight_main=file)
    if spec is not None:
        module.__package__ = spec.parent
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    tree = ast.parse(source, filename=str(file))
    code = compile(tree, str(file), "exec")
    # The script may choose the start method, which can be done once; the parent has done it.
    multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]
    _loading = True
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    atexit.register(nowhere.close)  # not before: handlers that the script makes may hold it
    report = sys.stderr
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            exec(code, module.__dict__)
    except LoaderReached as stop:
        _define_the_rest(tree, _line_of(stop, code), module, str(file))
    except SystemExit:
        pass
    except Exception:
        print(
            "A DataLoader worker could not run the main script for its classes:",
            file=report,
        )
        traceback.print_exc(file=report)
    finally:
        _loading = False


def _line_of(stop: BaseException, code: types.CodeType) -> int:
    """The line of the script's top level at which it was stopped."""
    trace = stop.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    return sys.maxsize if trace is None else trace.tb_lineno


def _define_the_rest(tree: ast.Module, line: int, module: types.ModuleType, file: str) -> None:
    """Execute the imports, functions and classes of the top level below a line."""
    for node in tree.body:
        if node.lineno > line and isinstance(node, _DEFINITIONS):
            part = ast.Module(body=[node], type_ignores=[])
            with contextlib.suppress(Exception):
                exec(compile(part, file, "exec"), module.__dict__)
