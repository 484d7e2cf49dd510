"""Worker processes of the loader: order, seeds, errors, and that nothing is left behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils import data as D

ROOT = Path(__file__).resolve().parent.parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, uses fork")


class Noise(D.Dataset[Any]):
    """Draws from the three random streams."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        values = [rl.rand(1).item(), random.random(), np.random.rand()]
        return rl.tensor(values, dtype=rl.float64)


class Failing(D.Dataset[Any]):
    def __init__(self, error: Exception | type[Exception] = ValueError) -> None:
        self.error = error

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 3:
            raise self.error
        return index


def loader(dataset: Any, **options: Any) -> D.DataLoader[Any]:
    options.setdefault("num_workers", 2)
    return D.DataLoader(dataset, **options)


def running(pids: list[int]) -> list[int]:
    """Those of the processes that still run."""
    alive = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            alive.append(pid)
    return alive


def wait_until_gone(pids: list[int], seconds: float = 8.0) -> list[int]:
    end = time.monotonic() + seconds
    while running(pids) and time.monotonic() < end:
        time.sleep(0.05)
    return running(pids)


# --- order and seeds -----------------------------------------------------------------------------


@linux
def test_worker_seeds_are_torchs() -> None:
    rl.manual_seed(0)
    found = [batch.tolist() for batch in loader(Noise(), batch_size=2)]
    # recorded from torch 2.13
    assert found == [
        [
            [0.7821398973464966, 0.21315340548154382, 0.8371640508861415],
            [0.053598999977111816, 0.2764485855185723, 0.38757835109739946],
        ],
        [
            [0.6938178539276123, 0.7733861492043289, 0.6702704958690073],
            [0.29795897006988525, 0.1634220007200502, 0.07589687641367027],
        ],
        [
            [0.9887869358062744, 0.9257209527984, 0.37328033548445017],
            [0.1948593258857727, 0.6404354521419532, 0.8134918136402494],
        ],
    ]
    assert rl.rand(1).tolist() == [0.08847743272781372]


