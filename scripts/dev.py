#!/usr/bin/env python3
"""The project's two commands, on any system that has python3 (3.11 or later) with venv.

    python scripts/dev.py run  [ARGS]      train on the embedded data set (rushlight train ARGS)
    python scripts/dev.py test [ARGS]      lint, types, architecture and unit tests (pytest ARGS)
    python scripts/dev.py oracle [ARGS]    the tests that compare with PyTorch, beside PyTorch
    python scripts/dev.py nightly [PARTS]  thousands of random programs, all second derivatives
    python scripts/dev.py clean            remove the environments

Each command makes its own virtual environment under .venv/ the first time and reuses it afterwards;
a changed pyproject.toml or another Python makes it anew. Nothing is installed anywhere else.
Standard library only: this file runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv"

# What each environment holds: groups of pip arguments, installed in order.
# The oracle is real PyTorch and the Python part of torchvision (its compiled part is not needed).
INSTALLS: dict[str, list[list[str]]] = {
    "run": [["-e", "."]],
    "test": [["-e", ".[dev]"]],
    "oracle": [
        [
            "-e",
            ".[test]",
            "torch==2.13.0",
            "expecttest",
            "scipy",
        ],
        ["--no-deps", "torchvision==0.28.0"],
    ],
}


def fail(message: str) -> None:
    """Ends the program with a message and a status of 1."""
    sys.exit(f"dev.py: {message}")


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(name: str) -> str:
    """What the environment depends on; a different value makes it anew."""
    parts = [sys.version, str(ROOT), repr(INSTALLS[name])]
    parts.append((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def ensure_environment(name: str) -> Path:
    """Makes the environment `name` unless it stands already; returns its interpreter."""
    folder = ENVIRONMENTS / name
    stamp = folder / "made-from"
    python = python_of(folder)
    wanted = fingerprint(name)
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment {folder.relative_to(ROOT)} (once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
    if made.returncode != 0:
        fail("venv failed; on Debian and Ubuntu: sudo apt install python3-venv")
    for arguments in INSTALLS[name]:
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "--no-input", *arguments], cwd=ROOT, check=False)
        if done.returncode != 0:
            fail(f"pip could not install {' '.join(arguments)} (is the network there?)")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def call(command: list[str]) -> int:
    """Runs a command in the project's root and returns its exit status."""
    environment = dict(os.environ, MPLBACKEND=os.environ.get("MPLBACKEND", "Agg"))
    try:
        return subprocess.call(command, cwd=ROOT, env=environment)
    except KeyboardInterrupt:  # the command has had the signal too and has said what it had to say
        return 130


def run(arguments: list[str]) -> int:
    """`rushlight train`, or what the arguments name."""
    python = ensure_environment("run")
    return call([str(python), "-m", "rushlight.cli", *(arguments or ["train"])])


def test(arguments: list[str]) -> int:
    """Everything that needs no PyTorch: pytest, which runs ruff and mypy too."""
    python = ensure_environment("test")
    return call([str(python), "-m", "pytest", *arguments])


def oracle(arguments: list[str]) -> int:
    """The test files that compare with PyTorch, under real PyTorch."""
    python = ensure_environment("oracle")
    if not any(argument.endswith(".py") or "::" in argument for argument in arguments):
        tests = sorted((ROOT / "tests").glob("test_*.py"))
        marks = ('importorskip("torch', 'find_spec("torch")')
        compare = [t for t in tests if any(m in t.read_text(encoding="utf-8") for m in marks)]
        arguments = [*arguments, *(str(t.relative_to(ROOT)) for t in compare)]
    return call([str(python), "-m", "pytest", *arguments])


NIGHTLY = {  # what takes minutes to hours, beside PyTorch
    "views": ["check_views.py", "--count", "5000"],
    "programs": ["test_programs.py", "--count", "10000"],
    "steps": ["random_steps.py", "--programs", "10000"],
    "derivatives": ["check_second_derivatives.py"],
    "vecmath": ["check_vecmath.py"],
    "tier1": ["check_tier1.py"],
}


def nightly(arguments: list[str]) -> int:
    """The checks of NIGHTLY, or those named; the status is the number that failed."""
    python = ensure_environment("oracle")
    unknown = [name for name in arguments if name not in NIGHTLY]
    if unknown:
        fail(f"no nightly check is called {unknown[0]}; there are {', '.join(NIGHTLY)}")
    failed = 0
    for name in arguments or NIGHTLY:
        script, *options = NIGHTLY[name]
        print(f"== {name}", flush=True)
        failed += call([str(python), str(ROOT / "tests" / script), *options]) != 0
    return failed


def clean(arguments: list[str]) -> int:
    """Removes the environments."""
    shutil.rmtree(ENVIRONMENTS, ignore_errors=True)
    return 0


def main() -> int:
    """Reads the command line; returns the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 -- this file meets the Python that people have
        fail(f"rushlight needs Python 3.11 or later; this is {sys.version.split()[0]}")
    commands = {"run": run, "test": test, "oracle": oracle, "nightly": nightly, "clean": clean}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=commands)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")
    options = parser.parse_args()
    return commands[options.command](options.arguments)


if __name__ == "__main__":
    sys.exit(main())
