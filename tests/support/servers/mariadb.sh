# Commands for MariaDB that supervisor.sh executes. Variables: FOLDER (also the current folder), INSTALL, SERVER, PORT,
# PASSWORD.

initialize() {
    # The server runs this file at every start, on replicas too, so the file must not write to the binary log.
    cat >start.sql <<STATEMENTS
SET sql_log_bin = 0;
ALTER USER root@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
STATEMENTS
    "$INSTALL" --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" \
        --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=8M --innodb-flush-method=nosync
}

# adopt FOLDER: copies the data that another supervisor has initialized.
adopt() { cp -Rp "$1/data" "$1/start.sql" .; }

# follow PORT: makes `start` pass a replica's options. `CHANGE MASTER` configures the rest.
follow() { touch replica; }

start() {
    set --
    [ ! -e replica ] || set -- --read-only
    # Benchmarks set FSYNC to measure durable servers with the default size of the redo log: a small log fills within
    # seconds, and then all clients wait until the disk has caught up.
    [ -z "${FSYNC:-}" ] || set -- "$@" --innodb-flush-log-at-trx-commit=1 --innodb-flush-method=fsync --skip-log-bin \
        --innodb-log-file-size=96M --innodb-buffer-pool-size=128M
    # A starting server deletes the temporary tables of other servers in the same tmpdir, so each has its own.
    # The redo log is written at each commit and never flushed: tests kill processes, not the machine.
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
