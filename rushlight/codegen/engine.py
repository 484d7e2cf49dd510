"""LLVM IR as text in, native functions out.

One engine serves the process (an engine a kernel would hold 0.76 MB). Object code is kept on disk
by ``runtime/code_cache.py``, keyed by the IR, LLVM's version and the host's CPU, so that a second
process compiles nothing. IR passes are not run: what the generators write is final, and the passes
are most of the compile time without changing these kernels' speed. llvmlite is imported at first
use.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Sequence
from typing import Any

from rushlight.runtime.code_cache import CodeCache, default_folder

__all__ = ["Host", "address", "compile_ir", "function", "host", "release", "statistics"]

_lock = threading.RLock()  # LLVM calls of one process run one at a time anyway


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


class _Engine:
    """LLVM's execution engine and its connection to the disk cache."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self.llvm: Any = llvm
        # A quarter to a third of the compile time, and these kernels are no faster for it.
        llvm.set_option("rushlight", "-disable-lsr")
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        features = dict(llvm.get_host_cpu_features())
        self.host = Host(target.triple, llvm.get_host_cpu_name(), features)
        machine = target.create_target_machine(
            cpu=self.host.cpu, features=self.host.feature_text, opt=1, jit=True
        )
        self.engine: Any = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self.cache = CodeCache(default_folder())
        self.engine.set_object_cache(self._made, self._wanted)
        self.identity = f"{llvm.llvm_version_info} {self.host.cpu} {self.host.feature_text} no-lsr"
        self.modules: dict[str, Any] = {}

    def key(self, ir: str) -> str:
        return hashlib.sha256(f"{self.identity}\n{ir}".encode()).hexdigest()

    def _made(self, module: Any, code: bytes) -> None:
        if module.name.isalnum():  # not the engine's own empty module
            statistics.compiled += 1
            self.cache.store(module.name, code)

    def _wanted(self, module: Any) -> bytes | None:
        found = self.cache.load(module.name) if module.name.isalnum() else None
        if found is not None:
            statistics.loaded += 1
        return found

    def add(self, ir: str) -> str:
        key = self.key(ir)
        if key not in self.modules:
            module = self.llvm.parse_assembly(ir)
            module.name = key
            module.verify()
            self.engine.add_module(module)
            self.engine.finalize_object()
            self.modules[key] = module
        return key

    def remove(self, key: str) -> None:
        module = self.modules.pop(key, None)
        if module is not None:
            self.engine.remove_module(module)


_engine: _Engine | None = None


def _get() -> _Engine:
    global _engine
    with _lock:
        if _engine is None:
            _engine = _Engine()
        return _engine


def host() -> Host:
    """The machine for which code is generated."""
    return _get().host


def compile_ir(ir: str) -> str:
    """Compiles a module, or takes its code from the cache.

    The names of its functions must be unique in the process: generators put the digest of what a
    function does into its name.

    Returns:
        a handle for ``release``.

    Raises:
        RuntimeError: the IR is not valid.
    """
    with _lock:
        return _get().add(ir)


def release(handle: str) -> None:
    """Forgets a module's code; its functions must not be called any more."""
    with _lock:
        _get().remove(handle)


def address(name: str) -> int:
    """The address of a compiled function.

    Raises:
        KeyError: no module defines it.
    """
    with _lock:
        found = int(_get().engine.get_function_address(name))
    if found == 0:
        raise KeyError(name)
    return found


def function(name: str, arguments: Sequence[Any], result: Any = None) -> Any:
    """A compiled function as a ctypes function; it runs without holding Python's lock.

    Args:
        arguments: ctypes types of the parameters.
        result: the ctypes type of the result, None for void.
    """
    return ctypes.CFUNCTYPE(result, *arguments)(address(name))


if hasattr(os, "register_at_fork"):  # a fork waits for who compiles: the child could not finish it
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
