/* A guestbook in C: a controller, its hooks, its action and its `init` in one component. */

#include "carya_guest.h"

/* Writes the first entry. */
static bool init(carya_db *db) {
    int64_t entries;
    uint64_t rows;
    if (!carya_fetch_int(db, "SELECT count(*) FROM entries", CARYA_NO_PARAMS, &entries)) return false;
    const char *sql = "INSERT INTO entries (author, message, thanks) VALUES ('carya', 'Welcome!', 0)";
    return entries > 0 || carya_execute(db, sql, CARYA_NO_PARAMS, &rows);
}
CARYA_INIT(init)

/* --- Hooks --- */

static carya_response admit(void) {
    carya_text value;
    if (carya_header("user-agent", &value) && carya_is(value, "robot")) return carya_problem(403, "no robots");
    /* The client wants no change. */
    if (carya_header("x-dry-run", &value)) return carya_set_access(CARYA_READ_ONLY);
    return carya_proceed();
}
CARYA_ON_ROUTE(admit)

/* Identifies the client. A real hook would verify a signature. */
static carya_response identify(carya_db *db) {
    (void)db;
    carya_text author;
    if (!carya_header("x-author", &author)) {
        return carya_is(carya_method(), "POST") ? carya_problem(401, "send the header x-author") : carya_proceed();
    }
    return carya_set_identity(author, carya_str("{}")) ? carya_proceed() : carya_fail();
}
CARYA_BEFORE(identify)

static bool mark(carya_db *db) {
    (void)db;
    carya_text author;
    return !carya_identity(&author) || carya_set_reply_header("x-seen", author);
}
CARYA_AFTER(mark)

/* Tells the client which rule its entry violates. */
static carya_response explain(carya_db *db, const carya_failure *failure) {
    (void)db;
    if (!failure->constraint.is_some || failure->constraint.value.kind != CARYA_CHECK) return carya_proceed();
    carya_text name = failure->constraint.value.name.value;
    return carya_problem(422, carya_format("the entry violates the rule %.*s", (int)name.len, name.ptr).ptr);
}
CARYA_ON_ERROR(explain)

/* --- Controller --- */

static carya_response list(carya_db *db) {
    carya_text entries;
    const char *sql = "SELECT author, message, picture, thanks FROM entries ORDER BY author";
    return carya_fetch_json(db, sql, CARYA_NO_PARAMS, &entries) ? carya_json(200, entries) : carya_fail();
}

/* Adds an entry, or replaces the entry of the same author. */
static carya_response sign(carya_db *db) {
    carya_form form;
    carya_response refusal;
    carya_text author, message;
    uint64_t rows;
    if (!carya_parse_form(&form, &refusal)) return refusal;
    if (!carya_identity(&author)) return carya_fail();
    if (!carya_form_text(&form, "message", &message) || message.len == 0) {
        if (!carya_after_rollback(db, "regret", author)) return carya_fail();
        return carya_problem(422, "an entry needs a message");
    }
    const carya_form_field *file = carya_form_file(&form, "picture");
    carya_value picture = file ? carya_text_value(file->file_name.value) : carya_null();

    /* A failed statement dooms the transaction, unless it is rolled back to a savepoint before it. */
    carya_savepoint savepoint;
    if (!carya_open_savepoint(db, &savepoint)) return carya_fail();
    const char *insert = "INSERT INTO entries (author, message, picture, thanks) VALUES (?, ?, ?, 0)";
    const char *update = "UPDATE entries SET message = ?, picture = ?, thanks = 0 WHERE author = ?";
    if (carya_execute(db, insert, CARYA_PARAMS(carya_text_value(author), carya_text_value(message), picture), &rows)) {
        if (!carya_release(savepoint)) return carya_fail();
    } else if (carya_violates(CARYA_UNIQUE)) {
        carya_params params = CARYA_PARAMS(carya_text_value(message), picture, carya_text_value(author));
        if (!carya_rollback(savepoint) || !carya_execute(db, update, params, &rows)) return carya_fail();
    } else {
        return carya_fail();
    }
    if (!carya_after_commit(db, "thank", author, CARYA_AT_LEAST_ONCE)) return carya_fail();
    return carya_redirect(carya_str("/entries"));
}

#define ROUTES(ROUTE) \
    ROUTE(GET, "/entries", list) \
    ROUTE(POST, "/entries", sign)
CARYA_SERVE(ROUTES)

/* --- Actions --- */

static bool thank(carya_db *db, const carya_action *action) {
    uint64_t rows;
    const char *sql = "UPDATE entries SET thanks = thanks + ? WHERE author = ?";
    return carya_execute(db, sql, CARYA_PARAMS(carya_int(action->attempt), carya_text_value(action->payload)), &rows);
}

static bool regret(carya_db *db, const carya_action *action) {
    (void)db;
    carya_log(CARYA_LOG_INFO, carya_format("no entry by %.*s", (int)action->payload.len, action->payload.ptr));
    return true;
}

#define ACTIONS(ACTION) \
    ACTION("thank", thank) \
    ACTION("regret", regret)
CARYA_ACTIONS(ACTIONS)
