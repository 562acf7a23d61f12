/* Write guests for carya in C: controllers, hooks, actions and `init`.
 *
 * Include this header in exactly one source. The component exports the interfaces of the macros that the source uses:
 * CARYA_SERVE, CARYA_SERVE_PLAIN, CARYA_ON_ROUTE, CARYA_BEFORE, CARYA_AFTER, CARYA_ON_ERROR, CARYA_INIT, CARYA_RESEED and
 * CARYA_ACTIONS.
 *
 *     #include "carya_guest.h"
 *
 *     static carya_response hello(carya_db *db) {
 *         return carya_json(200, carya_str("{\"hello\":\"world\"}"));
 *     }
 *
 *     #define ROUTES(ROUTE) ROUTE(GET, "/hello", hello)
 *     CARYA_SERVE(ROUTES)
 *
 * Build it by clang with wasi-libc or by `zig cc`. The option `-I` must name the folder of this header:
 *
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 -I. hello.c -o hello.wasm
 *
 * Memory: all texts and buffers of a call are freed after the host has read its result, so a function frees nothing and
 * keeps nothing for the next call.
 */
#ifndef CARYA_GUEST_H
#define CARYA_GUEST_H

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carya_host.h"

/* A header of functions: a guest need not call all of them. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"

/* --- Memory and texts --- */

typedef struct carya__block {
    _Alignas(max_align_t) struct carya__block *next;
} carya__block;

static carya__block *carya__blocks;

/* Returns memory until the end of the call. */
static void *carya_alloc(size_t size) {
    carya__block *block = malloc(sizeof *block + size);
    if (!block) abort();
    block->next = carya__blocks;
    carya__blocks = block;
    return block + 1;
}

static void carya__free_all(void) {
    while (carya__blocks) {
        carya__block *next = carya__blocks->next;
        free(carya__blocks);
        carya__blocks = next;
    }
}

/* The host allocates parameters and results here. */
__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    void *memory = carya_alloc(size);
    if (old_size) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

/* The adapter of WASI 0.1 allocates its state here, which lives as long as the instance. */
__attribute__((export_name("cabi_realloc_adapter")))
void *carya__realloc_adapter(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size;
    (void)align;
    void *memory = realloc(old, size);
    if (!memory) abort();
    return memory;
}

static carya_text carya_str(const char *text) { return (carya_text){ text, strlen(text) }; }

