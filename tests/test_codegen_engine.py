"""The compiler's engine and its disk cache: right code, broken entries, concurrent writers."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rushlight.runtime.code_cache import CodeCache

DOUBLE = """
define void @{name}(ptr noalias %x, ptr noalias %y, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %p = getelementptr float, ptr %x, i64 %i
  %v = load float, ptr %p
  %w = fadd float %v, %v
  %q = getelementptr float, ptr %y, i64 %i
  store float %w, ptr %q
  %j = add i64 %i, 1
  %c = icmp slt i64 %j, %n
  br i1 %c, label %loop, label %done
done:
  ret void
}}
"""

SCRIPT = """
import ctypes, numpy as np
from rushlight.codegen import engine
engine.compile_ir({ir!r})
f = engine.function("cached_double", (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))
x, y = np.arange(5, dtype="f4"), np.zeros(5, "f4")
f(x.ctypes.data, y.ctypes.data, 5)
assert (y == 2 * x).all()
print(engine.statistics.compiled, engine.statistics.loaded)
"""


def test_compiled_function_computes() -> None:
    from rushlight.codegen import engine

    engine.compile_ir(DOUBLE.format(name="test_double"))
    f = engine.function("test_double", (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))
    x, y = np.arange(7, dtype="f4"), np.zeros(7, "f4")
    f(x.ctypes.data, y.ctypes.data, 7)
    np.testing.assert_array_equal(y, 2 * x)


def test_invalid_ir_is_refused() -> None:
    from rushlight.codegen import engine

    with pytest.raises(RuntimeError):
        engine.compile_ir("define void @broken() { oops }")
    with pytest.raises(KeyError):
        engine.address("no_such_function")


def run_script(folder: Path) -> str:
    env = dict(os.environ, RUSHLIGHT_CACHE=str(folder))
    script = SCRIPT.format(ir=DOUBLE.format(name="cached_double"))
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert run_script(tmp_path) == "1 0"
    assert run_script(tmp_path) == "0 1"
    (entry,) = (tmp_path / "code").glob("*.o")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-3] + b"xyz")  # broken: made again
    assert run_script(tmp_path) == "1 0"
    assert entry.read_bytes() == whole


def test_broken_entries_are_removed(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code")
    assert cache.store("abc", b"x" * 100)
    path = tmp_path / "code" / "abc.o"
    for damaged in (b"", b"rushlc01", path.read_bytes()[:-1], b"y" * 140):
        path.write_bytes(damaged)
        assert cache.load("abc") is None
        assert not path.exists()


def test_folder_open_to_others_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    cache = CodeCache(folder)
    assert not cache.store("abc", b"x")
    assert cache.load("abc") is None


def test_oldest_entries_go_first(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code", most_bytes=500)
    for i in range(6):
        cache.store(f"k{i}", bytes(100))
        os.utime(tmp_path / "code" / f"k{i}.o", (i, i))
    left = tmp_path / "code" / ".new-killed"
    for seconds in (0, 7200):
        left.touch()
        os.utime(left, (time.time() - seconds,) * 2)
        if not seconds:
            assert cache.prune() == 3
            assert left.exists()
    assert cache.prune() == 0
    assert not left.exists()
    assert cache.load("k0") is None
    assert cache.load("k5") == bytes(100)


def test_a_cache_stays_small(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code", most_bytes=5000)
    for i in range(200):
        cache.store(f"k{i}", bytes(100))
        assert cache.load("k0") == bytes(100) or i > 64
        os.utime(tmp_path / "code" / f"k{i}.o", (i, i))
    files = list((tmp_path / "code").iterdir())
    assert 20 < len(files) < 110


def test_eight_writers_leave_a_whole_entry(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from rushlight.runtime.code_cache import CodeCache\n"
        "c = CodeCache(pathlib.Path(sys.argv[1]))\n"
        "for i in range(200):\n"
        "    c.store('same', sys.argv[2].encode() * 1000)\n"
        "    found = c.load('same')\n"
        "    assert found is not None and len(set(found)) == 1, 'torn entry'\n"
    )
    folder = tmp_path / "code"
    CodeCache(folder)
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(folder), str(i)]) for i in range(8)
    ]
    assert [w.wait() for w in writers] == [0] * 8
    assert not list(folder.glob(".new-*"))


GROWTH = """
import ctypes
from rushlight.codegen import engine

def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096, sum(1 for _ in open("/proc/self/maps"))

def some(first, last):
    for i in range(first, last):
        code = engine.Code(f"define i64 @number() {{ ret i64 {i} }}")
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("number"))() == i

some(0, 100)
before, maps = resident()
some(100, 600)
after, maps_after = resident()
print((after - before) // 500, maps_after - maps)
"""


def test_code_of_its_own_has_its_own_names() -> None:
    from rushlight.codegen import engine

    first, second = [engine.Code(f"define i64 @value() {{ ret i64 {i} }}") for i in (1, 2)]
    call = ctypes.CFUNCTYPE(ctypes.c_int64)
    assert [call(code.address("value"))() for code in (first, second)] == [1, 2]
    with pytest.raises(KeyError):
        first.address("no_such_function")
    with pytest.raises(KeyError):
        engine.address("value")
    with pytest.raises(RuntimeError):
        engine.Code("define void @broken() { oops }")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("cached", [False, True])
def test_released_code_gives_its_memory_back(tmp_path: Path, cached: bool) -> None:
    env = dict(os.environ, RUSHLIGHT_CACHE=str(tmp_path) if cached else "off")
    for _ in range(2 if cached else 1):  # the second process takes all of it from disk
        done = subprocess.run(
            [sys.executable, "-c", GROWTH], env=env, capture_output=True, text=True, check=True
        )
        bytes_each, maps = map(int, done.stdout.split())
        # A module that stays keeps 13 kB and more; the allocator's own wavering is below 3 kB.
        assert bytes_each < 5000, f"{bytes_each} bytes a module"
        assert maps < 20
