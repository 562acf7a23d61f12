# Commands for PostgreSQL that supervisor.sh executes. Variables: FOLDER (also the current folder), BIN, PORT, PASSWORD.

initialize() {
    printf '%s\n' "$PASSWORD" >password &&
        "$BIN/initdb" -D data -U postgres -A scram-sha-256 --pwfile=password -E UTF8 --locale=C.UTF-8 --no-sync &&
        cat >>data/postgresql.conf <<'SETTINGS'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off                             # tests kill processes, not the machine
full_page_writes = off
synchronous_commit = on
wal_level = replica
max_connections = 200
shared_buffers = 32MB
dynamic_shared_memory_type = mmap       # in the data folder, which the supervisor removes
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
SETTINGS
}

# adopt FOLDER: copies the data that another supervisor has initialized.
adopt() { cp -Rp "$1/data" data; }

# follow PORT: makes this server the hot standby of a primary with a copy of the same data. Call it before the first
# start.
follow() {
    touch data/standby.signal &&
        cat >>data/postgresql.conf <<SETTINGS
primary_conninfo = 'host=127.0.0.1 port=$1 user=postgres password=$PASSWORD sslmode=disable'
primary_slot_name = 'replica'
SETTINGS
}

start() {
    set --
    # Benchmarks set FSYNC to measure durable servers.
    [ -z "${FSYNC:-}" ] || set -- -c fsync=on -c full_page_writes=on
    "$BIN/postgres" -D data -p "$PORT" "$@" &
    server=$!
}

stop() { end INT; }

# Kills the postmaster and all of its children. The postmaster is stopped first, so that it cannot fork new ones.
crash() {
    [ -n "$server" ] || return 0
    kill -s STOP "$server"
    children=$(cat "/proc/$server/task/$server/children")
    # shellcheck disable=SC2086 # a list
    kill -s KILL $children
    end KILL
    # A child that is still dying holds the shared memory, and the next start would fail.
    for child in $children; do
        while grep -qs '^State:.[^ZX]' "/proc/$child/status"; do sleep 0.01; done
    done
}

abandon() {
    end QUIT
    # A crash leaves a small segment of shared memory for the next start to reuse. There is no next start, so remove it.
    segment=$(sed -n '7s/.* //p' data/postmaster.pid)
    [ -z "$segment" ] || ipcrm -m "$segment"
}
