# MariaDB's orders for supervisor.sh. Set: FOLDER (and the current folder), INSTALL, SERVER, PORT, PASSWORD.

initialize() {
    # Read at every start, on replicas too, so it must stay out of the binary log.
    cat >start.sql <<STATEMENTS
SET sql_log_bin = 0;
ALTER USER root@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
STATEMENTS
    "$INSTALL" --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" \
        --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=8M --innodb-flush-method=nosync
}

# adopt FOLDER: takes over the data that another supervisor has initialized.
adopt() { cp -Rp "$1/data" "$1/start.sql" .; }

# follow PORT: makes this a replica, as far as it is said at the start; CHANGE MASTER says the rest.
follow() { touch replica; }

start() {
    set --
    [ ! -e replica ] || set -- --read-only
    # Who measures wants servers that keep things, with the log they come with: a small one fills within seconds, and then
    # everybody waits until the disk has caught up.
    [ -z "${FSYNC:-}" ] || set -- "$@" --innodb-flush-log-at-trx-commit=1 --innodb-flush-method=fsync --skip-log-bin \
        --innodb-log-file-size=96M --innodb-buffer-pool-size=128M
    # A server that starts removes what others have in the same folder for temporary tables.
    # Written at each commit, flushed never: processes are killed here, machines are not.
    "$SERVER" --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" --bind-address=127.0.0.1 --port="$PORT" \
        --server-id="$PORT" --socket="$FOLDER/socket" --pid-file="$FOLDER/pid" --init-file="$FOLDER/start.sql" \
        --skip-name-resolve --character-set-server=utf8mb4 \
        --max-connections=200 --innodb-buffer-pool-size=32M --innodb-log-file-size=8M --performance-schema=OFF \
        --innodb-flush-log-at-trx-commit=2 --innodb-flush-method=nosync --sync-binlog=0 \
        --log-bin=binlog --log-slave-updates --relay-log=relay --slave-net-timeout=10 "$@" &
    server=$!
}

stop() { end TERM; }
crash() { end KILL; }
abandon() { end KILL; }
