"""The torch and torchvision names: imports of them give rushlight, here and in worker processes.

In: nothing installed, nothing patched. Out: ``install()`` makes ``import torch`` in any form give
rushlight's own modules; ``run`` runs a script that way.
"""

from __future__ import annotations

from rushlight.alias.finder import TREE, install

__all__ = ["TREE", "install"]
