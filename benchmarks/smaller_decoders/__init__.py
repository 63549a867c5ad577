"""Smaller decoders, tried on the program's own network: kernels of low rank, and kernels tied to the encoder.

    python -m benchmarks.smaller_decoders time
    python -m benchmarks.smaller_decoders truncate --pairs PAIRS
    python -m benchmarks.smaller_decoders low-rank --pairs PAIRS --content PHOTOS --style ART
    python -m benchmarks.smaller_decoders tied --pairs PAIRS --content PHOTOS --style ART

Nothing in the program uses them; docs/conv-spectra.md says why.
"""
