#!/usr/bin/env bash
# Checks licences, sources and bans (deny.toml) of everything in Cargo.lock with cargo-deny.
# `--advisories` checks the RustSec advisories too, which needs its database from the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2
checks=(bans licenses sources)
if [[ ${1:-} == --advisories ]]; then
    checks+=(advisories)
fi

# A cargo-deny that is already there will do. Building it takes about 4 CPU minutes: its own release profile has
# link-time optimisation, which costs another one and gains nothing on a check of a few seconds.
if ! command -v cargo-deny >/dev/null; then
    echo "deny: installing cargo-deny $version"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --locked --quiet "cargo-deny@$version"
fi
cargo deny --version
cargo deny --locked check --hide-inclusion-graph "${checks[@]}"
