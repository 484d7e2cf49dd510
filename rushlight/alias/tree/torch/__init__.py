"""What processes find as torch when this folder's parent stands on PYTHONPATH: rushlight.

In: ``import torch``. Out: rushlight itself, and a finder for everything below it.
"""

import importlib
import os
import sys

__all__: list[str] = []

if __name__ == "torch":
    try:
        importlib.import_module("rushlight")
    except ModuleNotFoundError as error:
        if error.name != "rushlight":
            raise
        # Not installed: rushlight is the package that this file belongs to.
        folder = os.path.abspath(__file__)
        for _ in range(5):
            folder = os.path.dirname(folder)
        sys.path.append(folder)
    importlib.import_module("rushlight.alias").install()
    target = importlib.import_module("rushlight.alias.manifest").ROOTS["torch"]
    sys.modules["torch"] = importlib.import_module(target)
