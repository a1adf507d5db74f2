#!/usr/bin/env bash
# Type-checks the builds for graphics cards. No card is needed, and none is used.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# burn's CUDA backend links an LLVM that its build downloads; the type check needs none of it, and DOCS_RS is how those
# build scripts are told so.
DOCS_RS=1 cargo check --locked --release --package vocalics-cli --features cuda,wgpu --target-dir target/gpu-check
echo 'gpu: ok'
