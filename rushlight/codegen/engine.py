"""LLVM IR as text in, native functions out.

LLVM compiles IR to object code, which is kept on disk by ``runtime/code_cache.py``, keyed by the
IR, LLVM's version and the host's CPU, so that a second process compiles nothing, nor parses any IR.
Object code is loaded by MCJIT, which gives memory back only with a whole engine: kernels that stay
share one, and code that may go (``Code``) has its own, of 45 kB and 0.1 ms. IR passes are not run:
what the generators write is final, and the passes are most of the compile time without changing
these kernels' speed. llvmlite is imported at first use.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from rushlight.runtime.code_cache import CodeCache, default_folder

__all__ = ["Code", "Host", "address", "compile_ir", "function", "host", "lock", "statistics"]

# Held by who compiles, or makes what the process has once; forks wait for it.
lock = threading.RLock()


class Host:
    """What code is generated for: the CPU's name, its features, and the width of its vectors.

    Attributes:
        vector_bytes: 64 with AVX-512, 32 with AVX, else 16 (SSE, NEON).
    """

    def __init__(self, triple: str, cpu: str, features: dict[str, bool]) -> None:
        self.triple = triple
        self.cpu = cpu
        self.features = features
        self.feature_text = ",".join(
            ("+" if on else "-") + name for name, on in sorted(features.items())
        )
        wide = features.get("avx512f", False) and features.get("avx512vl", False)
        self.vector_bytes = 64 if wide else 32 if features.get("avx2", False) else 16

    def lanes(self, itemsize: int) -> int:
        """How many elements of this size one vector holds."""
        return self.vector_bytes // itemsize


class Statistics:
    """How much was compiled and how much came from disk."""

    def __init__(self) -> None:
        self.compiled = 0
        self.loaded = 0


statistics = Statistics()


class _Compiler:
    """From IR to object code, and from object code to functions that can be called."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self.llvm: Any = llvm
        # A quarter to a third of the compile time, and these kernels are no faster for it.
        llvm.set_option("rushlight", "-disable-lsr")
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.target: Any = llvm.Target.from_default_triple()
        features = dict(llvm.get_host_cpu_features())
        self.host = Host(self.target.triple, llvm.get_host_cpu_name(), features)
        self.machine: Any = self.target.create_target_machine(
            cpu=self.host.cpu, features=self.host.feature_text, opt=1, jit=True
        )
        self.cache = CodeCache(default_folder())
        self.identity = f"{llvm.llvm_version_info} {self.host.cpu} {self.host.feature_text} no-lsr"
        self.nothing: Any = llvm.parse_assembly("")
        self.lasting: Any = self.loader()
        self.loaded: set[str] = set()  # keys of what `lasting` holds

    def loader(self) -> Any:
        """An engine that only loads object code."""
        # Without the CPU's features: reading them is most of the time, and loading asks for none.
        machine = self.target.create_target_machine(opt=1, jit=True)
        engine = self.llvm.create_mcjit_compiler(self.nothing, machine)
        engine.remove_module(self.nothing)  # it would be compiled, for five times the cost
        return engine

    def key(self, ir: str) -> str:
        return hashlib.sha256(f"{self.identity}\n{ir}".encode()).hexdigest()

    def load(self, engine: Any, key: str, ir: str) -> None:
        """Gives an engine the functions of a module."""
        code = self.cache.load(key)
        if code is not None:
            statistics.loaded += 1
        else:
            module = self.llvm.parse_assembly(ir)
            module.verify()
            code = self.machine.emit_object(module)
            statistics.compiled += 1
            self.cache.store(key, code)
        engine.add_object_file(self.llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()


_made: _Compiler | None = None


def _compiler() -> _Compiler:
    global _made
    with lock:
        if _made is None:
            _made = _Compiler()
        return _made


def host() -> Host:
    """The machine for which code is generated."""
    return _compiler().host


def compile_ir(ir: str) -> None:
    """Compiles a module, or takes its code from the cache; its functions stay.

    The names of its functions must be unique in the process: generators put the digest of what a
    function does into its name.

    Raises:
        RuntimeError: the IR is not valid.
    """
    with lock:
        compiler = _compiler()
        key = compiler.key(ir)
        if key not in compiler.loaded:
            compiler.load(compiler.lasting, key, ir)
            compiler.loaded.add(key)


def address(name: str) -> int:
    """The address of a function that `compile_ir` has compiled.

    Raises:
        KeyError: no module defines it.
    """
    with lock:
        return _address(_compiler().lasting, name)


def _address(engine: Any, name: str) -> int:
    found = int(engine.get_function_address(name))
    if found == 0:
        raise KeyError(name)
    return found


class Code:
    """The functions of a module, which go with this object: nothing may call them afterwards.

    Args:
        ir: the module.

    Raises:
        RuntimeError: the IR is not valid.

    Example:
        >>> Code("define i64 @answer() { ret i64 42 }").address("answer") != 0
        True
    """

    def __init__(self, ir: str) -> None:
        with lock:
            compiler = _compiler()
            self._engine = compiler.loader()
            # Not `__del__`: while that runs, a weak reference still gives out the object.
            weakref.finalize(self, _close, self._engine).atexit = False  # threads may still run it
            compiler.load(self._engine, compiler.key(ir), ir)

    def address(self, name: str) -> int:
        """The address of a function.

        Raises:
            KeyError: the module does not define it.
        """
        with lock:
            return _address(self._engine, name)


def _close(engine: Any) -> None:
    # Not left to llvmlite: a fork meanwhile would leave its lock held for ever in the child.
    with lock:
        engine.close()


def function(name: str, arguments: Sequence[Any], result: Any = None) -> Any:
    """What `address` finds as a ctypes function; it runs without holding Python's lock.

    Args:
        arguments: ctypes types of the parameters.
        result: the ctypes type of the result, None for void.
    """
    return ctypes.CFUNCTYPE(result, *arguments)(address(name))


if hasattr(os, "register_at_fork"):  # a fork waits for who compiles: the child could not finish it
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )
