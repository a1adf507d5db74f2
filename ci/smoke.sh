#!/usr/bin/env bash
# Runs the release binary as a user would: the example clips, standard input, a file that is no audio.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

vocalics=${CARGO_TARGET_DIR:-target}/release/vocalics
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect CODE COMMAND...: runs COMMAND and fails unless it exits with CODE.
expect() {
    local wanted=$1 code=0
    shift
    "$@" || code=$?
    if [[ $code != "$wanted" ]]; then
        echo "error: exit $code, expected $wanted: $*" >&2
        exit 1
    fi
}

"$vocalics" --version
expect 0 "$vocalics" predict --format jsonl examples/audio/*.wav >"$work/clips.jsonl"
expect 0 "$vocalics" predict --format jsonl - <examples/audio/even.wav >"$work/stdin.jsonl"
expect 1 "$vocalics" predict --format jsonl LICENSE-MIT examples/audio/even.wav >"$work/mixed.jsonl" 2>"$work/mixed.err"
expect 2 "$vocalics" predict --no-such-flag 2>/dev/null

python3 - "$work" examples/audio/*.wav <<'PY'
import json
import pathlib
import sys

work, clips = pathlib.Path(sys.argv[1]), sys.argv[2:]


def lines(name):
    return [json.loads(line) for line in (work / name).read_text().splitlines()]


def check_scores(row):
    assert set(row) >= {"file", "duration_secs", "label", "scores", "quality"}, row
    assert row["label"] in row["scores"], row
    assert abs(sum(row["scores"].values()) - 1) < 1e-4, row
    assert row["scores"][row["label"]] == max(row["scores"].values()), row


rows = lines("clips.jsonl")
assert [row["file"] for row in rows] == clips, rows
for row in rows:
    check_scores(row)
    print(f"{row['file']}: {row['label']} {row['scores'][row['label']]:.3f}")

(from_stdin,) = lines("stdin.jsonl")
check_scores(from_stdin)
named = next(row for row in rows if row["file"].endswith("/even.wav"))
assert from_stdin["scores"] == named["scores"], (from_stdin, named)

bad, good = lines("mixed.jsonl")
assert bad["file"] == "LICENSE-MIT" and set(bad) == {"file", "error"}, bad
assert set(bad["error"]) >= {"code", "message"}, bad
check_scores(good)
print(f"{bad['file']}: error {bad['error']['code']}")
PY
