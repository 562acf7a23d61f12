#!/usr/bin/env bash
# Installs PostgreSQL, MariaDB and a registry for the tests where they are missing. Where that cannot be done it says so and goes on: the
# tests skip these engines, or fail with CI in the environment.
set -euo pipefail

missing=()
compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
[ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null || missing+=(mariadb-server)
command -v docker-registry >/dev/null || missing+=(docker-registry)
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
# The tests run servers of their own. In run level 1, init scripts start none; systemd's are stopped below.
"${as_root[@]}" apt-get -qq update </dev/null || give_up "apt-get update failed"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null || give_up "apt-get install failed"
if [ -d /run/systemd/system ]; then
    # They were not there a minute ago, so nobody needs them.
    "${as_root[@]}" systemctl --quiet disable --now "${missing[@]/%-server/}" || true
fi
