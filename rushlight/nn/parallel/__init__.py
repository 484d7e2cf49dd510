"""Running a module over several devices of one process: `torch.nn.parallel`.

In: a module and a batch.  Out: the module's result.  Where no GPU is present the module runs as it
is, as PyTorch does; over several GPUs it is not in rushlight yet and says so.
"""

from __future__ import annotations

from .data_parallel import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
