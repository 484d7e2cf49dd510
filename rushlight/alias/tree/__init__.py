"""The folder that PYTHONPATH names: it holds the packages called torch and torchvision."""

__all__: list[str] = []
