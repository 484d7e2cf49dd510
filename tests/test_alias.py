"""The torch name: `python -m rushlight`, every import form, workers, missing names, tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rushlight.alias import TREE, manifest

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m rushlight ...`, rushlight importable, real torch (if installed) not in sight."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), **options.pop("env", {}))
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "rushlight", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        **options,
    )


def output(*arguments: str, **options: Any) -> str:
    done = run(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FORMS = """
import {first}
import {second}
import torch, torchvision, rushlight
import torch.nn as nn, torch.nn.functional as F, torch.optim as optim
import torch.utils.data
from torch import nn as again, Tensor
from torch.nn import Linear, functional
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
import torch.nn.modules.conv as conv
from torchvision import datasets, models, transforms
from torchvision.transforms import v2
import torchvision.transforms.functional as TF
import torchvision.transforms.v2 as vv
import sys
assert torch is rushlight is sys.modules["torch"]
assert torchvision is rushlight.vision
assert nn is again is torch.nn is rushlight.nn
assert F is functional is nn.functional
assert conv.Conv2d is nn.Conv2d is rushlight.nn.Conv2d
assert v2 is vv is torchvision.transforms.v2
assert optim is torch.optim
assert torch.utils.data.DataLoader is DataLoader is rushlight.utils.data.DataLoader
assert nn.__name__ == nn.__spec__.name == "rushlight.nn", nn.__spec__
assert nn.Linear.__module__ in sys.modules
assert torch.__version__.startswith("2.13") and torch.__version__ >= (2, 4)
import importlib
importlib.reload(importlib.import_module("torch.utils"))
print("done")
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("torch", "torchvision"),
        ("torchvision.transforms.v2", "torch.nn.functional"),
        ("torch.utils.tensorboard", "torch.utils.data"),
        ("rushlight.nn", "torch.nn"),
        ("torch.nn.modules.linear", "rushlight"),
    ],
)
def test_every_import_form(first: str, second: str) -> None:
    assert output("-c", FORMS.format(first=first, second=second)) == "done"


def test_script(tmp_path: Path) -> None:
    script = tmp_path / "sub" / "train.py"
    script.parent.mkdir()
    (script.parent / "helper.py").write_text("import torch\nx = torch.__name__\n")
    script.write_text(
        "import sys, os, helper\n"
        "print(sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(__file__)))\n"
        "print(__name__, os.path.isabs(__file__), __spec__, __package__, helper.x)\n"
        "import __main__; print(__main__.sys is sys)\n"
    )
    assert output("sub/train.py", "a", "--lr", "-m", cwd=tmp_path).splitlines() == [
        "['sub/train.py', 'a', '--lr', '-m'] True",
        "__main__ True None None rushlight",
        "True",
    ]


def test_module_text_and_folder(tmp_path: Path) -> None:
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").write_text("")
    program = "import sys, torch; print(__name__, sys.argv[1:], __package__, torch.__name__)\n"
    (package / "__main__.py").write_text(program)
    (package / "part.py").write_text("from . import __main__ as other\n" + program)
    want = "__main__ ['x'] tool rushlight"
    assert output("-m", "tool", "x", cwd=tmp_path) == want
    assert output("-m", "tool.part", "x", cwd=tmp_path).splitlines()[-1] == want
    assert output("tool", "x", cwd=tmp_path) == "__main__ ['x']  rushlight"
    text = "import sys, torch; print(sys.argv, repr(sys.path[0]))"
    assert output("-c", text, "x") == "['-c', 'x'] ''"
    assert output("-", "x", input=text) == "['-', 'x'] ''"


def test_like_plain_python(tmp_path: Path) -> None:
    """Exit status, standard output and standard error are python's own."""
    (tmp_path / "lib.py").write_text("def f():\n    raise KeyError('k')\n")
    programs = [
        "import sys; sys.exit(3)",
        "import sys; sys.exit('gone')",
        "raise SystemExit",
        "import lib\n\ndef g():\n    lib.f()\n\ng()\n",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
        "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])",
        "def f(:\n",
        "import nothing_of_that_name",
        "import atexit; atexit.register(print, 'end'); print('start'); 1 / 0",
        "import sys; sys.excepthook = lambda *a: print('hook', a[0].__name__); 1 / 0",
    ]
    script = tmp_path / "s.py"
    for program in programs:
        script.write_text(program)
        plain = subprocess.run(
            [sys.executable, "s.py"], capture_output=True, text=True, cwd=tmp_path
        )
        mine = run("s.py", cwd=tmp_path)
        for field in ("returncode", "stdout", "stderr"):
            assert getattr(mine, field) == getattr(plain, field), program
    missing = run("none.py", cwd=tmp_path)
    assert missing.returncode == 2
    assert "can't open file" in missing.stderr
    assert "No module named none" in run("-m", "none").stderr


