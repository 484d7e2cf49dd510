"""What torch.utils.tensorboard is: the names of ``rushlight.tensorboard`` at PyTorch's place."""

from rushlight.tensorboard import FileWriter, RecordWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