@linux
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_workers(workers: int) -> None:
    def order(count: int) -> list[Any]:
        rl.manual_seed(5)
        options: dict[str, Any] = dict(batch_size=3, shuffle=True, num_workers=count)
        return [b.tolist() for _ in range(2) for b in D.DataLoader(range(20), **options)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(D.DataLoader, "check_worker_number_rationality", lambda self: None)
        assert order(workers) == order(0)


class Slow(D.Dataset[Any]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        time.sleep(0.3 if index == 0 else 0.0)
        return index


@linux
def test_order_and_no_order() -> None:
    assert [b.item() for b in loader(Slow())] == [0, 1, 2, 3, 4, 5]
    free = [b.item() for b in loader(Slow(), in_order=False)]
    assert free[0] != 0
    assert sorted(free) == [0, 1, 2, 3, 4, 5]


class Shares(D.IterableDataset[Any]):
    def __iter__(self) -> Any:
        info = D.get_worker_info()
        assert info is not None
        return iter(range(info.id, 3 if info.id == 0 else 9, info.num_workers))


@linux
@pytest.mark.parametrize("persistent", [False, True])
def test_streams_of_different_length(persistent: bool) -> None:
    streams = loader(Shares(), batch_size=2, persistent_workers=persistent)
    for _ in range(2):
        assert [b.tolist() for b in streams] == [[0, 2], [1, 3], [5, 7]]


class About(D.Dataset[Any]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        info = D.get_worker_info()
        assert info is not None
        assert info.dataset is self
        return info.id, info.num_workers, info.seed, os.getpid()


@linux
def test_worker_info_and_init_fn() -> None:
    rl.manual_seed(0)
    seen: list[Any] = []

    def init(worker_id: int) -> None:
        random.seed(worker_id)

    seen = [[x.item() for x in row] for row in loader(About(), worker_init_fn=init)]
    assert [row[:2] for row in seen] == [[0, 2], [1, 2]]
    assert seen[1][2] == seen[0][2] + 1
    assert os.getpid() not in (seen[0][3], seen[1][3])


@linux
def test_persistent_workers_stay() -> None:
    with_workers = loader(About(), persistent_workers=True)
    first = [row[3].item() for row in with_workers]
    iterator = iter(with_workers)
    next(iterator)  # an epoch left early
    assert [row[3].item() for row in with_workers] == first
    del with_workers, iterator
    gc.collect()
    assert wait_until_gone(first) == []


@linux
@pytest.mark.parametrize("files", [True, False], ids=["memory file", "pipe"])
def test_kinds_of_batches(files: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rushlight.utils.data._utils.transport.HAS_MEMORY_FILES", files)

    class Kinds(D.Dataset[Any]):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            big = rl.arange(30000, dtype=rl.float32).reshape(100, 300)
            return {
                "big": big,
                "transposed": big.t(),
                "empty": rl.empty(0, 3),
                "scalar": rl.tensor(True),
                "half": rl.ones(3, dtype=rl.bfloat16),
                "array": np.arange(5)[::2],
                "text": "a",
            }

    got = next(iter(loader(Kinds(), batch_size=None, num_workers=1)))
    want = Kinds()[0]
    for key in ("big", "transposed", "empty", "scalar", "half"):
        assert got[key].dtype == want[key].dtype, key
        assert got[key].shape == want[key].shape, key
        assert got[key].stride() == want[key].stride(), key
        assert bool((got[key] == want[key]).all()), key
    got["big"].add_(1)  # writable
    assert got["array"].tolist() == [0, 2, 4]
    assert got["text"] == "a"


@linux
def test_no_descriptors_are_kept() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    images = D.TensorDataset(rl.ones(8, 3, 64, 64))
    kept = [batch for _ in range(2) for batch in loader(images, batch_size=2)]
    iterator = iter(loader(images))
    next(iterator)
    del iterator
    gc.collect()
    assert descriptors() == before
    assert len(kept) == 8


@linux
def test_forking_with_threads_does_not_warn() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert [b.item() for b in loader(range(3))] == [0, 1, 2]
    finally:
        done.set()
        thread.join()


# --- errors --------------------------------------------------------------------------------------


@linux
def test_an_exception_is_raised_with_its_traceback() -> None:
    iterator = iter(loader(Failing(ValueError("bad sample")), batch_size=2))
    assert next(iterator).tolist() == [0, 1]
    with pytest.raises(ValueError) as caught:
        next(iterator)
    text = str(caught.value)
    assert text.startswith(
        "Caught ValueError in DataLoader worker process 1.\nOriginal Traceback (most recent call"
    )
    assert "in __getitem__" in text
    assert text.rstrip().endswith("ValueError: bad sample")
    assert next(iterator).tolist() == [4, 5]  # the next batches still come


class Awkward(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one, two)


@linux
def test_exceptions_that_cannot_be_rebuilt() -> None:
    with pytest.raises(KeyError, match="Caught KeyError in DataLoader worker process 0"):
        list(loader(Failing(KeyError("k")), num_workers=1))
    with pytest.raises(RuntimeError, match="Caught Awkward in DataLoader worker process 0"):
        list(loader(Failing(Awkward(1, 2)), num_workers=1))

    class Local(Exception):
        pass

    with pytest.raises(RuntimeError, match="Caught Local in DataLoader worker process 0"):
        list(loader(Failing(Local("x")), num_workers=1))


@linux
def test_what_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        list(loader([lambda: 1], batch_size=None, num_workers=1))


@linux
def test_a_failing_init_fn() -> None:
    def init(worker_id: int) -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="Caught OSError in DataLoader worker process 0"):
        list(loader(range(3), worker_init_fn=init))


class Dying(D.Dataset[Any]):
    def __init__(self, how: int | None) -> None:
        self.how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 3:
            if self.how is None:
                os._exit(7)
            os.kill(os.getpid(), self.how)
        return index


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "exited"])
def test_a_dead_worker_is_named(how: int | None) -> None:
    iterator = iter(loader(Dying(how)))
    pids = [process.pid for process in iterator._workers]  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError) as caught:
        list(iterator)
    assert str(caught.value) == f"DataLoader worker (pid(s) {pids[1]}) exited unexpectedly"
    note = "killed by signal SIGKILL" if how else "exit code 7"
    assert caught.value.__notes__ == [f"DataLoader worker {pids[1]}: {note}"]
    assert wait_until_gone(pids) == []
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        next(iterator)


@linux
def test_persistent_workers_start_again_after_a_death() -> None:
    again = loader(Dying(signal.SIGKILL), persistent_workers=True, num_workers=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="exited unexpectedly"):
            list(again)


class Stuck(D.Dataset[Any]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        time.sleep(30)
        return index


@linux
def test_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rushlight.utils.data._utils.worker_pool.PATIENCE_SECONDS", 0.1)
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        list(loader(Stuck(), timeout=0.2, num_workers=1))


@linux
def test_workers_end_with_the_loop() -> None:
    iterator = iter(loader(About()))
    pids = [process.pid for process in iterator._workers]  # type: ignore[attr-defined]
    assert len(running(pids)) == 2
    next(iterator)
    del iterator
    gc.collect()
    assert running(pids) == []


# --- other processes -----------------------------------------------------------------------------


def start(path: Path, program: str) -> subprocess.Popen[str]:
    """Run a program as a script, without torch's or any other name in the way."""
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    places = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=path.parent,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, places))),
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out


NO_GUARD = """
    import sys
    import rushlight as rl
    from rushlight.utils.data import DataLoader, Dataset

    print("top of the script")

    class Squares(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return helper(index)

    loader = DataLoader(
        Squares(), batch_size=2, num_workers=2, multiprocessing_context={method!r}
    )
    {define}
    for batch in loader:
        print(batch.tolist())
    with open("log", "a") as log:
        log.write("after the loop;")

    {define_late}
"""
HELPER = "helper = lambda index: index ** 2"
LATE = "def unused():\n        pass"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_workers_need_no_main_guard(tmp_path: Path, method: str) -> None:
    if method == "forkserver" and sys.platform == "win32":
        pytest.skip("no forkserver here")
    program = NO_GUARD.format(method=method, define=HELPER, define_late=LATE)
    out = finish(start(tmp_path / "script.py", program))
    assert out.splitlines() == ["top of the script", "[0, 1]", "[4, 9]"]
    assert (tmp_path / "log").read_text() == "after the loop;"


