# Commands for MySQL that supervisor.sh executes, instead of those of mariadb.sh. Variables: FOLDER (also the current
# folder), SERVER, PORT, PASSWORD.

initialize() {
    # The server runs this file at every start, on replicas too, so the file must not write to the binary log.
    cat >start.sql <<STATEMENTS
SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS root@'127.0.0.1';
ALTER USER root@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
STATEMENTS
    "$SERVER" --no-defaults --initialize-insecure --datadir="$FOLDER/data" --tmpdir="$FOLDER" \
        --innodb-redo-log-capacity=8M --innodb-flush-method=nosync
}

# adopt FOLDER: copies the data that another supervisor has initialized, without the identity of that server.
adopt() { cp -Rp "$1/data" "$1/start.sql" . && rm -f data/auto.cnf; }

# follow PORT: makes `start` pass a replica's options. `CHANGE REPLICATION SOURCE` configures the rest.
follow() { touch replica; }

start() {
    set --
    [ ! -e replica ] || set -- --read-only
    # The redo log is written at each commit and never flushed: tests kill processes, not the machine.
    "$SERVER" --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" --bind-address=127.0.0.1 --port="$PORT" \
        --server-id="$PORT" --socket="$FOLDER/socket" --pid-file="$FOLDER/pid" --init-file="$FOLDER/start.sql" \
        --mysqlx=OFF --secure-file-priv=NULL --skip-name-resolve --max-connections=200 --innodb-buffer-pool-size=32M \
        --innodb-redo-log-capacity=8M --performance-schema=OFF \
        --innodb-flush-log-at-trx-commit=2 --innodb-flush-method=nosync --sync-binlog=0 \
        --gtid-mode=ON --enforce-gtid-consistency=ON --log-bin=binlog --relay-log=relay \
        --replica-net-timeout=10 "$@" &
    server=$!
}

stop() { end TERM; }
crash() { end KILL; }
abandon() { end KILL; }
