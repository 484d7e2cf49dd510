"""What torch.utils.tensorboard.summary is: the names of ``rushlight.tensorboard.summary``."""

from rushlight.tensorboard.summary import *  # noqa: F403
from rushlight.tensorboard.summary import __all__ as __all__
