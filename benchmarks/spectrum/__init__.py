"""Singular values of convolutions: our bounds, distributions and gradients beside the published ones.

python -m benchmarks.spectrum norms --weights FILE ... --size 16 32     bounds of the norm, zero padding
python -m benchmarks.spectrum paddings --weights FILE ...               the same for all paddings, ours
python -m benchmarks.spectrum distributions --weights FILE ...          distances to the exact distribution
python -m benchmarks.spectrum gradients --weights FILE ...              cosine to the exact gradient, and cost
python -m benchmarks.spectrum classification                            does the regulariser help accuracy?
python -m benchmarks.spectrum decoders --weights MODEL ... --size 128   what caps do to whole decoders
python -m benchmarks.spectrum plot --weights FILE ...                   the pictures of docs/conv-spectra.md

FILE is any safetensors file with convolution kernels; the default is the model that ships with the program.
Exact norms of large layers take long: `--cache` keeps them in a file. Beside the peers leave large layers out
(`--channels 64`): norm2toep takes 13 GB at 256 channels.
"""
