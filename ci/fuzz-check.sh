#!/usr/bin/env bash
# Type-checks the fuzz targets, which are a package of their own. Nothing is fuzzed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz-check
echo 'fuzz targets: ok'
