# Tests of the application over HTTP. `make test` runs them by `carya test`, which serves the application on throw-away
# databases.

failed=0

# Resets the database before each test.
begin() {
    test=$1
    curl -sS -X POST "$CARYA_TEST_CONTROL/lanes/0/reset"
}

# Runs SQL as the owner of the database, and prints the rows as JSON. The SQL must not contain `"`.
sql() {
    curl -sS "$CARYA_TEST_CONTROL/lanes/0/sql" --data "{\"sql\": \"$1\"}"
}

# Compares a result with the expected text.
expect() {
    if [ "$1" = "$2" ]; then
        echo "ok: $test"
    else
        echo "FAILED: $test: expected $2, found $1"
        failed=1
    fi
}

begin "lists notes"
sql "INSERT INTO notes (text, written_at) VALUES ('Pecans', 'today')" >/dev/null
expect "$(curl -sS "$CARYA_TEST_URL/notes")" '[{"id":1,"text":"Pecans","written_at":"today"}]'

begin "adds a note"
curl -sS -o /dev/null "$CARYA_TEST_URL/notes" --data "Pecans"
expect "$(sql "SELECT text FROM notes")" '[{"text":"Pecans"}]'

begin "a refused note leaves no row"
status=$(curl -sS -o /dev/null -w "%{http_code}" "$CARYA_TEST_URL/notes" --data " ")
expect "$status $(sql "SELECT text FROM notes")" "422 []"

exit $failed
