"""Event files for TensorBoard: a writer and a reader of its own, without TensorBoard's packages.

What torch.utils.tensorboard is, is here ``SummaryWriter`` and ``FileWriter``; ``EventReader``
reads the files back. Nothing outside NumPy is imported until an image is encoded (Pillow) or a
figure is drawn (matplotlib).
"""

from rushlight.tensorboard.event_file import EventFileWriter, FileWriter
from rushlight.tensorboard.reader import EventReader, read_events
from rushlight.tensorboard.record import RecordWriter
from rushlight.tensorboard.writer import SummaryWriter

__all__ = [
    "EventFileWriter",
    "EventReader",
    "FileWriter",
    "RecordWriter",
    "SummaryWriter",
    "read_events",
]
