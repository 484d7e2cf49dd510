"""Dispatch: the only door from the API to execution."""

__all__ = ["gate", "modes", "namespace", "overrides", "tape", "tensor", "views"]
