# Controls one database server for a test process. Reads commands from standard input, one per line, and prints `done`
# or `failed` after each. At the end of the input, however the test process ended, it ends the server and removes the
# folder. The commands are the functions of postgres.sh or mariadb.sh, which precede this text.

trap '' PIPE # a closed output must not end the shell before it has ended the server
exec 2>>log

server=

# The pause gives the shell time to notice that its child has ended.
alive() { sleep 0.03 && [ -n "$server" ] && kill -0 "$server"; }

# Sends the server a signal and waits until the server has ended.
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
