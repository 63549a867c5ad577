"""Singular values of convolutions: bounds, distributions and gradients, beside the published methods.

python -m benchmarks.spectrum norms --weights FILE ... --size 16 32     bounds of the norm with zero padding
python -m benchmarks.spectrum paddings --weights FILE ...               our bounds with every padding
python -m benchmarks.spectrum distributions --weights FILE ...          distances to the exact distribution
python -m benchmarks.spectrum gradients --weights FILE ...              cosine to the exact gradient, and cost
python -m benchmarks.spectrum classification                            does a penalty improve accuracy?
python -m benchmarks.spectrum decoders --weights MODEL ... --size 128   the effect of norm caps on decoders
python -m benchmarks.spectrum chains --weights MODEL --size 128         norms of chains and of their layers
python -m benchmarks.spectrum factorizations --weights FILE ...         errors of separable kernels
python -m benchmarks.spectrum invertible --size 512                     Cayley layers beside couplings
python -m benchmarks.spectrum plot --weights FILE ...                   the pictures of docs/conv-spectra.md

FILE is any safetensors file that holds convolution kernels; the default is the model of this program. Exact
norms of large layers take long: `--cache` keeps them in a file. Limit the channels (`--channels 64`) when
comparing with the published methods: norm2toep takes 13 GB at 256 channels.
"""