static bool carya_is(carya_text text, const char *other) {
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

/* Returns the length of the UTF-8 character at the beginning, or 0 if it is not valid. */
static size_t carya__utf8(const unsigned char *at, const unsigned char *end) {
    unsigned char c = *at;
    size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (length == 0 || (size_t)(end - at) < length) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    /* `is_none`: surrogates and numbers beyond U+10FFFF. */
    bool is_overlong = (c == 0xe0 && at[1] < 0xa0) || (c == 0xf0 && at[1] < 0x90);
    bool is_none = (c == 0xed && at[1] >= 0xa0) || (c == 0xf4 && at[1] >= 0x90);
    return is_overlong || is_none ? 0 : length;
}

/* Returns whether a text is UTF-8, as texts of the database and of JSON must be. */
static bool carya_is_utf8(carya_text text) {
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    while (at < end) {
        size_t length = carya__utf8(at, end);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

/* Returns a formatted text, as `printf` does, with a zero behind it. */
__attribute__((format(printf, 1, 2))) static carya_text carya_format(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) abort();
    char *text = carya_alloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return (carya_text){ text, (size_t)length };
}

/* A text that grows. It begins as `{ 0 }`. */
typedef struct {
    carya_text text;
    size_t capacity;
} carya_builder;

/* Appends a text. Unlike `%s` of carya_format, it copies zeros too. */
static void carya_append(carya_builder *builder, carya_text more) {
    size_t length = builder->text.len + more.len;
    if (length > builder->capacity || !builder->text.ptr) {
        builder->capacity = 2 * length + 64;
        char *grown = carya_alloc(builder->capacity);
        if (builder->text.len) memcpy(grown, builder->text.ptr, builder->text.len);
        builder->text.ptr = grown;
    }
    if (more.len) memcpy((char *)builder->text.ptr + builder->text.len, more.ptr, more.len);
    builder->text.len = length;
}

/* Returns the text as a JSON string, with its quotes. */
static carya_text carya_quote(carya_text text) {
    static const char digits[] = "0123456789abcdef";
    char *quoted = carya_alloc(2 + 6 * text.len), *end = quoted;
    *end++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char *escape = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r"
            : c == '\t' ? "\\t" : c == '\b' ? "\\b" : c == '\f' ? "\\f" : NULL;
        if (escape) {
            *end++ = escape[0];
            *end++ = escape[1];
        } else if (c < 0x20) {
            memcpy(end, "\\u00", 4);
            end[4] = digits[c >> 4];
            end[5] = digits[c & 15];
            end += 6;
        } else {
            *end++ = (char)c;
        }
    }
    *end++ = '"';
    return (carya_text){ quoted, (size_t)(end - quoted) };
}

/* --- Errors --- */

static carya_db_error carya__error;

/* Returns the error of the last function that failed. Only functions of the database set more than the message. */
static const carya_db_error *carya_last_error(void) { return &carya__error; }

/* Sets the error of this function. Returns false. */
static bool carya_error(carya_text message) {
    carya__error = (carya_db_error){ .kind = CARYA_ERROR_OTHER, .message = message };
    return false;
}

static bool carya__done(bool is_err, const carya_db_error *error) {
    if (is_err) carya__error = *error;
    return !is_err;
}

/* Returns the text of the error for the log. */
static carya_text carya__log_text(void) {
    carya_text message = carya__error.message, hint = carya__error.hint.value;
    if (!carya__error.hint.is_some) return message;
    return carya_format("%.*s; hint: %.*s", (int)message.len, message.ptr, (int)hint.len, hint.ptr);
}

typedef CARYA_VOID_RESULT(carya_text) carya__text_result;

static bool carya__set(carya__text_result result) { return !result.is_err || carya_error(result.err); }

static bool carya__take(carya_option_text option, carya_text *value) {
    if (option.is_some) *value = option.value;
    return option.is_some;
}

/* Calls a function of the host that returns the value of a key. */
static bool carya__look_up(
    void (*get)(const char *key, size_t len, carya_option_text *value), const char *key, carya_text *value
) {
    carya_option_text option;
    get(key, strlen(key), &option);
    return carya__take(option, value);
}

/* --- The request --- */

static carya_text carya_method(void) {
    carya_text method;
    carya_host_request_method(&method);
    return method;
}

/* Returns the path without the query, percent-encoded. */
static carya_text carya_path(void) {
    carya_text path;
    carya_host_request_path(&path);
    return path;
}

/* Returns the value of a parameter of the route's pattern, decoded. Empty if the pattern has no such parameter. */
static carya_text carya_param(const char *name) {
    carya_option_text option;
    carya_text value = { "", 0 };
    carya_host_request_param(name, strlen(name), &option);
    carya__take(option, &value);
    return value;
}

/* Sets `number` to a parameter of the route's pattern. Returns false if it is not a 64-bit integer: respond with 404. */
static bool carya_int_param(const char *name, int64_t *number) {
    carya_text text = carya_param(name);
    /* `strtoll` needs a zero behind the number. It accepts white space before the number, but not behind it. */
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) text.len--;
    carya_text copy = carya_format("%.*s", (int)text.len, text.ptr);
    char *end;
    errno = 0;
    *number = strtoll(copy.ptr, &end, 10);
    return text.len && end == copy.ptr + text.len && errno == 0;
}

/* Sets `value` to the first query parameter of a name, decoded. Returns false if there is none. */
static bool carya_query(const char *name, carya_text *value) {
    return carya__look_up(carya_host_request_query, name, value);
}

/* Returns all query parameters of a name, decoded, in order. */
static carya_texts carya_query_all(const char *name) {
    carya_texts values;
    carya_host_request_query_all(name, strlen(name), &values);
    return values;
}

/* Sets `value` to the first header field of a name. Returns false if there is none. */
static bool carya_header(const char *name, carya_text *value) {
    return carya__look_up(carya_host_request_header, name, value);
}

/* Returns the body of the request. It may contain any bytes. */
static carya_text carya_body(void) {
    carya_text body;
    carya_host_request_body(&body);
    return body;
}

/* Sets `value` to a setting of the component. Returns false if it is not set. */
static bool carya_setting(const char *key, carya_text *value) {
    return carya__look_up(carya_host_config_get, key, value);
}

static void carya_log(carya_log_level level, carya_text message) {
    carya_host_log_write(level, message.ptr, message.len);
}

/* Sets `value` to a value that an earlier hook has set for this request. Returns false if there is none. */
static bool carya_context(const char *key, carya_text *value) {
    return carya__look_up(carya_host_context_get, key, value);
}

/* Sets a value for later hooks and for the controller of this request. */
static bool carya_set_context(const char *key, carya_text value) {
    carya__text_result result;
    carya_host_context_set(key, strlen(key), value.ptr, value.len, &result);
    return carya__set(result);
}

/* Sets `subject` to the client's name. Returns false if no hook has set an identity. */
static bool carya_identity(carya_text *subject) {
    carya_option_text option;
    carya_host_identity_subject(&option);
    return carya__take(option, subject);
}

/* Sets the identity of the client, with claims as a JSON object. Only hooks outside the transaction can set it, once in
 * a request: `on_route`, and `before` with a priority below 100. */
