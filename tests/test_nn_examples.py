"""The examples in the docstrings of rushlight.nn run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import warnings
from pathlib import Path

import pytest

import rushlight

ROOT = Path(rushlight.__file__).parent
FILES = sorted((ROOT / "nn").rglob("*.py"))


def module_of(path):
    parts = ("rushlight", *path.relative_to(ROOT).with_suffix("").parts)
    return importlib.import_module(".".join(parts).removesuffix(".__init__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples(path):
    module = module_of(path)
    runner = doctest.DocTestRunner(verbose=False)
    finder = doctest.DocTestFinder()
    report: list[str] = []
    for name, member in list(vars(module).items()):
        # Functions are shown under a package's name: what counts is the file they stand in.
        if not (inspect.isclass(member) or inspect.isfunction(member)):
            continue
        try:
            if inspect.getsourcefile(member) != str(path):
                continue
        except TypeError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for test in finder.find(member, name, module=False, globs=dict(vars(module))):
                runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
