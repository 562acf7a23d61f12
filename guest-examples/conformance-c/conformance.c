/* Controller that uses each part of the library once, for the tests that compare the languages.
 *
 * It returns the same responses as `conformance` in Rust, byte for byte: change them together. Statements, parameters and
 * faults come from the request, so `tests/languages/` has the cases. */

#include "carya_guest.h"
#include "carya_json.h"
#include "carya_web.h"

/* Returns a JSON string, or `null`. */
static carya_text quoted(carya_option_text option) {
    return option.is_some ? carya_quote(option.value) : carya_str("null");
}

static carya_text hex(carya_text bytes) {
    char *digits = carya_alloc(2 * bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++) snprintf(digits + 2 * i, 3, "%02x", (unsigned char)bytes.ptr[i]);
    return (carya_text){ digits, 2 * bytes.len };
}

static carya_text unhex(carya_text digits) {
    char *bytes = carya_alloc(digits.len / 2 + 1);
    for (size_t i = 0; i < digits.len / 2; i++) {
        char pair[] = { digits.ptr[2 * i], digits.ptr[2 * i + 1], 0 };
        bytes[i] = (char)strtoul(pair, NULL, 16);
    }
    return (carya_text){ bytes, digits.len / 2 };
}

/* --- Statements --- */

static const char *sql(void) {
    carya_text text = { "", 0 };
    carya_query("sql", &text);
    return carya_format("%.*s", (int)text.len, text.ptr).ptr;
}

/* Returns a parameter. It has the form in which `show` returns a value of a result. */
static carya_value param(carya_text text) {
    const char *space = memchr(text.ptr, ' ', text.len);
    size_t kind = space ? (size_t)(space - text.ptr) : text.len, start = space ? kind + 1 : kind;
    carya_text name = { text.ptr, kind }, value = { text.ptr + start, text.len - start };
    if (carya_is(name, "int")) return carya_int(strtoll(carya_format("%.*s", (int)value.len, value.ptr).ptr, NULL, 10));
    if (carya_is(name, "float")) {
        uint64_t bits = strtoull(carya_format("%.*s", (int)value.len, value.ptr).ptr, NULL, 16);
        double number;
        memcpy(&number, &bits, sizeof number);
        return carya_float(number);
    }
    if (carya_is(name, "text")) return carya_text_value(value);
    if (carya_is(name, "bytes")) return carya_bytes_value(unhex(value));
    if (carya_is(name, "true") || carya_is(name, "false")) return carya_bool(carya_is(name, "true"));
    return carya_null();
}

static carya_params params(void) {
    carya_texts texts = carya_query_all("p");
    carya_value *values = carya_alloc(texts.len * sizeof *values);
    for (size_t i = 0; i < texts.len; i++) values[i] = param(texts.ptr[i]);
    return (carya_params){ values, texts.len };
}

/* Returns a JSON string with the text of a column. */
static carya_text show_text(carya_text text) {
    carya_builder shown = { 0 };
    carya_append(&shown, carya_str("text "));
    carya_append(&shown, text);
    return carya_quote(shown.text);
}

static carya_text show(const carya_value *value) {
    uint64_t bits;
    carya_text text;
    switch (value->tag) {
    case CARYA_VALUE_BOOLEAN: return carya_str(value->boolean ? "\"true\"" : "\"false\"");
    case CARYA_VALUE_INT64: return carya_format("\"int %lld\"", (long long)value->int64);
    case CARYA_VALUE_FLOAT64:
        memcpy(&bits, &value->float64, sizeof bits);
        return carya_format("\"float %016llx\"", (unsigned long long)bits);
    case CARYA_VALUE_BYTES: text = hex(value->bytes); return carya_format("\"bytes %.*s\"", (int)text.len, text.ptr);
    case CARYA_VALUE_TEXT: return show_text(value->text);
    case CARYA_VALUE_OTHER: return show_text(value->other.text);
    default: return carya_str("null");
    }
}