static bool carya_set_identity(carya_text subject, carya_text claims) {
    carya__text_result result;
    carya_host_identity_setter_set(subject.ptr, subject.len, claims.ptr, claims.len, &result);
    return carya__set(result);
}

/* --- The database --- */

static carya_value carya_null(void) { return (carya_value){ .tag = CARYA_VALUE_NULL }; }
static carya_value carya_bool(bool value) { return (carya_value){ .tag = CARYA_VALUE_BOOLEAN, .boolean = value }; }
static carya_value carya_int(int64_t value) { return (carya_value){ .tag = CARYA_VALUE_INT64, .int64 = value }; }
static carya_value carya_float(double value) {
    return (carya_value){ .tag = CARYA_VALUE_FLOAT64, .float64 = value };
}
static carya_value carya_text_value(carya_text value) {
    return (carya_value){ .tag = CARYA_VALUE_TEXT, .text = value };
}
static carya_value carya_bytes_value(carya_text value) {
    return (carya_value){ .tag = CARYA_VALUE_BYTES, .bytes = value };
}

/* The parameters of a statement, one for each `?`. */
typedef carya_values carya_params;
#define CARYA_PARAMS(...) \
    ((carya_params){ (carya_value[]){ __VA_ARGS__ }, sizeof((carya_value[]){ __VA_ARGS__ }) / sizeof(carya_value) })
#define CARYA_NO_PARAMS ((carya_params){ NULL, 0 })

/* A handle of the database: the contract's `handle`. A GET request only reads, so its handle has CARYA_READ_ONLY. A
 * hook outside the transaction has CARYA_NONE. A function that needs more access returns false. */
typedef struct {
    carya_access access;
    int32_t handle;
} carya_db;

static bool carya__may(const carya_db *db, carya_access access) {
    if (db->access >= access) return true;
    bool reads = db->access == CARYA_READ_ONLY;
    carya_error(carya_str(reads ? "this request only reads: its handle cannot write" : "there is no transaction here"));
    carya__error.kind = reads ? CARYA_ERROR_READ_ONLY : CARYA_ERROR_FORBIDDEN;
    return false;
}

/* Calls a function that readers and writers have. */
#define CARYA__READ(db, function, sql, params, result) \
    ((db)->access == CARYA_READ_WRITE \
         ? carya_host_writer_##function((db)->handle, sql, strlen(sql), (params).ptr, (params).len, result) \
         : carya_host_reader_##function((db)->handle, sql, strlen(sql), (params).ptr, (params).len, result))

/* Runs a query. Sets `json` to its rows, an array of objects, which the host writes. */
static bool carya_fetch_json(carya_db *db, const char *sql, carya_params params, carya_text *json) {
    CARYA_RESULT(carya_text, carya_db_error) result;
    if (!carya__may(db, CARYA_READ_ONLY)) return false;
    CARYA__READ(db, query_json, sql, params, &result);
    if (!result.is_err) *json = result.ok;
    return carya__done(result.is_err, &result.err);
}

/* Runs a query. Sets `json` to the first row, an object, and `found` to whether there is a row. */
static bool carya_fetch_one_json(carya_db *db, const char *sql, carya_params params, carya_text *json, bool *found) {
    CARYA_RESULT(carya_option_text, carya_db_error) result;
    if (!carya__may(db, CARYA_READ_ONLY)) return false;
    CARYA__READ(db, query_one_json, sql, params, &result);
    if (!result.is_err) *found = carya__take(result.ok, json);
    return carya__done(result.is_err, &result.err);
}

/* Runs a query that returns an integer in its first column. Sets `value` to that of the first row, or to 0 if there is
 * no row. */
static bool carya_fetch_int(carya_db *db, const char *sql, carya_params params, int64_t *value) {
    CARYA_RESULT(struct { bool is_some; carya_values value; }, carya_db_error) result;
    if (!carya__may(db, CARYA_READ_ONLY)) return false;
    CARYA__READ(db, query_one, sql, params, &result);
    if (!result.is_err) {
        carya_values row = result.ok.value;
        *value = result.ok.is_some && row.len > 0 && row.ptr->tag == CARYA_VALUE_INT64 ? row.ptr->int64 : 0;
    }
    return carya__done(result.is_err, &result.err);
}

/* Runs a statement of any kind. Sets `result` to its columns and rows, and to the number of rows that it changed. */
static bool carya_run(carya_db *db, const char *sql, carya_params params, carya_statement_result *result) {
    CARYA_RESULT(carya_statement_result, carya_db_error) ran;
    if (!carya__may(db, CARYA_READ_ONLY)) return false;
    CARYA__READ(db, run, sql, params, &ran);
    if (!ran.is_err) *result = ran.ok;
    return carya__done(ran.is_err, &ran.err);
}

/* Runs a statement that writes. Sets `rows` to the number of rows that it changed. */
static bool carya_execute(carya_db *db, const char *sql, carya_params params, uint64_t *rows) {
    CARYA_RESULT(carya_execution, carya_db_error) result;
    if (!carya__may(db, CARYA_READ_WRITE)) return false;
    carya_host_writer_execute(db->handle, sql, strlen(sql), params.ptr, params.len, &result);
    if (!result.is_err) *rows = result.ok.rows_affected;
    return carya__done(result.is_err, &result.err);
}

/* Returns whether the last function failed because of a constraint of this kind, such as CARYA_UNIQUE. */
static bool carya_violates(carya_violation_kind kind) {
    return carya__error.constraint.is_some && carya__error.constraint.value.kind == kind;
}

/* Marks the transaction for a rollback. The client still receives the response. */
static bool carya_mark_rollback(carya_db *db) {
    if (!carya__may(db, CARYA_READ_WRITE)) return false;
    carya_host_writer_mark_rollback(db->handle);
    return true;
}

/* A position in the transaction. Close it with carya_release or carya_rollback. */
typedef struct {
    int32_t handle;
} carya_savepoint;

/* Opens a savepoint. */
static bool carya_open_savepoint(carya_db *db, carya_savepoint *savepoint) {
    CARYA_RESULT(int32_t, carya_db_error) result;
    if (!carya__may(db, CARYA_READ_WRITE)) return false;
    carya_host_writer_savepoint(db->handle, &result);
    if (!result.is_err) savepoint->handle = result.ok;
    return carya__done(result.is_err, &result.err);
}

/* Closes a savepoint and keeps all changes. */
static bool carya_release(carya_savepoint savepoint) {
    CARYA_VOID_RESULT(carya_db_error) result;
    carya_host_savepoint_release(savepoint.handle, &result);
    carya_host_savepoint_drop(savepoint.handle);
    return carya__done(result.is_err, &result.err);
}

/* Undoes all changes since the savepoint was opened, and keeps it open. A statement that failed since then no longer
 * dooms the transaction. */
static bool carya_rollback_to(carya_savepoint savepoint) {
    CARYA_VOID_RESULT(carya_db_error) result;
    carya_host_savepoint_rollback_to(savepoint.handle, &result);
    return carya__done(result.is_err, &result.err);
}

/* Undoes all changes since the savepoint was opened, as carya_rollback_to does, and closes it. */
static bool carya_rollback(carya_savepoint savepoint) {
    CARYA_VOID_RESULT(carya_db_error) result;
    carya_host_savepoint_rollback(savepoint.handle, &result);
    carya_host_savepoint_drop(savepoint.handle);
    return carya__done(result.is_err, &result.err);
}

/* Registers an action of CARYA_ACTIONS that runs after the commit. */
static bool carya_after_commit(carya_db *db, const char *name, carya_text payload, carya_delivery delivery) {
    CARYA_VOID_RESULT(carya_db_error) result;
    if (!carya__may(db, CARYA_READ_WRITE)) return false;
    carya_host_writer_after_commit(db->handle, name, strlen(name), payload.ptr, payload.len, delivery, &result);
    return carya__done(result.is_err, &result.err);
}

/* Registers an action of CARYA_ACTIONS that runs after a rollback, at most once. */
static bool carya_after_rollback(carya_db *db, const char *name, carya_text payload) {
    CARYA_VOID_RESULT(carya_db_error) result;
    if (!carya__may(db, CARYA_READ_WRITE)) return false;
    carya_host_writer_after_rollback(db->handle, name, strlen(name), payload.ptr, payload.len, &result);
    return carya__done(result.is_err, &result.err);
}

/* --- Responses --- */

/* What a handler or a hook returns: a response, or one of carya_proceed, carya_set_access and carya_fail. */
typedef struct {
    /* The first three are the cases of the contract's `decision`. */
    enum { CARYA__PROCEED, CARYA__ANSWER, CARYA__ACCESS, CARYA__FAIL } decision;
    carya_host_response answer;
    carya_access access;
    carya_text error;
} carya_response;

static carya_response carya_with_header(carya_response response, const char *name, carya_text value) {
    carya_pairs *headers = &response.answer.headers;
    carya_pair *more = carya_alloc((headers->len + 1) * sizeof *more);
    if (headers->len) memcpy(more, headers->ptr, headers->len * sizeof *more);
    more[headers->len++] = (carya_pair){ carya_str(name), value };
    headers->ptr = more;
    return response;
}

static carya_response carya__answer(uint16_t status, carya_host_body body) {
    return (carya_response){ .decision = CARYA__ANSWER, .answer = { .status = status, .body = body } };
}

/* A response with JSON. */
static carya_response carya_json(uint16_t status, carya_text json) {
    return carya__answer(status, (carya_host_body){ .tag = CARYA_BODY_JSON, .text = json });
}

/* A response with text. */
static carya_response carya_text_response(uint16_t status, carya_text text) {
    return carya__answer(status, (carya_host_body){ .tag = CARYA_BODY_TEXT, .text = text });
}

/* A response with bytes. */
static carya_response carya_bytes_response(uint16_t status, carya_text bytes) {
    return carya__answer(status, (carya_host_body){ .tag = CARYA_BODY_BYTES, .text = bytes });
}

/* A response with the rows of a query, in a format such as CARYA_ROWS_CSV. The host runs the query and writes the rows. */
static carya_response carya_rows_response(carya_rows_format format, const char *sql, carya_params params) {
    /* The values of CARYA_PARAMS live as long as the block of the caller. */
    carya_value *values = carya_alloc(params.len * sizeof *values);
    if (params.len) memcpy(values, params.ptr, params.len * sizeof *values);
    carya_rows_query rows = { carya_str(sql), { values, params.len }, format };
    return carya__answer(200, (carya_host_body){ .tag = CARYA_BODY_ROWS, .rows = rows });
}

/* A response with a template, which the host renders. `context` is a JSON object with its variables. */
static carya_response carya_template(const char *name, carya_text context) {
    carya_template_body body = { carya_str(name), context };
    return carya__answer(200, (carya_host_body){ .tag = CARYA_BODY_TEMPLATE, .template_body = body });
}

/* 201 with the address of the new object. */
static carya_response carya_created(carya_text location, carya_text json) {
    return carya_with_header(carya_json(201, json), "location", location);
}

static carya_response carya_no_content(void) {
    return carya__answer(204, (carya_host_body){ .tag = CARYA_BODY_BYTES });
}

/* 303: the browser requests another page, as after a form. */
static carya_response carya_redirect(carya_text location) {
    carya_response response = carya__answer(303, (carya_host_body){ .tag = CARYA_BODY_BYTES });
    return carya_with_header(response, "location", location);
}

/* The request fails with the error of the last function that failed. The host rolls back, logs the error and
 * answers with 500. The client does not receive the text. */
static carya_response carya_fail(void) {
    return (carya_response){ .decision = CARYA__FAIL, .error = carya__log_text() };
}

/* A hook of CARYA_ON_ROUTE, CARYA_BEFORE or CARYA_ON_ERROR has no response: the next one runs, then the controller. */
static carya_response carya_proceed(void) { return (carya_response){ .decision = CARYA__PROCEED }; }

/* A hook of CARYA_ON_ROUTE proceeds with this access, in place of that of the method and of the route. */
static carya_response carya_set_access(carya_access access) {
    return (carya_response){ .decision = CARYA__ACCESS, .access = access };
}

static const char *carya__title(uint16_t status) {
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Error";
    }
}

