"""Switches of computing libraries: `torch.backends`.

Scripts set them for speed or reproducibility on GPUs.  Here they are kept and can be read back;
what a machine does not have says that it is not available.
"""

from __future__ import annotations

from rushlight.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
