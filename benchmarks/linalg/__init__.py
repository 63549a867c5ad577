"""Benchmarks of differentiable whitening: `python -m benchmarks.linalg --help`."""