/* Problem details (RFC 9457). A status from 400 on rolls back. */
static carya_response carya_problem(uint16_t status, const char *detail) {
    carya_text text = carya_quote(carya_str(detail));
    carya_text json = carya_format(
        "{\"detail\":%.*s,\"status\":%d,\"title\":\"%s\"}", (int)text.len, text.ptr, status, carya__title(status));
    return carya_with_header(carya_json(status, json), "content-type", carya_str("application/problem+json"));
}

/* The fields of a request that are not valid. */
typedef struct {
    carya_text errors;
} carya_checks;

/* Adds a field and its rule, unless `valid`. Of several rules that a field violates, the first one is reported. */
static void carya_check(carya_checks *checks, const char *field, bool valid, const char *rule) {
    if (valid) return;
    carya_text name = carya_quote(carya_str(field)), text = carya_quote(carya_str(rule)), errors = checks->errors;
    name = carya_format("%.*s:", (int)name.len, name.ptr);
    /* Quotes inside texts are escaped, so only a name can equal this. */
    if (errors.len && strstr(errors.ptr, name.ptr)) return;
    checks->errors = carya_format(
        "%.*s%s%s%.*s", (int)errors.len, errors.len ? errors.ptr : "", errors.len ? "," : "", name.ptr, (int)text.len,
        text.ptr);
}

/* 422 with the fields that are not valid. */
static carya_response carya_invalid(const carya_checks *checks) {
    carya_text json = carya_format(
        "{\"detail\":\"some fields are not valid\",\"errors\":{%.*s},\"status\":422,\"title\":\"%s\"}",
        (int)checks->errors.len, checks->errors.ptr, carya__title(422));
    return carya_with_header(carya_json(422, json), "content-type", carya_str("application/problem+json"));
}

/* --- Forms --- */

/* Parses the body of a form, `application/x-www-form-urlencoded` or `multipart/form-data`. If it is not one, sets
 * `refusal` to a response with 400, 413 or 415. */