/* Returns a result. Numbers are texts, because JSON has no 64-bit integers in JavaScript. */
static carya_text shown(carya_statement_result result) {
    carya_builder json = { 0 };
    carya_append(&json, carya_format("{\"affected\":%llu,\"columns\":[", (unsigned long long)result.rows_affected));
    for (size_t i = 0; i < result.columns.len; i++) {
        if (i) carya_append(&json, carya_str(","));
        carya_append(&json, carya_quote(result.columns.ptr[i].name));
    }
    carya_append(&json, carya_str("],\"rows\":["));
    for (size_t i = 0; i < result.rows.len; i++) {
        carya_append(&json, carya_str(i ? ",[" : "["));
        for (size_t j = 0; j < result.rows.ptr[i].len; j++) {
            if (j) carya_append(&json, carya_str(","));
            carya_append(&json, show(&result.rows.ptr[i].ptr[j]));
        }
        carya_append(&json, carya_str("]"));
    }
    carya_append(&json, carya_str("]}"));
    return json.text;
}

/* Returns all fields of the last error. */
static carya_text describe(void) {
    static const char *const kinds[] = { "constraint", "conflict", "read-only", "forbidden", "timeout", "limit", "lost",
                                         "busy", "data", "other" };
    static const char *const violations[] = { "unique", "foreign-key", "check", "not-null", "exclusion" };
    const carya_db_error *error = carya_last_error();
    const carya_violation *violation = &error->constraint.value;
    carya_builder json = { 0 };
    carya_append(&json, carya_str("{\"code\":"));
    carya_append(&json, quoted(error->code));
    carya_append(&json, carya_str(",\"constraint\":"));
    if (error->constraint.is_some) {
        carya_append(&json, carya_str("{\"columns\":["));
        for (size_t i = 0; i < violation->columns.len; i++) {
            if (i) carya_append(&json, carya_str(","));
            carya_append(&json, carya_quote(violation->columns.ptr[i]));
        }
        carya_append(&json, carya_format("],\"kind\":\"%s\",\"name\":", violations[violation->kind]));
        carya_append(&json, quoted(violation->name));
        carya_append(&json, carya_str(",\"table\":"));
        carya_append(&json, quoted(violation->table));
        carya_append(&json, carya_str("}"));
    } else {
        carya_append(&json, carya_str("null"));
    }
    carya_append(&json, carya_str(",\"detail\":"));
    carya_append(&json, quoted(error->detail));
    carya_append(&json, carya_str(",\"hint\":"));
    carya_append(&json, quoted(error->hint));
    carya_append(&json, carya_format(",\"kind\":\"%s\",\"message\":", kinds[error->kind]));
    carya_append(&json, carya_quote(error->message));
    carya_append(&json, carya_format(",\"retryable\":%s}", error->retryable ? "true" : "false"));
    return json.text;
}

/* Returns the rows of `Row` in the other languages: an integer, a text, an integer or NULL. */
static carya_text typed(carya_statement_result result) {
    carya_builder json = { 0 };
    for (size_t i = 0; i < result.rows.len; i++) {
        const carya_value *row = result.rows.ptr[i].ptr;
        carya_text name = carya_quote(row[1].text);
        carya_append(&json, carya_format("%s[\"%lld\",", i ? "," : "", (long long)row[0].int64));
        carya_append(&json, name);
        bool is_null = row[2].tag == CARYA_VALUE_NULL;
        carya_append(&json, is_null ? carya_str(",null]") : carya_format(",\"%lld\"]", (long long)row[2].int64));
    }
    return carya_format("[%.*s]", (int)json.text.len, json.text.len ? json.text.ptr : "");
}

