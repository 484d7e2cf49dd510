"""The gradient modes under the module name where PyTorch has them: ``torch.autograd.grad_mode``."""

from rushlight._tensor.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
