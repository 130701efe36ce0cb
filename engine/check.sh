#!/usr/bin/env bash
# Check the core: formatting, lints, tests. A tool that the distribution's Rust lacks is named and
# left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! cargo --version >/dev/null 2>&1; then
    echo "the core's Rust is not checked: cargo is not on the path"
    exit
fi

check() { # NAME COMMAND…
    if cargo "$2" --version >/dev/null 2>&1; then
        cargo "${@:2}"
    else
        echo "the core's Rust is not checked by $1: it is not installed"
    fi
}

check rustfmt fmt --check
check clippy clippy --quiet --workspace --all-targets -- --deny warnings
cargo test --quiet --package ordertide-core