static bool carya_parse_form(carya_form *form, carya_response *refusal) {
    CARYA_RESULT(carya_form, carya_form_error) result;
    carya_host_request_form(&result);
    if (!result.is_err) {
        *form = result.ok;
        for (size_t i = 0; i < form->len; i++) {
            carya_text name = form->ptr[i].name;
            if (form->ptr[i].file_name.is_some || carya_is_utf8(form->ptr[i].value)) continue;
            *refusal = carya_problem(400, carya_format("the field `%.*s` is not UTF-8", (int)name.len, name.ptr).ptr);
            return false;
        }
        return true;
    }
    carya_text message = result.err.message;
    switch (result.err.tag) {
    case CARYA_FORM_MALFORMED:
        message = carya_format("the form is malformed: %.*s", (int)message.len, message.ptr);
        *refusal = carya_problem(400, message.ptr);
        break;
    case CARYA_FORM_LIMIT:
        message = carya_format("the form is too large: %.*s", (int)message.len, message.ptr);
        *refusal = carya_problem(413, message.ptr);
        break;
    case CARYA_FORM_NOT_A_FORM:
        *refusal = carya_problem(415, "send a form: `application/x-www-form-urlencoded` or `multipart/form-data`");
        break;
    }
    return false;
}

/* Sets `value` to the first text field of a name. Returns false if there is none. */
static bool carya_form_text(const carya_form *form, const char *name, carya_text *value) {
    for (size_t i = 0; i < form->len; i++) {
        if (form->ptr[i].file_name.is_some || !carya_is(form->ptr[i].name, name)) continue;
        *value = form->ptr[i].value;
        return true;
    }
    return false;
}

/* Returns the first file of a name, or NULL. */
static const carya_form_field *carya_form_file(const carya_form *form, const char *name) {
    for (size_t i = 0; i < form->len; i++) {
        if (form->ptr[i].file_name.is_some && carya_is(form->ptr[i].name, name)) return &form->ptr[i];
    }
    return NULL;
}

/* --- Exports --- */

/* Adds the types of imports or exports to the component. The file is a custom section that wit-component reads. C has
 * no syntax for custom sections, so the assembler writes it. */
#define CARYA__WORLD(name) \
    __asm__( \
        ".section \".custom_section.component-type:carya-" name "\",\"\",@\n" \
        ".incbin \"world/" name ".wasm\"\n" \
        ".text\n");

/* Exports the function that follows. The host calls `cabi_post` after it has read the result. */
#define CARYA__EXPORT(interface, function, name) \
    __attribute__((export_name("cabi_post_carya:host/" interface "@0.2.0#" function))) \
    void carya__post_##name(void *result) { \
        (void)result; \
        carya__free_all(); \
    } \
    __attribute__((export_name("carya:host/" interface "@0.2.0#" function)))

CARYA__WORLD("imports")

static carya_db carya__begin(int32_t access, int32_t handle) {
    carya_error(carya_str("a function failed without an error"));
    return (carya_db){ (carya_access)access, handle };
}

static void carya__end(carya_db db) {
    if (db.access == CARYA_READ_ONLY) carya_host_reader_drop(db.handle);
    if (db.access == CARYA_READ_WRITE) carya_host_writer_drop(db.handle);
}

/* Returns a `result<_, string>`. */
static void *carya__finish(carya_db db, bool done) {
    static carya__text_result result;
    carya__end(db);
    result = (carya__text_result){ .is_err = !done, .err = carya__log_text() };
    return &result;
}

/* Returns a `result<response, string>`. */
static void *carya__respond(carya_db db, carya_response response) {
    static CARYA_RESULT(carya_host_response, carya_text) result;
    carya__end(db);
    if (response.decision == CARYA__PROCEED || response.decision == CARYA__ACCESS) {
        carya_error(carya_str("a controller must return a response"));
        response = carya_fail();
    }
    result.is_err = response.decision == CARYA__FAIL;
    if (result.is_err) result.err = response.error;
    else result.ok = response.answer;
    return &result;
}

/* Returns a `result<decision, string>`, or a `result<option<response>, string>`, which has the same layout without the
 * case `access`. */
static void *carya__decide(carya_db db, carya_response response, bool may_set_access) {
    static CARYA_RESULT(
        struct {
            uint8_t tag;
            union {
                carya_host_response answer;
                carya_access access;
            };
        },
        carya_text) result;
    carya__end(db);
    if (response.decision == CARYA__ACCESS && !may_set_access) {
        carya_error(carya_str("only a hook of CARYA_ON_ROUTE can set the access"));
        response = carya_fail();
    }
    result.is_err = response.decision == CARYA__FAIL;
    if (!result.is_err) result.ok.tag = response.decision;
    if (response.decision == CARYA__FAIL) result.err = response.error;
    if (response.decision == CARYA__ANSWER) result.ok.answer = response.answer;
    if (response.decision == CARYA__ACCESS) result.ok.access = response.access;
    return &result;
}

/* --- Routes --- */