def test_frames_of_the_framework_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import torch\ntorch.ones(2, 3) @ torch.ones(2, 3)\n")
    short = run("s.py", cwd=tmp_path)
    whole = run("s.py", cwd=tmp_path, env={"RUSHLIGHT_TRACEBACK": "full"})
    assert 's.py", line 2' in short.stderr
    assert str(ROOT / "rushlight") not in short.stderr
    assert str(ROOT / "rushlight") in whole.stderr
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" in short.stderr


MISSING = """
import torch, torchvision
import torch.nn

def error(text):
    try:
        exec(text)
    except Exception as e:
        print(type(e).__name__, "|", str(e).partition(" (/")[0], "|", *getattr(e, "__notes__", []))

error("torch.no_such_thing")
error("torch.nn.Linaer")
error("torch.nn.functional.no_such_thing")
error("torchvision.no_such_thing")
error("from torch import no_such_thing")
error("from torch.nn import no_such_thing")
error("import torch.no_such_module")
error("import torch.nn.no_such_module")
error("import torch.cli")
error("from torch.alias import run")
print(hasattr(torch, "no_such_thing"), getattr(torch, "no_such_thing", 5))
import importlib.util
print(importlib.util.find_spec("torch._dynamo_is_not_here"))
"""


def test_missing_names() -> None:
    unknown = "is not in rushlight yet, or is misspelt"
    assert output("-c", MISSING).splitlines() == [
        "AttributeError | module 'torch' has no attribute 'no_such_thing' | "
        f"torch.no_such_thing {unknown}",
        "AttributeError | module 'torch.nn' has no attribute 'Linaer' | "
        "did you mean 'torch.nn.Linear'?",
        "AttributeError | module 'torch.nn.functional' has no attribute 'no_such_thing' | "
        f"torch.nn.functional.no_such_thing {unknown}",
        "AttributeError | module 'torchvision' has no attribute 'no_such_thing' | "
        f"torchvision.no_such_thing {unknown}",
        "ImportError | cannot import name 'no_such_thing' from 'torch' | "
        f"torch.no_such_thing {unknown}",
        "ImportError | cannot import name 'no_such_thing' from 'torch.nn' | "
        f"torch.nn.no_such_thing {unknown}",
        "ModuleNotFoundError | No module named 'torch.no_such_module' |",
        "ModuleNotFoundError | No module named 'torch.nn.no_such_module' |",
        "ModuleNotFoundError | No module named 'torch.cli' |",
        "ModuleNotFoundError | No module named 'torch.alias' |",
        "False 5",
        "None",
    ]
    done = run("-c", "import torch.no_such_module")
    assert f"torch.no_such_module {unknown}" in done.stderr


SPAWN = """
import multiprocessing, subprocess, sys
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return x

def work(n):
    import torch, torch.nn as nn
    return torch.__name__, type(Net()).__mro__[1] is nn.Module, float(torch.ones(n).sum())

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*pool.map(work, [2]))
    program = "import torch.nn as nn, torch; print(torch.__name__, torch.nn is nn)"
    print(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/"))
"""


def test_spawned_processes(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SPAWN)
    # rushlight is found by its folder alone, as from a clone that is not installed.
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", str(tmp_path / "s.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "('rushlight', True, 2.0)"
    assert "rushlight True" in second


def test_real_torch_is_never_imported(tmp_path: Path) -> None:
    """Packages called torch that end the program stand in the working directory and on the path."""
    for name in ("torch", "torchvision"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('torch was imported')\n")
    text = "import torch, torchvision, torch.nn; print(torch.__name__)"
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    environment = dict(os.environ, PYTHONPATH=path)
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "-c", text],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout.strip() == "rushlight", done.stderr
    program = "import sys; sys.path.insert(0, sys.argv[1]); import torch; print(torch.__name__)"
    plain = subprocess.run(
        [sys.executable, "-c", program, TREE], capture_output=True, text=True, env=environment
    )
    assert plain.stdout.strip() == "rushlight", plain.stderr


def test_nothing_else_is_patched() -> None:
    text = (
        "import builtins, sys, importlib; before = dict(vars(builtins)); hook = sys.excepthook\n"
        "import rushlight.alias; rushlight.alias.install(); rushlight.alias.install()\n"
        "import torch\n"
        "assert dict(vars(builtins)) == before and sys.excepthook is hook\n"
        "print(sum(type(f).__name__ == '_AliasFinder' for f in sys.meta_path))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert done.stdout.strip() == "1", done.stderr


def test_command_line() -> None:
    assert "python -m rushlight SCRIPT" in output("--help")
    assert "2.13" in output("--version")
    assert "--epochs" in output("train", "--help")
    for wrong in ((), ("-m",), ("-c",), ("--nonsense",)):
        done = run(*wrong)
        assert done.returncode == 2
        assert "usage" in done.stderr


def test_manifest() -> None:
    assert manifest.target("torch.nn.functional") == "rushlight.nn.functional"
    assert manifest.target("torchvision.models.vgg") == "rushlight.vision.models.vgg"
    assert manifest.target("torch.vision.models") is None
    assert manifest.target("numpy") is None
