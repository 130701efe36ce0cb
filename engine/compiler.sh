# The Rust compiler of a build, and its progress: sourced by install.sh and wheels.sh.
#
# Compiling takes cargo 1.85 or later. Where the path has none, root on Debian or Ubuntu gets the
# distribution's; elsewhere maturin, the build backend, fetches a toolchain for this build alone.
# shellcheck shell=bash
least=1.85
log=$(mktemp)
trap 'rm -f "$log"' EXIT

has() { command -v "$1" >/dev/null; }

is_new_enough() { # a version like 1.95.0
    [[ $1 =~ ^1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= ${least#1.}))
}

has_cargo() {
    local version
    version=$(cargo --version 2>/dev/null) && is_new_enough "${version#cargo }"
}

# Packages of the distribution's compiler: Debian 13 and Ubuntu have `rustc`; Debian 12's is too old,
# but it has a newer one for web browsers.
packages() {
    local name version
    for name in "" -web; do
        version=$(apt-cache policy "rustc$name" | sed -n 's/.*Candidate: //p')
        if is_new_enough "$version"; then
            echo "cargo$name rustc$name"
            return
        fi
    done
}

install_compiler() {
    local wanted
    apt-get update >"$log" 2>&1 || return 0
    wanted=$(packages)
    [[ -n $wanted ]] || return 0
    echo "the core is written in Rust: installing the distribution's compiler ($wanted)"
    # shellcheck disable=SC2086 # two packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $wanted gcc libc6-dev \
        >"$log" 2>&1 || cat "$log" >&2
}

get_compiler() {
    if ! has_cargo && [[ $(id -u) == 0 ]] && has apt-get; then
        install_compiler
    fi
    if has cargo && ! has_cargo; then
        echo "the cargo on the path is older than $least, and the build can fail with it"
    elif ! has cargo; then
        echo "no cargo on the path: the build fetches a Rust toolchain"
    fi
}

progress() { # one line a crate, so that a first build is no silent minute
    local line
    while IFS= read -r line; do
        echo "$line" >>"$log"
        if [[ $line =~ Compiling\ ([a-z0-9_-]+)\ v ]]; then
            echo "  compiling ${BASH_REMATCH[1]}"
        fi
    done
}

build() { # pip with these arguments; where it fails, the end of its output and the remedy
    : >"$log"
    if ! "$python" -m pip "$@" 2>&1 | progress; then
        tail -n 60 "$log" >&2
        has_cargo || cat >&2 <<EOF

The core needs a Rust compiler, $least or later. Install one and run the same command again:
  Debian 13, Ubuntu: apt-get install cargo rustc      (as root)
  Debian 12:         apt-get install cargo-web rustc-web
  elsewhere:         https://rustup.rs
EOF
        exit 1
    fi
}
