#!/usr/bin/env bash
# Seconds per training epoch, ours beside PyTorch's: same network, features, crop, batch, threads.
#
# Usage: bench/train-epoch/run.sh DATA [THREADS] [EPOCHS]
# DATA holds ravdess-speech/. PYTHON names an interpreter with numpy and torch (default python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

data=${1:?usage: run.sh DATA [THREADS] [EPOCHS]}
threads=${2:-1}
epochs=${3:-4}
crop=128
batch=32
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat >"$scratch/config.toml" <<TOML
name = "bench"
corpora = ["ravdess-speech"]
[front_end]
normalise_level = false
[network]
kind = "residual-cnn"
[training]
epochs = $epochs
crop_frames = $crop
batch_size = $batch
[evaluation]
validation_speakers = 0
TOML
cargo build --release --quiet -p vocalics-cli
MIMALLOC_PURGE_DELAY=-1 target/release/vocalics train "$scratch/config.toml" --data "$data" \
    --run "$scratch/run" --cache "$scratch/cache" --threads "$threads" >/dev/null
clips=$(find "$scratch/cache" -name '*.feat' | wc -l)
"${PYTHON:-python3}" bench/train-epoch/torch_epoch.py \
    "$scratch/cache" "$clips" "$crop" "$batch" "$threads" "$epochs" >"$scratch/torch.json"
"${PYTHON:-python3}" - "$scratch" "$threads" <<'PYTHON'
import csv, json, pathlib, statistics, sys
scratch, threads = pathlib.Path(sys.argv[1]), sys.argv[2]
rows = list(csv.DictReader(open(scratch / "run" / "history.csv")))
ours = statistics.median(float(row["seconds"]) for row in rows[1:])
peer = json.loads((scratch / "torch.json").read_text())
theirs = statistics.median(peer["seconds"])
print(f"{peer['clips']} clips, {threads} thread(s): vocalics {ours:.1f} s an epoch, "
      f"torch {peer['torch']} {theirs:.1f} s; ratio {theirs / ours:.2f} (above 1: vocalics is faster)")
PYTHON
