#!/usr/bin/env bash
# Everything that needs a GPU, in one go of at most 9 minutes:
#
#     bash benchmarks/on_gpu.sh OUTPUT
#
# The tests for GPUs, the comparison with the processor, times and memory by size and precision, small
# eigendecompositions, memory layouts, and the throughput of training. Every part has its time limit, and a part
# that fails stops none of the others. OUTPUT receives results.jsonl, training/metrics.jsonl, a log of each part
# and table.txt with what each part returned. A rehearsal on the processor takes a minute or two:
#
#     REHEARSAL=1 bash benchmarks/on_gpu.sh OUTPUT
set -uo pipefail
output=${1:?give a folder for the results}
mkdir -p "$output"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD
if [ -n "${REHEARSAL:-}" ]; then
    device=cpu sizes="64 96" check="96" repetitions=1
    train="--steps 2 --batch 1 --crop 32"
else
    device=cuda sizes="512 1024 2048 4096 8192" check="512 1024" repetitions=5
    train="--steps 200 --batch 16 --crop 256 --precision bf16 --workers 8"
fi

part() { # NAME SECONDS COMMAND...: run a bounded part, keep what it prints and say how it ended
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    timeout --kill-after=5 "$limit" "$@" > "$output/$name.out" 2> "$output/$name.err"
    local code=$?
    grep '^{' "$output/$name.out" >> "$output/results.jsonl"
    printf '%-16s exit code %3d after %4d s\n' "$name" "$code" "$((SECONDS - start))" | tee -a "$output/table.txt"
}

: > "$output/results.jsonl"
: > "$output/table.txt"
part machine 60 python -m styletransfer env
if python -c 'import pytest' 2> "$output/pytest.err"; then
    part tests 90 python -m pytest -q -m gpu $(grep -rl 'mark\.gpu' tests --include='*.py' | xargs -n1 dirname | sort -u)
fi
part correctness 90 python -m benchmarks.on_gpu correctness --device "$device" --sizes $check
part table 150 python -m benchmarks.on_gpu table --device "$device" --sizes $sizes --repetitions "$repetitions"
part decompositions 40 python -m benchmarks.on_gpu decompositions --device "$device" --repetitions 5
part layouts 40 python -m benchmarks.on_gpu layouts --device "$device" --sizes $sizes --repetitions 5
rm -rf "$output/training"
part training 100 python -m styletransfer train --content examples/content --style examples/style \
    --output "$output/training" --device "$device" $train
python - "$output" <<'PYTHON' | tee -a "$output/table.txt"
import json, pathlib, sys

output = pathlib.Path(sys.argv[1])
parts = {}
for line in (output / "results.jsonl").read_text().splitlines():
    row = json.loads(line)
    parts.setdefault(row.pop("part", "machine"), []).append(row)
metrics = output / "training" / "metrics.jsonl"
if metrics.exists():
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    parts["training"] = [{"steps": len(rows), "pairs_per_second": rows[-1].get("pairs_per_second")}]
for part, rows in parts.items():
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(f"\n{part}\n" + " ".join(f"{name[-24:]:>24}" for name in names))
    for row in rows:
        cells = (row.get(name, "") for name in names)
        print(" ".join(f"{f'{cell:.4g}' if isinstance(cell, float) else str(cell)[:24]:>24}" for cell in cells))
PYTHON
