"""Files: torch.save and torch.load, safetensors, and reading pickles without executing them."""
