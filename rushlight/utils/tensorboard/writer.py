"""What torch.utils.tensorboard.writer is: the names of ``rushlight.tensorboard.writer``."""

from rushlight.tensorboard.writer import *  # noqa: F403
from rushlight.tensorboard.writer import __all__ as __all__
