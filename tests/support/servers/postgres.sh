# PostgreSQL's orders for supervisor.sh. Set: FOLDER (and the current folder), BIN, PORT, PASSWORD.

initialize() {
    printf '%s\n' "$PASSWORD" >password &&
        "$BIN/initdb" -D data -U postgres -A scram-sha-256 --pwfile=password -E UTF8 --locale=C.UTF-8 --no-sync &&
        cat >>data/postgresql.conf <<'SETTINGS'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off                             # processes are killed here, machines are not
full_page_writes = off
synchronous_commit = on
wal_level = replica
max_connections = 200
shared_buffers = 32MB
dynamic_shared_memory_type = mmap       # in the data folder, which is removed
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
SETTINGS
}

# adopt FOLDER: takes over the data that another supervisor has initialized.
adopt() { cp -Rp "$1/data" data; }

# follow PORT: makes this the hot standby of a primary which was initialized as the same data. Before the first start.
follow() {
    touch data/standby.signal &&
        cat >>data/postgresql.conf <<SETTINGS
primary_conninfo = 'host=127.0.0.1 port=$1 user=postgres password=$PASSWORD sslmode=disable'
primary_slot_name = 'replica'
SETTINGS
}

start() {
    set --
    # Who measures wants servers that keep things.
    [ -z "${FSYNC:-}" ] || set -- -c fsync=on -c full_page_writes=on
    "$BIN/postgres" -D data -p "$PORT" "$@" &
    server=$!
}

stop() { end INT; }

# Kills the postmaster and all of its children; while it is stopped there are no new ones.
crash() {
    [ -n "$server" ] || return 0
    kill -s STOP "$server"
    children=$(cat "/proc/$server/task/$server/children")
    # shellcheck disable=SC2086 # a list
    kill -s KILL $children
    end KILL
    # A child that is still dying holds the shared memory, and the next start would refuse.
    for child in $children; do
        while grep -qs '^State:.[^ZX]' "/proc/$child/status"; do sleep 0.01; done
    done
}

abandon() {
    end QUIT
    # A crash leaves a small segment of shared memory to the next start, which will not come.
    segment=$(sed -n '7s/.* //p' data/postmaster.pid)
    [ -z "$segment" ] || ipcrm -m "$segment"
}
