#!/usr/bin/env bash
# Makes sure that Rust guests can be compiled for wasm32-wasip2, and prints the exports that such a build needs:
#
#     exports=$(guest-examples/toolchain.sh) && eval "$exports"
#
# Use the exports only for building guests: they can select another rustc. Never build the host with them. Progress goes
# to stderr. Settings: CARYA_BUILD_TOOLCHAIN_DIR (folder for downloads), CARYA_BUILD_RUSTUP_TIMEOUT (seconds; also
# retries at once after a failure), CARYA_BUILD_DEBIAN_MIRROR (if apt has none configured).
set -euo pipefail

target=wasm32-wasip2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${CARYA_BUILD_TOOLCHAIN_DIR:-$(dirname "$here")/target/wasm-toolchain}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
cd "$here" # rustup selects the tool chain by folder

say() { echo "toolchain: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Looks for the standard library, not only for its folder, which may remain after a target was removed.
has_target() {
    local libraries
    libraries=$("$1" --print target-libdir --target "$target" 2>/dev/null) || return 1
    compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

# --- rustup: the usual way ---

rustup_failed=$dir/rustup-failed

add_with_rustup() {
    command -v rustup >/dev/null || return 1
    if [ -z "${CARYA_BUILD_RUSTUP_TIMEOUT:-}" ] && [ -n "$(find "$rustup_failed" -mtime -1 2>/dev/null)" ]; then
        return 1
    fi
    local seconds=${CARYA_BUILD_RUSTUP_TIMEOUT:-45}
    say "rustup target add $target (at most $seconds s)"
    # Some networks drop the download instead of refusing it, so always set a time limit.
    if timeout --foreground --kill-after=5 "$seconds" rustup target add "$target" </dev/null >&2 && has_target rustc; then
        rm -f "$rustup_failed"
        return 0
    fi
    mkdir -p "$dir"
    touch "$rustup_failed"
    say "rustup could not add $target; not trying again for a day unless CARYA_BUILD_RUSTUP_TIMEOUT is set"
    return 1
}

# --- Debian: rustc and its wasm standard library of trixie, unpacked below the build folder; nothing is installed ---

# rustc needs its own libraries, because those of the machine may be older; patchelf sets their path. No root needed.
packages=(
    rustc libstd-rust-1.85 libstd-rust-dev libstd-rust-dev-wasm32 patchelf
    libllvm19 libc6 libstdc++6 libgcc-s1 zlib1g libzstd1 libxml2 libedit2 libtinfo6 libbsd0 libmd0 libffi8 libz3-4
    liblzma5 libgmp10 libicu76
)
root=$dir/debian-trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

by_hand="Get the target by hand: \`rustup target add $target\` on a network that reaches Rust's download server \
(CARYA_BUILD_RUSTUP_TIMEOUT=600 for a slow one), or build the guests on a machine that has it."

# The Debian fallback cannot work here, so let the next call try rustup again.
no_debian() {
    rm -f "$rustup_failed"
    die "$1. $by_hand"
}

# Prints the mirror that this machine uses. Before the first `apt-get update` only the address identifies a Debian
# mirror.
debian_mirror() {
    if [ -n "${CARYA_BUILD_DEBIAN_MIRROR:-}" ]; then
        echo "$CARYA_BUILD_DEBIAN_MIRROR"
        return
    fi
    {
        # shellcheck disable=SC2016 # the $(...) are apt's
        apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages'
        # shellcheck disable=SC2016
        apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages'
    } 2>/dev/null |
        awk '!found && ($1 ~ "/debian(\\.list)?/?$" || ($2 == "Debian" && $3 == "Debian")) { print $1; found = 1 }'
}

unpack_debian() {
    local mirror work package
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || no_debian "apt knows no Debian mirror (CARYA_BUILD_DEBIAN_MIRROR can name one)"
    [ -f "$keyring" ] || no_debian "$keyring is missing (package debian-archive-keyring)"

    mkdir -p "$dir"
    find "$dir" -maxdepth 1 -name 'unpack.*' -mmin +60 -exec rm -rf {} + # left over from a killed run
    work=$(mktemp -d "$dir/unpack.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,root,none}
    echo "deb [signed-by=$keyring target=Packages] $mirror trixie main" >"$work/sources.list"
    # Separate lists, cache and status: apt ignores the machine's packages and pins, and needs no root.
    cat >"$work/apt.conf" <<CONF
Dir::State::Lists "$work/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/none";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$work/none";
APT::Sandbox::User "root";
#clear APT::Architectures;
APT::Architectures { "amd64"; };
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "3";
APT::Update::Error-Mode "any";
CONF
    say "fetching Debian's rustc 1.85 with $target (205 MB, unpacked 0.8 GB) into $root"
    apt-get -c "$work/apt.conf" -qq update >&2 ||
        die "apt-get update failed for suite trixie of $mirror: check the network and the mirror, then run again. $by_hand"
    (cd "$work/debs" && apt-get -c "$work/apt.conf" -qq download "${packages[@]}" >&2) ||
        die "apt-get download failed: check the network, then run again. $by_hand"
    for package in "$work"/debs/*.deb; do
        dpkg -x "$package" "$work/root" || die "could not unpack $package: is the disk full (0.8 GB needed in $dir)?"
    done
    # Move the complete folder into place. If a concurrent run was faster, use its folder.
    mv -T "$work/root" "$root" 2>/dev/null || [ -d "$root/usr" ] || die "could not create $root: check its permissions"
    rm -rf "$work"
    trap - EXIT
}

# Makes rustc use the libraries beside it. The paths are absolute, so a moved folder must be patched again.
patch_debian() {
    local loader=$root/usr/lib64/ld-linux-x86-64.so.2 libraries=$root/usr/lib/x86_64-linux-gnu:$root/usr/lib
    # Write to a new file, so that an interrupted patchelf leaves no incomplete rustc.
    "$loader" --library-path "$libraries" "$root/usr/bin/patchelf" --set-interpreter "$loader" \
        --force-rpath --set-rpath "$libraries" --output "$root/usr/bin/rustc.$$" "$root/usr/bin/rustc"
    chmod 755 "$root/usr/bin/rustc.$$"
    mv "$root/usr/bin/rustc.$$" "$root/usr/bin/rustc"
    has_target "$root/usr/bin/rustc" || die "Debian's rustc in $root does not work: remove that folder and run again"
}

use_debian() {
    local ready=$root/.ready tools
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        no_debian "this is neither Debian nor Ubuntu"
    fi
    [ "$(dpkg --print-architecture)" = amd64 ] || no_debian "Debian's tool chain is only set up for amd64 here"
    # Every tool chain of rustup includes wasm-component-ld, with or without the target. Debian does not package it.
    tools=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
    [ -x "$tools/wasm-component-ld" ] && [ -x "$tools/gcc-ld/wasm-ld" ] ||
        no_debian "$tools has no wasm-component-ld, because this Rust is not rustup's: install Rust with rustup"

    if [ "$(cat "$ready" 2>/dev/null)" != "$root" ]; then
        [ -d "$root/usr" ] || unpack_debian
        patch_debian
        echo "$root" >"$ready"
    fi
    printf 'export RUSTC=%q\n' "$root/usr/bin/rustc"
    printf 'export CARGO_TARGET_WASM32_WASIP2_LINKER=%q\n' "$tools/wasm-component-ld"
    # shellcheck disable=SC2016 # the caller's PATH
    printf 'export PATH=%q:"$PATH"\n' "$tools/gcc-ld"
    say "guests: Debian's rustc 1.85 in $root"
}

command -v rustc >/dev/null || die "no rustc: install Rust with rustup, open a new shell and run again"
if has_target rustc; then
    say "guests: the installed Rust has $target"
elif add_with_rustup; then
    say "guests: rustup added $target"
else
    use_debian
fi
