#!/usr/bin/env bash
# Runs Zig with the given arguments, after it has installed Zig from PyPI (98 MB) if it is missing.
# Setting: CARYA_BUILD_TOOLS_DIR (tools from npm and PyPI).
set -euo pipefail

version=0.16.0
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARYA_BUILD_TOOLS_DIR:-$repo/target/guest-tools}/zig-$version
if [ ! -d "$tools" ]; then
    mkdir -p "$(dirname "$tools")"
    work=$(mktemp -d "$tools.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --root-user-action ignore \
        --target "$work/packages" "ziglang==$version" </dev/null >&2
    # A concurrent run may have created the folder first.
    mv -T "$work/packages" "$tools" 2>/dev/null || [ -d "$tools" ]
    rm -rf "$work"
fi
exec "$tools/ziglang/zig" "$@"