typedef struct {
    const char *method;
    const char *pattern;
    carya_response (*handler)(carya_db *db);
} carya_route;

static void *carya__dispatch(carya_db db, const carya_route *routes, size_t count) {
    carya_text method = carya_method(), route = { "", 0 };
    carya_option_text pattern;
    if (carya_is(method, "HEAD")) method = carya_str("GET");
    carya_host_request_route(&pattern);
    carya__take(pattern, &route);
    for (size_t i = 0; i < count; i++) {
        if (carya_is(method, routes[i].method) && carya_is(route, routes[i].pattern)) {
            return carya__respond(db, routes[i].handler(&db));
        }
    }
    carya_error(
        carya_format("no function serves %.*s %.*s", (int)method.len, method.ptr, (int)route.len, route.ptr));
    return carya__respond(db, carya_fail());
}

#define CARYA__ACCESS_GET " read-only "
#define CARYA__ACCESS_POST " read-write "
#define CARYA__ACCESS_PUT " read-write "
#define CARYA__ACCESS_PATCH " read-write "
#define CARYA__ACCESS_DELETE " read-write "
#define CARYA__LINE(method, pattern, handler) ".ascii \"" #method CARYA__ACCESS_##method pattern "\\n\"\n"
#define CARYA__PLAIN_LINE(method, pattern, handler) ".ascii \"" #method " none " pattern "\\n\"\n"
#define CARYA__ENTRY(method, pattern, handler) { #method, pattern, handler },

/* Serves the routes of a list, each given as ROUTE(METHOD, "/pattern", function). HEAD is served by the function of
 * GET. The component declares the routes in the custom section `carya:routes`, so that the host refuses a configuration
 * with a route that no function serves. */
#define CARYA_SERVE(list) \
    CARYA__WORLD("controller") \
    __asm__(".section \".custom_section.carya:routes\",\"\",@\n" list(CARYA__LINE) ".text\n"); \
    static const carya_route carya__routes[] = { list(CARYA__ENTRY) }; \
    CARYA__EXPORT("read-controller", "read", read) void *carya__read(int32_t reader) { \
        carya_db db = carya__begin(CARYA_READ_ONLY, reader); \
        return carya__dispatch(db, carya__routes, sizeof carya__routes / sizeof *carya__routes); \
    } \
    CARYA__EXPORT("write-controller", "write", write) void *carya__write(int32_t writer) { \
        carya_db db = carya__begin(CARYA_READ_WRITE, writer); \
        return carya__dispatch(db, carya__routes, sizeof carya__routes / sizeof *carya__routes); \
    }

/* Serves the routes of a list, as CARYA_SERVE does, without a transaction: routes for OPTIONS, and routes with
 * `transaction = "none"` in the configuration. The handle of their functions is CARYA_NONE. */
#define CARYA_SERVE_PLAIN(list) \
    CARYA__WORLD("plain") \
    __asm__(".section \".custom_section.carya:routes\",\"\",@\n" list(CARYA__PLAIN_LINE) ".text\n"); \
    static const carya_route carya__plain_routes[] = { list(CARYA__ENTRY) }; \
    CARYA__EXPORT("plain-controller", "plain", plain) void *carya__plain(void) { \
        carya_db db = carya__begin(CARYA_NONE, 0); \
        return carya__dispatch(db, carya__plain_routes, sizeof carya__plain_routes / sizeof *carya__plain_routes); \
    }

/* --- Hooks --- */

/* Runs `hook` before routing: `carya_response hook(void)`. */
#define CARYA_ON_ROUTE(hook) \
    CARYA__WORLD("on-route") \
    CARYA__EXPORT("on-route", "on-route", on_route) void *carya__on_route(void) { \
        carya_db db = carya__begin(CARYA_NONE, 0); \
        return carya__decide(db, hook(), true); \
    }

/* Runs `hook` before the controller: `carya_response hook(carya_db *db)`. The client receives its response, unless it
 * is carya_proceed(). */
#define CARYA_BEFORE(hook) \
    CARYA__WORLD("before") \
    CARYA__EXPORT("before", "before", before) void *carya__before(int32_t access, int32_t handle) { \
        carya_db db = carya__begin(access, handle); \
        return carya__decide(db, hook(&db), false); \
    }

/* Runs `hook` after the controller: `bool hook(carya_db *db)`. If it returns false inside the transaction, the host
 * rolls back. */
#define CARYA_AFTER(hook) \
    CARYA__WORLD("after") \
    CARYA__EXPORT("after", "after", after) void *carya__after(int32_t access, int32_t handle) { \
        carya_db db = carya__begin(access, handle); \
        return carya__finish(db, hook(&db)); \
    }

/* Runs `hook` after a failure: `carya_response hook(carya_db *db, const carya_failure *failure)`. The client receives
 * its response, unless it is carya_proceed(). */