/* Runs the statement of the request with one function of the library. */
static carya_response query(carya_db *db) {
    carya_text how = carya_param("how"), json;
    carya_statement_result result;
    uint64_t rows;
    bool found;
    if (carya_is(how, "rows")) return carya_rows_response(CARYA_ROWS_JSON, sql(), params());
    if (carya_is(how, "csv")) return carya_rows_response(CARYA_ROWS_CSV, sql(), params());
    if (carya_is(how, "json")) {
        if (carya_fetch_json(db, sql(), params(), &json)) return carya_json(200, json);
    } else if (carya_is(how, "first")) {
        if (carya_fetch_one_json(db, sql(), params(), &json, &found)) {
            return found ? carya_json(200, json) : carya_no_content();
        }
    } else if (carya_is(how, "execute")) {
        if (carya_execute(db, sql(), params(), &rows)) {
            return carya_json(200, carya_format("{\"affected\":%llu}", (unsigned long long)rows));
        }
    } else if (carya_run(db, sql(), params(), &result)) {
        return carya_json(200, carya_is(how, "typed") ? typed(result) : shown(result));
    }
    return carya_json(409, describe());
}

/* Runs a statement inside a savepoint, and reports its error as a success. */
static carya_response savepoint(carya_db *db) {
    carya_savepoint savepoint;
    carya_statement_result result;
    uint64_t rows;
    carya_text json;
    if (!carya_open_savepoint(db, &savepoint)) return carya_fail();
    if (carya_execute(db, "INSERT INTO notes (name) VALUES ('inside')", CARYA_NO_PARAMS, &rows)
        && carya_run(db, sql(), params(), &result)) {
        json = shown(result);
        if (!carya_release(savepoint)) return carya_fail();
    } else {
        json = describe();
        if (!carya_rollback(savepoint)) return carya_fail();
    }
    if (!carya_execute(db, "INSERT INTO notes (name) VALUES ('outside')", CARYA_NO_PARAMS, &rows)) return carya_fail();
    return carya_json(200, json);
}

/* --- The request --- */

/* Returns a list with one text or null. */
static carya_response list(bool is_some, carya_text text) {
    carya_text json = quoted((carya_option_text){ is_some, text });
    return carya_json(200, carya_format("[%.*s]", (int)json.len, json.ptr));
}

static carya_response path(carya_db *db) {
    (void)db;
    carya_option_text first = { 0 }, header = { 0 };
    carya_texts all = carya_query_all("x");
    carya_builder json = { 0 };
    first.is_some = carya_query("x", &first.value);
    header.is_some = carya_header("x-name", &header.value);
    carya_append(&json, carya_str("{\"all\":["));
    for (size_t i = 0; i < all.len; i++) {
        if (i) carya_append(&json, carya_str(","));
        carya_append(&json, carya_quote(all.ptr[i]));
    }
    carya_append(&json, carya_str("],\"first\":"));
    carya_append(&json, quoted(first));
    carya_append(&json, carya_str(",\"header\":"));
    carya_append(&json, quoted(header));
    carya_append(&json, carya_str(",\"method\":"));
    carya_append(&json, carya_quote(carya_method()));
    carya_append(&json, carya_str(",\"name\":"));
    carya_append(&json, carya_quote(carya_param("name")));
    carya_append(&json, carya_str(",\"path\":"));
    carya_append(&json, carya_quote(carya_path()));
    carya_append(&json, carya_str(",\"rest\":"));
    carya_append(&json, carya_quote(carya_param("rest")));
    carya_append(&json, carya_str("}"));
    return carya_json(200, json.text);
}

static carya_response number(carya_db *db) {
    (void)db;
    int64_t number;
    if (!carya_int_param("number", &number)) return carya_problem(404, "there is nothing at this path");
    return list(true, carya_format("%lld", (long long)number));
}

static carya_response search(carya_db *db) {
    (void)db;
    carya_text word = { "", 0 };
    bool is_some = carya_query("word", &word);
    return list(is_some, word);
}

static carya_response problem(carya_db *db) {
    (void)db;
    carya_text kind = carya_param("kind");
    if (carya_is(kind, "login")) {
        return carya_with_header(carya_problem(401, "log in"), "www-authenticate", carya_str("Basic"));
    }
    if (!carya_is(kind, "fields")) {
        int64_t status;
        return carya_int_param("kind", &status) ? carya_problem((uint16_t)status, "a detail") : carya_fail();
    }
    carya_checks checks = { 0 };
    carya_check(&checks, "name", false, "must be \"short\"\n");
    carya_check(&checks, "größe", false, "must be \x01, \x7f or \u2028 🌰");
    carya_check(&checks, "name", false, "must be a name");
    carya_check(&checks, "sound", true, "must be sound");
    return carya_invalid(&checks);
}

