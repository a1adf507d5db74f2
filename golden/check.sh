#!/usr/bin/env bash
# Runs every golden script with --check: the committed vectors must be what the reference tools give today.
# The tools live in an environment of their own under target/, made again when requirements.txt changes.
#
# Usage: golden/check.sh [NAME...]   names of scripts without .py; default all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=target/golden-venv
wanted=$(cat golden/requirements.txt; python3 --version)
if [[ ! -f $venv/installed || $(cat "$venv/installed") != "$wanted" ]]; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "error: python3 with its venv module not found" >&2
        echo "hint: apt-get install python3 python3-venv" >&2
        exit 1
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement golden/requirements.txt
    printf '%s\n' "$wanted" >"$venv/installed"
fi

if [[ $# -gt 0 ]]; then
    scripts=("${@/#/golden/}")
    scripts=("${scripts[@]/%/.py}")
else
    shopt -s nullglob
    # vectors.py is what they share.
    scripts=()
    for script in golden/*.py; do
        [[ $script == golden/vectors.py ]] || scripts+=("$script")
    done
fi
if [[ ${#scripts[@]} == 0 ]]; then
    echo "error: no script in golden/" >&2
    exit 1
fi

failed=()
for script in "${scripts[@]}"; do
    start=$SECONDS
    if "$venv/bin/python" "$script" --check; then
        echo "golden: $script ok, $((SECONDS - start)) s"
    else
        echo "golden: $script FAILED, $((SECONDS - start)) s" >&2
        failed+=("$script")
    fi
done
if [[ ${#failed[@]} -gt 0 ]]; then
    echo "error: out of date: ${failed[*]}" >&2
    echo "hint: run the script without --check, look at what changed, and commit its output with the reason" >&2
    exit 1
fi