#define CARYA_ON_ERROR(hook) \
    CARYA__WORLD("on-error") \
    CARYA__EXPORT("on-error", "on-error", on_error) void *carya__on_error(carya__on_error_params *params) { \
        carya_db db = carya__begin(params->db.access, params->db.handle); \
        return carya__decide(db, hook(&db, &params->failure), false); \
    }

/* More parameters than a function of the component model has on the stack are in memory. */
typedef struct {
    carya_db db;
    carya_failure failure;
} carya__on_error_params;

/* The response of the controller, which a hook of CARYA_AFTER can change and one of CARYA_ON_ERROR can read. */
static uint16_t carya_reply_status(void) { return carya_host_response_status(); }

/* Sets the status that the client receives. The transaction is unaffected. */
static bool carya_set_reply_status(uint16_t status) {
    carya__text_result result;
    carya_host_response_set_status(status, &result);
    return carya__set(result);
}

/* Sets `value` to the first header field of a name. Returns false if there is none. */
static bool carya_reply_header(const char *name, carya_text *value) {
    return carya__look_up(carya_host_response_header, name, value);
}

/* Sets a header field and removes other fields with this name. */
static bool carya_set_reply_header(const char *name, carya_text value) {
    carya__text_result result;
    carya_host_response_set_header(name, strlen(name), value.ptr, value.len, &result);
    return carya__set(result);
}

/* Returns a copy of the body. */
static carya_text carya_reply_body(void) {
    carya_text body;
    carya_host_response_body(&body);
    return body;
}

/* Sets the body and keeps `content-type`. */
static bool carya_set_reply_body(carya_text body) {
    carya__text_result result;
    carya_host_response_set_body(body.ptr, body.len, &result);
    return carya__set(result);
}

/* --- The start, and actions --- */

/* Runs `init` at each start, after the migrations: `bool init(carya_db *db)`. If it returns false, the start fails. */
#define CARYA_INIT(init) \
    CARYA__WORLD("init") \
    CARYA__EXPORT("model", "init", init) void *carya__init(int32_t writer) { \
        carya_db db = carya__begin(CARYA_READ_WRITE, writer); \
        return carya__finish(db, init(&db)); \
    }

/* Seeds the random numbers of an instance with a warm image (the key `warm` of the component):
 * `void seed(const uint64_t seeds[4])`. Without it, all instances of the component return the same numbers. */
#define CARYA_RESEED(seed) \
    CARYA__WORLD("reseed") \
    __attribute__((export_name("carya:host/reseed@0.2.0#reseed"))) \
    void carya__reseed(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { \
        seed((const uint64_t[]){ a, b, c, d }); \
    }

/* A delivery of an action. */
typedef struct {
    /* The same for every delivery, so that a receiver can detect a repeated one. */
    carya_text id;
    carya_text name, payload;
    /* Whether the transaction that registered the action was committed or rolled back. */
    bool is_committed;
    /* The number of this delivery, from 1. */
    uint32_t attempt;
    /* The request that registered the action. */
    carya_text request_id;
} carya_action;

typedef struct {
    const char *name;
    bool (*run)(carya_db *db, const carya_action *action);
} carya_registered_action;

static void *carya__act(carya_db db, carya_action action, const carya_registered_action *actions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (carya_is(action.name, actions[i].name)) return carya__finish(db, actions[i].run(&db, &action));
    }
    carya_error(carya_format("no function runs the action `%.*s`", (int)action.name.len, action.name.ptr));
    return carya__finish(db, false);
}

#define CARYA__ACTION(name, function) { name, function },

/* Runs the actions of a list, each given as ACTION("name", function), where the function is
 * `bool function(carya_db *db, const carya_action *action)`. Each action has a transaction of its own. If the function
 * returns false, the host rolls back and logs the error, and runs a CARYA_AT_LEAST_ONCE action again later. */
#define CARYA_ACTIONS(list) \
    CARYA__WORLD("actions") \
    static const carya_registered_action carya__actions[] = { list(CARYA__ACTION) }; \
    CARYA__EXPORT("actions", "run", run) void *carya__run( \
        const char *id, size_t id_len, const char *name, size_t name_len, const char *payload, size_t payload_len, \
        int32_t outcome, int32_t attempt, const char *request_id, size_t request_id_len, int32_t writer \
    ) { \
        carya_db db = carya__begin(CARYA_READ_WRITE, writer); \
        carya_action action = { \
            .id = { id, id_len }, \
            .name = { name, name_len }, \
            .payload = { payload, payload_len }, \
            .is_committed = outcome == 0, \
            .attempt = (uint32_t)attempt, \
            .request_id = { request_id, request_id_len }, \
        }; \
        return carya__act(db, action, carya__actions, sizeof carya__actions / sizeof *carya__actions); \
    }

#pragma clang diagnostic pop
#endif