/* Sets `text` to the body. */
static bool body_text(carya_text *text, carya_response *refusal) {
    *text = carya_body();
    if (!carya_is_utf8(*text)) *refusal = carya_problem(400, "the body is not UTF-8");
    return carya_is_utf8(*text);
}

static carya_response leave(carya_db *db) {
    (void)db;
    carya_text message;
    carya_response refusal;
    return body_text(&message, &refusal) ? carya_redirect_with_flash(carya_str("/flash"), message) : refusal;
}

static carya_response flash(carya_db *db) {
    (void)db;
    carya_text message = carya_str("no message");
    carya_flash(&message);
    return carya_forget_flash(carya_text_response(200, message));
}

static carya_response cookie(carya_db *db) {
    (void)db;
    carya_text theme = carya_str("dark");
    bool is_some = carya_cookie("theme", &theme);
    carya_cookie_options options = { .path = "/cookie", .has_max_age = true, .max_age = 60, .is_secure = true };
    return carya_with_cookie(list(is_some, theme), "theme", theme, options);
}

static carya_response tagged(carya_db *db) {
    (void)db;
    carya_text version = carya_param("version");
    return carya_tagged(version, list(true, version));
}

static carya_response change(carya_db *db) {
    (void)db;
    carya_response refusal;
    return carya_require_version(carya_param("version"), &refusal) ? carya_no_content() : refusal;
}

/* --- Bodies --- */

static carya_response parse(carya_db *db) {
    (void)db;
    const carya_json_value *body;
    carya_response refusal;
    if (!carya_parse_json(&body, &refusal)) return refusal;
    const carya_json_value *text = body->kind == CARYA_JSON_OBJECT ? carya_member(body, "text") : NULL;
    bool is_text = text && text->kind == CARYA_JSON_TEXT;
    return list(is_text, is_text ? text->text : carya_str(""));
}

static carya_response form(carya_db *db) {
    (void)db;
    carya_form form;
    carya_response refusal;
    carya_option_text text = { 0 };
    carya_builder json = { 0 };
    if (!carya_parse_form(&form, &refusal)) return refusal;
    text.is_some = carya_form_text(&form, "text", &text.value);
    carya_append(&json, carya_str("{\"files\":["));
    bool is_first = true;
    for (size_t i = 0; i < form.len; i++) {
        const carya_form_field *file = &form.ptr[i];
        if (!file->file_name.is_some || !carya_is(file->name, "file")) continue;
        carya_append(&json, carya_str(is_first ? "[" : ",["));
        carya_append(&json, quoted(file->file_name));
        carya_append(&json, carya_str(","));
        carya_append(&json, quoted(file->content_type));
        carya_append(&json, carya_str(",\""));
        carya_append(&json, hex(file->value));
        carya_append(&json, carya_str("\"]"));
        is_first = false;
    }
    carya_append(&json, carya_str("],\"text\":"));
    carya_append(&json, quoted(text));
    carya_append(&json, carya_str("}"));
    return carya_json(200, json.text);
}

static carya_response text(carya_db *db) {
    carya_text text;
    carya_response refusal;
    carya_statement_result result;
    uint64_t rows;
    if (!body_text(&text, &refusal)) return refusal;
    const char *insert = "INSERT INTO texts (text) VALUES (?)";
    if (!carya_execute(db, insert, CARYA_PARAMS(carya_text_value(text)), &rows)) return carya_fail();
    if (!carya_run(db, "SELECT text FROM texts", CARYA_NO_PARAMS, &result)) return carya_fail();
    return carya_text_response(200, result.rows.ptr[0].ptr[0].text);
}

static carya_response bytes(carya_db *db) {
    (void)db;
    return carya_bytes_response(200, carya_body());
}

/* --- Failures and actions --- */

/* Calls itself until the stack is exhausted. */
static int depth(volatile int level) { return level ? depth(level + 1) + level : 0; }

