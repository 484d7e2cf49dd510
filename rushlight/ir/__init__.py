"""The intermediate representation: op records, Metas, shape and stride arithmetic."""

__all__ = ["meta", "op", "shapes", "strides"]
