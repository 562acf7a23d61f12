# Commands of a private MariaDB server. See supervisor.sh, which follows this text.

PATH=$PATH:/usr/sbin:/usr/libexec

find_server() {
    if command -v mariadbd mariadb-install-db mariadb-admin; then return 0; fi
    echo 'MariaDB is not installed: no `mariadbd`, `mariadb-install-db` and `mariadb-admin` on the PATH' >&2
    return 1
}

initialize() {
    printf "ALTER USER root@'127.0.0.1' IDENTIFIED BY '%s';\n" "$PASSWORD" >start.sql
    mariadb-install-db --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" \
        --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=8M --innodb-flush-method=nosync
}

# Only the binary log gives commits a position, which the host returns if there are replicas. With this log, the server
# would refuse functions that are not declared `DETERMINISTIC`, unless it trusts their creators.
start() {
    set --
    [ -z "$REPLICAS" ] || set -- --log-bin=binlog --server-id=1 --log-bin-trust-function-creators=1
    exec mariadbd --no-defaults --datadir="$FOLDER/data" --tmpdir="$FOLDER" --bind-address=127.0.0.1 --port="$PORT" \
        --socket="$FOLDER/socket" --pid-file="$FOLDER/pid" --init-file="$FOLDER/start.sql" --skip-name-resolve \
        --character-set-server=utf8mb4 --max-connections=300 --performance-schema=OFF \
        --innodb-buffer-pool-size=32M --innodb-log-file-size=8M --innodb-flush-log-at-trx-commit=0 \
        --innodb-flush-method=nosync "$@"
}

is_ready() { mariadb-admin --no-defaults -uroot -p"$PASSWORD" -h127.0.0.1 -P"$PORT" ping >/dev/null; }
signal=TERM
