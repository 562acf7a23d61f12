#!/usr/bin/env bash
# Builds the example guests into guest-examples/dist/NAME.wasm. Rebuilds only guests whose inputs have changed.
# If the tools of a language are missing, prints a line and skips its guests; with CI=true that is an error.
# `build.sh all` also builds the guests that only tests of `make test-all` use. `build.sh sqlalchemy` only builds the guest of the
# benchmark with SQLAlchemy, and `build.sh javascript-tools` only installs the tools of the JavaScript library.
# Settings: CARYA_BUILD_TARGET_DIR (build output), CARYA_BUILD_TOOLS_DIR (tools from npm and PyPI).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname "$here")
dist=$here/dist
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
target_dir=$(absolute "${CARYA_BUILD_TARGET_DIR:-${CARGO_TARGET_DIR:-$repo/target}/guests}")
tools_dir=$(absolute "${CARYA_BUILD_TOOLS_DIR:-$repo/target/guest-tools}")
world=controller
cd "$repo" # fingerprints contain relative paths, so that they stay valid in another checkout folder

say() { echo "guests: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# skip NAME WHY REMEDY
skip() {
    [ "${CI:-}" != true ] || die "$1: $2. $3"
    printf '\n*** SKIPPED guest %s: %s. %s ***\n\n' "$1" "$2" "$3" >&2
    rm -f "$dist/$1.wasm" # do not leave an outdated component behind
}

# place NAME FILE: replaces dist/NAME.wasm in one step, because a running host may be watching the file.
place() {
    cmp -s "$2" "$dist/$1.wasm" && return
    cp "$2" "$dist/.$1.$$"
    mv "$dist/.$1.$$" "$dist/$1.wasm"
    say "dist/$1.wasm"
}

# fingerprint PATH...: prints one checksum over names and contents.
fingerprint() {
    find "$@" -type f -not -path '*/node_modules/*' -not -path '*/__pycache__/*' -print0 |
        LC_ALL=C sort -z | xargs -0 cksum | cksum | cut -d ' ' -f 1
}

# once NAME INPUT... -- COMMAND...: runs COMMAND with the output file as its last argument, unless the inputs are
# unchanged since the last run. COMMAND returns 1 after `skip`; every other failure must `die`.
once() {
    local name=$1 built=$target_dir/components/$1.wasm inputs=() now
    shift
    while [ "$1" != -- ]; do
        inputs+=("$1")
        shift
    done
    shift
    now=$(fingerprint wit guest-examples/build.sh "${inputs[@]}")
    if [ ! -f "$built" ] || [ "$(cat "$built.inputs" 2>/dev/null)" != "$now" ]; then
        mkdir -p "$target_dir/components"
        rm -f "$built.inputs"
        "$@" "$built" || return 0
        echo "$now" >"$built.inputs"
    fi
    place "$name" "$built"
}

rust() {
    if [ ! -f guest-examples/Cargo.toml ]; then
        say "no Rust guests yet (guest-examples/Cargo.toml)"
        return
    fi
    local exports built file name
    exports=$(guest-examples/toolchain.sh)
    # Cargo's messages list the files of this build. The folder may also contain components of deleted guests.
    built=$(
        eval "$exports"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS # these flags are for the host's processor and linker
        cd guest-examples
        CARGO_TARGET_DIR=$target_dir cargo build --locked --release --target wasm32-wasip2 \
            --message-format=json-render-diagnostics
    )
    while IFS= read -r file; do
        name=$(basename "$file" .wasm)
        place "${name//_/-}" "$file"
    done < <(grep -o '"[^"]*\.wasm"' <<<"$built" | tr -d '"' | sort -u)
}

# --- JavaScript with the library guest/javascript. A guest for two engines has one source: StarlingMonkey (items-js) and
# QuickJS (items-qjs) ---

javascript() {
    local library=(guest/javascript/{bin,build,src,wasi,wit,package.json})
    once items-js guest-examples/items-js "${library[@]}" -- library_js items-js starlingmonkey items-js/items.js
    once items-qjs guest-examples/items-js "${library[@]}" -- library_js items-qjs quickjs items-js/items.js
    once items-ts guest-examples/items-ts "${library[@]}" -- library_js items-ts quickjs items-ts/items.ts
    once conformance-js guest-examples/conformance-js "${library[@]}" -- library_js conformance-js starlingmonkey conformance-js/conformance.js
    once conformance-qjs guest-examples/conformance-js "${library[@]}" -- library_js conformance-qjs quickjs conformance-js/conformance.js
    once library-js guest-examples/faulty/library-js "${library[@]}" -- library_js library-js starlingmonkey faulty/library-js/library.js
    once library-qjs guest-examples/faulty/library-js "${library[@]}" -- library_js library-qjs quickjs faulty/library-js/library.js
    once tickets-ts guest-examples/tickets-ts "${library[@]}" -- library_js tickets-ts quickjs tickets-ts/tickets.ts
    foreign_wit
    once foreign-js guest-examples/foreign/js guest-examples/foreign/wit guest/javascript/package.json -- foreign_js foreign-js
}

# library_js NAME ENGINE SOURCE OUTPUT
library_js() {
    js_tools "$1" || return 1
    say "$1: componentizing"
    # The program and the library find their packages in the tools.
    NODE_PATH=$tools/node_modules node guest/javascript/bin/carya-guest.mjs build "guest-examples/$3" -o "$4" -e "$2" >&2 ||
        die "$1 could not be built from guest-examples/$3 (messages above)"
}

# foreign_js NAME OUTPUT: a component without the library, which exports `wasi:http`.
foreign_js() {
    js_tools "$1" || return 1
    say "$1: componentizing"
    # Pass the script through stdin: node then looks for packages in the current folder, not beside the script.
    (cd "$tools" && node --input-type=module - "$here/foreign/js/handler.js" "$foreign_wit" handler "$2" <"$here/foreign/js/build.mjs") ||
        die "$1 could not be built from guest-examples/foreign/js (messages above)"
}

# Sets `foreign_wit` to a folder with the worlds of wasi:http and the contract.
foreign_wit() {
    foreign_wit=$target_dir/foreign-wit
    rm -rf "$foreign_wit"
    mkdir -p "$target_dir"
    cp -r guest-examples/foreign/wit "$foreign_wit"
    cp -r wit "$foreign_wit/deps/carya"
}

# Sets `tools`. The folder is named after the lock file and renamed into place, so an existing folder is complete.
js_tools() {
    local work
    tools=$tools_dir/js-$(fingerprint guest/javascript/package.json guest/javascript/package-lock.json)
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        skip "$1" "no node and npm" "Install Node.js 18 or newer with npm, then run this again"
        return 1
    fi
    if [ "$(node -p 'parseInt(process.versions.node)')" -lt 18 ]; then
        skip "$1" "node $(node -v) is too old" "Install Node.js 18 or newer, then run this again"
        return 1
    fi
    [ -d "$tools" ] && link_tools && return
    say "installing the JavaScript tools from npm (456 MB) into $tools"
    mkdir -p "$tools_dir"
    work=$(mktemp -d "$tools_dir/install.XXXXXX")
    cp guest/javascript/package.json guest/javascript/package-lock.json "$work"
    # Not `npm ci`: it fails if the registry lacks a package for another platform. The lock file still applies.
    if ! (cd "$work" && npm install --ignore-scripts --loglevel=error --no-audit --no-fund </dev/null >&2); then
        rm -rf "$work"
        skip "$1" "npm could not install the tools (messages above)" "Check that npm reaches its registry, then run this again"
        return 1
    fi
    settle "$work" "$tools"
    link_tools
}

# Lets the library find its packages.
link_tools() {
    ln -sfn "$tools/node_modules" guest/javascript/node_modules
}

# --- Python: with the library in guest/python, and a server by an SDK for wasi:http ---

python() {
    local library=guest/python/src
    once items-python guest-examples/items-python $library -- python_guest guest-examples/items-python items
    once conformance-python guest-examples/conformance-python $library -- python_guest guest-examples/conformance-python conformance
    once tickets-python guest-examples/tickets-python $library -- python_guest guest-examples/tickets-python tickets
    foreign_wit
    once foreign-python guest-examples/foreign/python guest-examples/foreign/wit guest/python/pyproject.toml -- \
        python_foreign foreign-python
}

# Guests with object-relational mappers. Only the tests that take minutes each use them.
mappers() {
    local mapper
    for mapper in django peewee sqlalchemy; do
        once "orders-$mapper" "guest-examples/orders-$mapper" guest/python/src -- python_guest "guest-examples/orders-$mapper" orders
    done
    once orders-sea-orm guest-examples/orders-sea-orm/{Cargo.toml,Cargo.lock,src} guest/rust/{Cargo.toml,macros,src} -- \
        sea_orm orders-sea-orm
}

# python_guest FOLDER MODULE OUTPUT: builds the module in a folder, with the packages in its requirements.txt.
python_guest() {
    local tools packages name=${1##*/} requirements=$1/requirements.txt paths=(--path "$1")
    python_tools "$name" || return 1
    if [ -f "$requirements" ]; then
        packages=$tools_dir/python-packages-$(fingerprint "$requirements")
        python_packages "$name" "$packages" --requirement "$requirements" || return 1
        paths+=(--path "$packages")
    fi
    say "$name: componentizing"
    PYTHONPATH=guest/python/src:$tools PYTHONDONTWRITEBYTECODE=1 \
        python3 -m carya_guest build "$2" "${paths[@]}" --output "$3" </dev/null >&2 ||
        die "$name could not be built from $1 (messages above)"
}

# python_foreign NAME OUTPUT
python_foreign() {
    local tools
    python_tools "$1" || return 1
    say "$1: componentizing"
    # No --stub-wasi: it would fix Python's random seed at build time.
    PYTHONPATH=$tools python3 "$tools/bin/componentize-py" --quiet --wit-path "$foreign_wit" --world handler \
        componentize --python-path guest-examples/foreign/python --output "$2" handler </dev/null >&2 ||
        die "$1 could not be built from guest-examples/foreign/python (messages above)"
}

# Sets `tools`, like js_tools. The tools are the dependencies of the library.
python_tools() {
    local requirement
    requirement=$(sed -n 's/^dependencies = \["\(.*\)"\]$/\1/p' guest/python/pyproject.toml)
    tools=$tools_dir/python-${requirement##*==}
    if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        skip "$1" "no python3 of version 3.11 or newer" "Install it with pip, then run this again"
        return 1
    fi
    python_packages "$1" "$tools" "$requirement"
}

# python_packages NAME FOLDER REQUIREMENT...: installs packages into a folder, unless it exists.
python_packages() {
    local name=$1 folder=$2 work pip=(python3 -m pip)
    shift 2
    [ -d "$folder" ] && return
    say "installing Python packages from PyPI into $folder"
    mkdir -p "$tools_dir"
    work=$(mktemp -d "$tools_dir/install.XXXXXX")
    # Debian packages pip and venv separately. Either of them is enough.
    if ! python3 -m pip --version >/dev/null 2>&1; then
        if ! python3 -m venv "$work/venv" >/dev/null 2>&1; then
            rm -rf "$work"
            skip "$name" "python3 has neither pip nor venv" "Install pip (Debian and Ubuntu: python3-pip), then run this again"
            return 1
        fi
        pip=("$work/venv/bin/python" -m pip)
    fi
    if ! "${pip[@]}" install --quiet --disable-pip-version-check --target "$work/packages" \
        --root-user-action ignore "$@" </dev/null >&2; then
        rm -rf "$work"
        skip "$name" "pip could not install the packages (messages above)" "Check that pip reaches its index, then run this again"
        return 1
    fi
    settle "$work/packages" "$folder"
    rm -rf "$work"
}

# --- C (items-c, guestbook-c, conformance-c) ---

c() {
    local name
    for name in items-c guestbook-c conformance-c; do
        once "$name" guest/c "guest-examples/$name" -- compile_c "$name" "guest-examples/$name/${name%-c}.c"
    done
}

# compile_c NAME SOURCE OUTPUT
compile_c() {
    if ! echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -x c -o /dev/null - 2>/dev/null; then
        skip "$1" "no clang for wasm32-wasi" "Install it with \`make servers\`, then run this again"
        return 1
    fi
    clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -Werror -I guest/c "$2" -o "$3" >&2 || die "$1 could not be built from $2 (messages above)"
}

# --- Rust with SeaORM, in a workspace of its own (orders-sea-orm) ---

# sea_orm NAME OUTPUT
sea_orm() {
    local exports needed found
    exports=$(guest-examples/toolchain.sh) || die "$1: there is no tool chain (messages above)"
    needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "guest-examples/$1/Cargo.toml")
    found=$(eval "$exports" && "${RUSTC:-rustc}" --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
        skip "$1" "Rust $found is too old, SeaORM needs $needed" \
            "Run \`rustup update stable && rustup target add wasm32-wasip2\`, then run this again"
        return 1
    fi
    say "$1: compiling"
    (
        eval "$exports"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
        cd "guest-examples/$1" &&
            CARGO_TARGET_DIR=$target_dir cargo build --locked --release --target wasm32-wasip2 >&2
    ) || die "$1 could not be built from guest-examples/$1 (messages above)"
    cp "$target_dir/wasm32-wasip2/release/${1//-/_}.wasm" "$2" || die "$2 could not be written"
}

# settle FROM TO: moves a folder into place, or uses the folder that a concurrent run has created first.
settle() {
    mv -T "$1" "$2" 2>/dev/null || rm -rf "$1"
    [ -d "$2" ] || die "could not create $2: check its permissions and the free disk space"
}

mkdir -p "$dist"
case ${1:-} in
javascript-tools)
    js_tools javascript
    exit
    ;;
sqlalchemy)
    once items-sqlalchemy bench/guests/sqlalchemy guest/python/src -- python_guest bench/guests/sqlalchemy items
    exit
    ;;
esac
rust
javascript
python
c
[ "${1:-}" != all ] || mappers
