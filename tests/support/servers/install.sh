#!/usr/bin/env bash
# Installs PostgreSQL, PgBouncer, MariaDB, a container registry, nginx, HAProxy, a certificate authority, Chromium, load
# generators and a C compiler for WebAssembly for the tests if they are missing. If the installation is not possible,
# prints a warning and exits with 0: the tests on them are skipped, or fail with CI in the environment.
set -euo pipefail

missing=()
compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || missing+=(pgbouncer)
[ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null || missing+=(mariadb-server)
command -v docker-registry >/dev/null || missing+=(docker-registry)
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing+=(nginx)
[ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null || missing+=(haproxy)
command -v pebble >/dev/null || missing+=(pebble)
[ -x /usr/bin/chromium ] || [ -x /usr/bin/chromium-browser ] || [ -x /usr/bin/google-chrome ] || missing+=(chromium)
command -v h2load >/dev/null || missing+=(nghttp2-client)
command -v wrk >/dev/null || missing+=(wrk)
services=("${missing[@]/%-server/}")
# Linking a program needs the compiler, the linker, the C library and the compiler's runtime library.
echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -x c -o /dev/null - 2>/dev/null ||
    missing+=(clang lld wasi-libc libclang-rt-dev-wasm32)
[ ${#missing[@]} != 0 ] || exit 0

give_up() {
    printf '\n*** servers: %s. Tests on them are SKIPPED: install %s by hand ***\n\n' "$1" "${missing[*]}" >&2
    exit 0
}

command -v apt-get >/dev/null || give_up "no apt-get here"
as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
    sudo -n true 2>/dev/null || give_up "neither root nor sudo without a password"
fi
echo "servers: installing ${missing[*]}"
# The tests start their own servers. In run level 1 the init scripts start no server; systemd's units are stopped below.
"${as_root[@]}" apt-get -qq update </dev/null || give_up "apt-get update failed"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null || give_up "apt-get install failed"
if [ -d /run/systemd/system ] && [ ${#services[@]} != 0 ]; then
    # The packages were not installed before this script ran, so no other program needs their services.
    "${as_root[@]}" systemctl --quiet disable --now "${services[@]}" || true
fi
