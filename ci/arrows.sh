#!/usr/bin/env bash
# Checks that the crates' dependencies run in the direction docs/ARCHITECTURE.md states, transitively and with every feature on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0

# forbid CRATE PATTERN: no package in CRATE's tree of normal dependencies has a name that matches PATTERN.
forbid() {
    local crate=$1 pattern=$2 found
    if [[ ! -d crates/$crate ]]; then
        return
    fi
    found=$(cargo tree --locked --package "$crate" --edges normal --all-features --target all \
        --prefix none --format '{p}' |
        awk '{print $1}' | sort -u | grep -Ex "$pattern" | tr '\n' ' ' || true)
    if [[ -n $found ]]; then
        echo "error: $crate depends on ${found% }, which docs/ARCHITECTURE.md rules out" >&2
        failed=1
    fi
}

training='burn|burn-.*|vocalics-models|vocalics-train'
codecs='vocalics-audio|symphonia|symphonia-.*'

forbid vocalics-dsp "vocalics-(audio|augment|corpora|eval|features|kernels|runtime|cli)|$training"
forbid vocalics-features "vocalics-(augment|corpora|eval|runtime|cli)|$training|$codecs"
forbid vocalics-runtime "vocalics-(augment|corpora|eval|cli)|$training|$codecs"
forbid vocalics-audio "vocalics-(augment|corpora|eval|runtime|cli)|$training"
forbid vocalics-augment "vocalics-(corpora|eval|features|kernels|runtime|cli)|$training"
forbid vocalics-corpora "vocalics-(augment|eval|runtime|cli)|$training"
forbid vocalics-eval "vocalics-(augment|cli)|$training"
forbid vocalics-kernels "vocalics-(audio|augment|corpora|dsp|eval|features|models|runtime|train|cli)"
forbid vocalics-models 'vocalics-(audio|augment|corpora|eval|train|cli)'
forbid vocalics-train 'vocalics-cli'

if [[ $failed == 0 ]]; then
    echo "arrows: ok"
fi
exit "$failed"
