#!/usr/bin/env bash
# Builds vocalics-runtime for wasm32-unknown-unknown.
#
# Uses the ordinary rustup target when it is installed or can be added. Where it cannot (no network to
# static.rust-lang.org), Debian's packages bring the standard library's source and a matching compiler, and the
# standard library is built along; as root they are installed here, else the command is printed.
#
#   ci/wasm32-check.sh [more cargo arguments, for example --features embedded]
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
package=vocalics-runtime
target_dir="${CARGO_TARGET_DIR:-target}/wasm32-check"
say() { printf 'wasm32: %s\n' "$*"; }

has_target() {
    command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx "$target"
}

if ! has_target && command -v rustup >/dev/null; then
    say "adding the rustup target"
    timeout 120 rustup target add "$target" >/dev/null 2>&1 || say "rustup cannot add it"
fi

if has_target; then
    say "building with the rustup target"
    cargo build --release --target "$target" --target-dir "$target_dir" -p "$package" "$@"
else
    packages=(rustc-web cargo-web rust-web-src lld-19)
    missing=()
    for name in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    if ((${#missing[@]})); then
        if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
            say "neither the rustup target nor Debian's packages are here; one of these helps:"
            say "  rustup target add $target"
            say "  sudo apt-get install --no-install-recommends ${missing[*]}"
            exit 1
        fi
        say "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    say "building with $(/usr/bin/rustc --version), standard library from source"
    # RUSTC_BOOTSTRAP allows -Zbuild-std on a stable compiler.
    env -u RUSTUP_TOOLCHAIN RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/lld-19 \
        /usr/bin/cargo build --release --target "$target" --target-dir "$target_dir" \
        -Zbuild-std=std,panic_abort -p "$package" "$@"
fi

library="$target_dir/$target/release/lib${package//-/_}.rlib"
[[ -s $library ]] || { say "no library was built"; exit 1; }
say "ok: $library ($(stat -c %s "$library") bytes)"