def test_a_script_that_chooses_the_start_method(tmp_path: Path) -> None:
    program = """
        import multiprocessing
        from rushlight.utils.data import DataLoader

        multiprocessing.set_start_method("spawn")

        class Three:
            def __len__(self):
                return 3

            def __getitem__(self, index):
                return index

        print([batch.tolist() for batch in DataLoader(Three(), 3, num_workers=1)])
    """
    assert finish(start(tmp_path / "script.py", program)) == "[[0, 1, 2]]\n"


def test_spawned_workers_know_classes_below_the_first_loop(tmp_path: Path) -> None:
    program = """
        from rushlight.utils.data import DataLoader

        def train():
            options = dict(num_workers=1, multiprocessing_context="spawn")
            for batch in DataLoader(range(2), batch_size=2, **options):
                print(batch.tolist())
            for batch in DataLoader(Later(), batch_size=2, **options):
                print(batch.tolist())

        if True:
            class Later:
                def __len__(self):
                    return 2

                def __getitem__(self, index):
                    return index + SHIFT

            SHIFT = 10
            train()
    """
    out = finish(start(tmp_path / "script.py", program))
    assert out.splitlines() == ["[0, 1]", "[10, 11]"]


@pytest.mark.parametrize("guarded", [True, False])
def test_a_module_run_by_name(tmp_path: Path, guarded: bool) -> None:
    body = """
        from rushlight.utils.data import DataLoader

        class Twice:
            def __len__(self):
                return 3

            def __getitem__(self, index):
                return 2 * index

        def main():
            options = dict(num_workers=1, multiprocessing_context="spawn")
            print([b.tolist() for b in DataLoader(Twice(), batch_size=3, **options)])

        GUARD
    """.replace("GUARD", 'if __name__ == "__main__": main()' if guarded else "main()")
    (tmp_path / "training.py").write_text(textwrap.dedent(body), encoding="utf-8")
    program = """
        import runpy, sys
        sys.argv = ["x"]
        sys.path.insert(0, ".")
        import subprocess
        subprocess.run([sys.executable, "-m", "training"], check=True)
    """
    assert finish(start(tmp_path / "script.py", program)) == "[[0, 2, 4]]\n"


def test_workers_of_a_script_that_says_torch(tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch.utils.data import DataLoader, Dataset

            class Ones(Dataset):
                def __len__(self):
                    return 2

                def __getitem__(self, index):
                    return torch.ones(1)

            for context in ("spawn", None):
                loader = DataLoader(Ones(), 2, num_workers=1, multiprocessing_context=context)
                print([batch.tolist() for batch in loader])
            """
        )
    )
    program = """
        import subprocess, sys
        subprocess.run([sys.executable, "-m", "rushlight", "training.py"], check=True)
    """
    out = finish(start(tmp_path / "script.py", program))
    assert out.splitlines() == ["[[[1.0], [1.0]]]"] * 2


def test_user_code_sees_its_file_while_workers_start(tmp_path: Path) -> None:
    program = """
        import os
        from rushlight.utils.data import DataLoader

        it = iter(DataLoader(range(1), num_workers=1, multiprocessing_context="spawn"))
        next(it)
        assert os.path.basename(__file__) == "script.py"
        assert __spec__ is None
        print("ok")
    """
    assert finish(start(tmp_path / "script.py", program)) == "ok\n"


LONG = """
    import os, sys, time
    import rushlight as rl
    from rushlight.utils.data import DataLoader, Dataset

    class Long(Dataset):
        def __len__(self):
            return 100000

        def __getitem__(self, index):
            {body}
            return rl.ones(20000)

    iterator = iter(DataLoader(Long(), batch_size=8, num_workers=2))
    next(iterator)
    print(*[process.pid for process in iterator._workers], flush=True)
    for batch in iterator:
        time.sleep(0.01)
"""


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


@linux
@pytest.mark.parametrize("body", ["pass", "time.sleep(0.0 if index < 16 else 60)"])
def test_a_killed_parent_leaves_nothing(tmp_path: Path, body: str) -> None:
    before = shared_memory()
    process = start(tmp_path / "script.py", LONG.format(body=body))
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(running(pids)) == 2
    time.sleep(0.2)
    process.kill()
    process.communicate(timeout=30)
    assert wait_until_gone(pids) == []
    assert shared_memory() <= before


@linux
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    process = start(tmp_path / "script.py", LONG.format(body="pass"))
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    for pid in [process.pid, *pids]:
        os.kill(pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert err.count("KeyboardInterrupt") == 1, err
    assert wait_until_gone(pids) == []


@linux
def test_an_exit_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    program = LONG.replace("for batch in iterator:", "sys.exit(0)").replace(
        "time.sleep(0.01)", "", 1
    )
    program = program.format(body="pass").rstrip()
    process = start(tmp_path / "script.py", program)
    pids = [int(pid) for pid in finish(process).split()]
    assert wait_until_gone(pids) == []
