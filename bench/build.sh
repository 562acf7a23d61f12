#!/usr/bin/env bash
# Builds the guests of the benchmark and the named tools below target/bench:
#
#     bench/build.sh [wasmtime] [pecan] [node] [workerd]
#
# Installs wrk and taskset with apt if they are missing. Builds only guests and tools that are missing or have changed.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repo/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
cd "$repo"

say() { echo "bench: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

guests() {
    local exports
    exports=$(guest-examples/toolchain.sh)
    (
        eval "$exports"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS # these flags are for the host's processor and linker
        cd bench/guests
        CARGO_TARGET_DIR=$target/bench/guests cargo build --locked --release --target wasm32-wasip2
    )
    guest-examples/build.sh sqlalchemy
}

# Not named `wrk`: `command -v` would find the function instead of the program.
load_generator() {
    local missing=() as_root=()
    command -v wrk >/dev/null || missing+=(wrk)
    command -v taskset >/dev/null || missing+=(util-linux)
    [ ${#missing[@]} != 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo -n)
        sudo -n true 2>/dev/null || die "no ${missing[*]}, and neither root nor sudo without a password: install it by hand"
    fi
    command -v apt-get >/dev/null || die "no ${missing[*]}, and no apt-get here: install it by hand"
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get -qq update </dev/null || die "apt-get update failed: check the network, then run this again"
    "${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null ||
        die "${missing[*]} could not be installed: install it by hand, then run this again"
}

# Builds the version of wasmtime that the host uses.
wasmtime() {
    local version
    version=$(grep -A1 '^name = "wasmtime"$' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
    [ "$("$target/bench/tools/bin/wasmtime" --version 2>/dev/null | cut -d ' ' -f 2)" != "$version" ] || return 0
    say "building wasmtime $version, which takes minutes"
    CARGO_TARGET_DIR=$target/bench/tools/build cargo install --quiet --locked --root "$target/bench/tools" \
        --version "$version" wasmtime-cli || die "wasmtime could not be built (messages above)"
    rm -rf "$target/bench/tools/build"
}

pecan() {
    local folder=$target/bench/pecan
    cmp -s bench/pecan/requirements.txt "$folder/requirements.txt" && return
    say "installing Pecan into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder" || die "python3 has no venv: install it (Debian and Ubuntu: python3-venv), then run this again"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement bench/pecan/requirements.txt ||
        die "Pecan could not be installed (messages above): check that pip reaches its index, then run this again"
    cp bench/pecan/requirements.txt "$folder"
}

node() { packages node; }
workerd() { packages workerd; }

# Installs the npm packages of a server below target/bench.
packages() {
    local folder=$target/bench/$1 program prefix
    cmp -s "bench/$1/package-lock.json" "$folder/installed" && return
    # Not `command -v`, which would find the function `node`.
    program=$(type -P node) && type -P npm >/dev/null || die "no Node.js with npm: install version 20 or later, then run this again"
    say "installing the packages of bench/$1 into $folder"
    mkdir -p "$folder"
    rm -f "$folder/installed"
    cp "bench/$1/package.json" "bench/$1/package-lock.json" "$folder"
    # If no compiled better-sqlite3 can be downloaded, npm compiles it. By default it downloads the headers of Node.js for
    # this, which fails too on a machine that reaches only the registry.
    prefix=$(dirname "$(dirname "$program")")
    [ ! -e "$prefix/include/node/node.h" ] || export npm_config_nodedir=$prefix
    (cd "$folder" && npm ci --loglevel error --no-audit --no-fund) ||
        die "the packages of bench/$1 could not be installed (messages above): check that npm reaches its registry, then run this again"
    cp "bench/$1/package-lock.json" "$folder/installed"
}

# Fail before the steps that take minutes.
[ "$(nproc)" -ge 2 ] || die "one core is too few: the server that is measured has one to itself"
load_generator
for tool in "$@"; do "$tool"; done
guests
