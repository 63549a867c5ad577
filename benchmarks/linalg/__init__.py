"""Differentiable whitening measured against its peers: `python -m benchmarks.linalg --help`."""
