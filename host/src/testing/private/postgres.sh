# Commands of a private PostgreSQL server. See supervisor.sh, which follows this text.

unset PGDATA PGHOST PGPORT PGUSER PGPASSWORD PGOPTIONS PGDATABASE

# The folder of the newest installed server. `pg_config` may be installed without a server.
find_server() {
    for bin in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV) \
        "$(pg_config --bindir)" "$(dirname "$(command -v postgres)")"; do
        if [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ]; then return 0; fi
    done
    echo 'PostgreSQL is not installed: no `postgres` and `initdb` in /usr/lib/postgresql, on the PATH or in the folder of `pg_config`' >&2
    return 1
}

# Any user of the machine can connect to the port, so logins have a password, which is long and random: a slow hash of it
# would only delay each connection.
initialize() {
    printf '%s\n' "$PASSWORD" >password &&
        "$bin/initdb" -D data -U postgres -A password --pwfile=password -E UTF8 --locale=C.UTF-8 --no-sync &&
        rm password
}

start() {
    exec "$bin/postgres" -D data -p "$PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300 -c autovacuum=off \
        -c dynamic_shared_memory_type=mmap
}

is_ready() { "$bin/pg_isready" -q -h 127.0.0.1 -p "$PORT"; }
signal=INT
