#!/usr/bin/env bash
# Train for eight minutes on one GPU, in bfloat16 and with large batches:
#
#     bash weights/on_gpu.sh DATA OUTPUT [OPTION ...]
#
# DATA holds the folders or tar archives photos* and art* and, if there is one, vgg16*.safetensors. Weights, log
# and samples go to OUTPUT; OPTIONs go to `styletransfer train` and override those below. A run that was stopped
# goes on with the same command. Without a GPU the same command runs on the processor: for a rehearsal,
#
#     bash weights/on_gpu.sh DATA OUTPUT --steps 20 --batch 1 --crop 64 --checkpoint-every 10
set -euo pipefail
data=$1 output=$2
shift 2
cd "$(dirname "$0")/.."
inputs=()
for path in "$data"/photos*; do inputs+=(--content "$path"); done
for path in "$data"/art*; do inputs+=(--style "$path"); done
for path in "$data"/vgg16*.safetensors; do
    if [ -e "$path" ]; then inputs+=(--vgg16 "$path"); fi
done
python -m styletransfer train --config weights/default.toml "${inputs[@]}" --init weights/default.safetensors \
    --output "$output" --resume --time-limit 8 --steps 1500 --batch 16 --crop 256 --workers 12 \
    --learning-rate 0.002 --checkpoint-every 100 --sample-every 300 "$@"
