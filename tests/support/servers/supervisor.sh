# Looks after one database server for a test process: takes orders from standard input, one a line, and answers each with
# `done` or `failed`. When the input ends, however the test process ended, it ends the server and removes the folder.
# The orders are the functions of postgres.sh or mariadb.sh, which stand before this text.

trap '' PIPE # nobody to answer to is no reason to leave a server behind
exec 2>>log

server=

# The pause lets the shell notice the end of its child.
alive() { sleep 0.03 && [ -n "$server" ] && kill -0 "$server"; }

# Sends the server a signal and waits for its end.
end() {
    [ -n "$server" ] || return 0
    kill -s "$1" "$server" && wait "$server"
    server=
}

while read -r order argument; do
    if "$order" "$argument" </dev/null >>log; then echo done; else echo failed; fi
done

abandon </dev/null >>log
cd / && rm -rf "$FOLDER"
