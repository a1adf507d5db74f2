#!/usr/bin/env bash
# Start of `vocalics predict` to finished result on one clip: wall time and peak memory of a fresh process.
#
#   cargo build --release
#   bench/cold-start/run.sh [CLIP] [more arguments of predict, for example --model M]
#
# CLIP is a synthetic clip of 3.6 s unless given. Limits: 40 ms, 40 MB. Needs hyperfine, GNU time, python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

clip=${1:-examples/audio/flat-slow.wav}
shift || true
vocalics=${CARGO_TARGET_DIR:-target}/release/vocalics
[[ -x $vocalics ]] || {
    echo "error: no $vocalics" >&2
    echo "hint: cargo build --release" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command=("$vocalics" predict --format jsonl "$@" "$clip")
"${command[@]}"
hyperfine -N --warmup 5 --runs 50 --export-json "$work/times.json" "$(printf '%q ' "${command[@]}")"
/usr/bin/time -v "${command[@]}" >/dev/null 2>"$work/time.txt"
grep -E 'Maximum resident|Elapsed' "$work/time.txt"

python3 - "$work" <<'PY'
import json
import pathlib
import re
import sys

work = pathlib.Path(sys.argv[1])
times = json.loads((work / "times.json").read_text())["results"][0]
kib = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", (work / "time.txt").read_text())[1])
wall, peak = 1e3 * times["median"], kib * 1024 / 1e6
print(f"median {wall:.1f} ms (fastest {1e3 * times['min']:.1f}), peak {peak:.1f} MB")
if wall > 40 or peak > 40:
    sys.exit("error: over the limit of 40 ms and 40 MB")
PY
