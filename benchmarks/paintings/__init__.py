"""Classify paintings by movement: what whitening layers and bounded norms do to a small ResNet.

Every command appends its runs to a file of results and skips those that are there, so that it can be
interrupted at any time and started again.

    python -m benchmarks.paintings whitening --folder ../shared/data --results FILE
    python -m benchmarks.paintings regularization --folder ../shared/data --results FILE
    python -m benchmarks.paintings report --results FILE --plots docs/images
"""
