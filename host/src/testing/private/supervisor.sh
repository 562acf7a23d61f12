# Runs a database server in the current folder, for `carya test --start`. Prints `ready` or `failed`. When its standard
# input is closed, however `carya test` ends, it ends the server and removes the folder. Variables: FOLDER, the current
# folder; PORT; PASSWORD of the administrator; REPLICAS, not empty if the application has replicas.

trap '' INT TERM HUP PIPE # the end of the standard input ends this shell
exec 2>>log
server=

run() {
    find_server >>log && initialize </dev/null >>log || return 1
    (trap - INT TERM HUP PIPE && start) </dev/null >>log &
    server=$!
    until is_ready; do
        kill -0 "$server" || return 1
        sleep 0.05
    done
}

if run; then echo ready; else echo failed; fi
read -r _
if [ -n "$server" ]; then kill -s "$signal" "$server" && wait "$server"; fi
cd / && rm -rf "$FOLDER"