/* Adds a note and fails, so that the note must not remain. */
static carya_response fail(carya_db *db) {
    carya_text how = carya_param("how");
    carya_response response = carya_no_content();
    uint64_t rows;
    if (!carya_execute(db, "INSERT INTO notes (name) VALUES ('lost')", CARYA_NO_PARAMS, &rows)) return carya_fail();
    if (carya_is(how, "error")) {
        carya_error(carya_str("a failure of the guest"));
        return carya_fail();
    } else if (carya_is(how, "trap")) {
        fputs("a trap of the guest\n", stderr);
        abort();
    } else if (carya_is(how, "recursion")) {
        response.answer.status = (uint16_t)depth(1);
    } else if (carya_is(how, "statement")) {
        if (!carya_execute(db, "UPDATE nowhere SET name = 'x'", CARYA_NO_PARAMS, &rows)) return carya_fail();
    } else if (carya_is(how, "problem")) {
        return carya_problem(409, "a problem of the client");
    } else if (carya_is(how, "marked")) {
        carya_mark_rollback(db);
    } else if (carya_is(how, "status")) {
        response.answer.status = 99;
    } else if (carya_is(how, "line-break")) {
        return carya_with_header(response, "x-name", carya_str("a\nb"));
    } else {
        return carya_with_header(response, "content-length", carya_str("7"));
    }
    return response;
}

/* Registers an action, whose payload is the text of the body. */
static carya_response act(carya_db *db) {
    carya_text how = carya_param("how"), text;
    carya_response refusal;
    if (!body_text(&text, &refusal)) return refusal;
    if (carya_is(how, "commit")) {
        return carya_after_commit(db, "note", text, CARYA_AT_LEAST_ONCE) ? carya_no_content() : carya_fail();
    }
    if (carya_is(how, "broken")) {
        return carya_after_commit(db, "broken", text, CARYA_AT_MOST_ONCE) ? carya_no_content() : carya_fail();
    }
    return carya_after_rollback(db, "note", text) ? carya_problem(409, "a problem of the client") : carya_fail();
}

static bool add_note(carya_db *db, carya_text name) {
    uint64_t rows;
    return carya_execute(db, "INSERT INTO notes (name) VALUES (?)", CARYA_PARAMS(carya_text_value(name)), &rows);
}

static bool note(carya_db *db, const carya_action *action) {
    carya_text text = action->payload;
    const char *is_committed = action->is_committed ? "true" : "false";
    return add_note(db, carya_format("%.*s %u %s", (int)text.len, text.ptr, action->attempt, is_committed));
}

static bool broken(carya_db *db, const carya_action *action) {
    carya_text text = action->payload;
    if (!add_note(db, text)) return false;
    return carya_error(carya_format("a failure of the action: %.*s", (int)text.len, text.ptr));
}

#define ACTIONS(ACTION) \
    ACTION("note", note) \
    ACTION("broken", broken)
CARYA_ACTIONS(ACTIONS)

#define ROUTES(ROUTE) \
    ROUTE(GET, "/query/{how}", query) \
    ROUTE(POST, "/query/{how}", query) \
    ROUTE(POST, "/savepoint", savepoint) \
    ROUTE(GET, "/path/{name}/{*rest}", path) \
    ROUTE(GET, "/number/{number}", number) \
    ROUTE(GET, "/search", search) \
    ROUTE(GET, "/problem/{kind}", problem) \
    ROUTE(POST, "/flash", leave) \
    ROUTE(GET, "/flash", flash) \
    ROUTE(GET, "/cookie", cookie) \
    ROUTE(GET, "/tagged/{version}", tagged) \
    ROUTE(PUT, "/tagged/{version}", change) \
    ROUTE(POST, "/json", parse) \
    ROUTE(POST, "/form", form) \
    ROUTE(POST, "/text", text) \
    ROUTE(POST, "/bytes", bytes) \
    ROUTE(POST, "/fail/{how}", fail) \
    ROUTE(POST, "/action/{how}", act)
CARYA_SERVE(ROUTES)
