/* Controller for a list of notes: GET /notes reads the list, POST /notes adds the request's text. */

#include "carya_guest.h"

/* The database writes the rows as JSON. */
static carya_response list_notes(carya_db *db) {
    carya_text notes;
    const char *sql = "SELECT id, text, written_at FROM notes ORDER BY id DESC LIMIT 100";
    return carya_fetch_json(db, sql, CARYA_NO_PARAMS, &notes) ? carya_json(200, notes) : carya_fail();
}

static bool is_blank(carya_text text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!strchr(" \t\r\n", text.ptr[i])) return false;
    }
    return true;
}

/* The host runs `create` in one transaction. It commits the transaction after a status below 400, and rolls it back
 * otherwise. */
static carya_response create(carya_db *db) {
    carya_text text = carya_body(), note;
    bool found;
    if (!carya_is_utf8(text)) return carya_problem(400, "the body is not UTF-8");
    if (is_blank(text)) return carya_problem(422, "a note needs a text");
    const char *sql = "INSERT INTO notes (text) VALUES (?) RETURNING id, text, written_at";
    if (!carya_fetch_one_json(db, sql, CARYA_PARAMS(carya_text_value(text)), &note, &found)) return carya_fail();
    return carya_json(201, note);
}

#define ROUTES(ROUTE) \
    ROUTE(GET, "/notes", list_notes) \
    ROUTE(POST, "/notes", create)
CARYA_SERVE(ROUTES)
