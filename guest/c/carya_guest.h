/* Write controllers for carya in C, on the bindings that wit-bindgen generates for the world `controller`.
 *
 * Include this header in exactly one source, and list the routes with CARYA_SERVE:
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
 * Build it with the bindings in this folder, by clang with wasi-libc or by `zig cc`:
 *
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 -I. hello.c controller.c controller_component_type.o -o hello.wasm
 *
 * Memory: all texts and buffers of a request are freed at the beginning of the next one, so a handler frees nothing.
 */
#ifndef CARYA_GUEST_H
#define CARYA_GUEST_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller.h"

/* A header of functions: a guest need not call all of them. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"

/* --- Memory and texts --- */

/* A text of UTF-8 without a zero at its end. */
typedef struct {
    const char *ptr;
    size_t len;
} carya_text;

typedef struct carya__block {
    struct carya__block *next;
} carya__block;

static carya__block *carya__blocks;

/* Returns memory until the end of the request. */
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

/* Takes a text of the bindings: copies it into the memory of the request, with a zero behind it, and frees it. */
static carya_text carya__take(controller_string_t *text) {
    char *copy = carya_alloc(text->len + 1);
    memcpy(copy, text->ptr, text->len);
    copy[text->len] = 0;
    carya_text taken = { copy, text->len };
    controller_string_free(text);
    return taken;
}

/* Returns a text for the bindings. They only read it. */
static controller_string_t carya__lend(carya_text text) { return (controller_string_t){ (uint8_t *)text.ptr, text.len }; }

/* Returns a formatted text, as `printf` does. */
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

/* --- The request --- */

/* Returns the value of a parameter of the route's pattern, decoded. Empty if the pattern has no such parameter. */
static carya_text carya_param(const char *name) {
    controller_list_tuple2_string_string_t params;
    carya_text found = { "", 0 };
    carya_host_request_params(&params);
    for (size_t i = 0; i < params.len; i++) {
        carya_text key = { (char *)params.ptr[i].f0.ptr, params.ptr[i].f0.len };
        if (carya_is(key, name)) {
            found = carya_format("%.*s", (int)params.ptr[i].f1.len, (char *)params.ptr[i].f1.ptr);
        }
    }
    controller_list_tuple2_string_string_free(&params);
    return found;
}

/* Sets `value` to the first query parameter of a name, decoded. Returns false if there is none. */
static bool carya_query(const char *name, carya_text *value) {
    controller_string_t key = carya__lend(carya_str(name)), found;
    if (!carya_host_request_query(&key, &found)) return false;
    *value = carya__take(&found);
    return true;
}

/* Returns the body of the request. It may contain any bytes. */
static carya_text carya_body(void) {
    controller_list_u8_t body;
    carya_host_request_body(&body);
    char *copy = carya_alloc(body.len + 1);
    memcpy(copy, body.ptr, body.len);
    copy[body.len] = 0;
    carya_text taken = { copy, body.len };
    controller_list_u8_free(&body);
    return taken;
}

/* --- The database --- */

typedef carya_host_database_value_t carya_value;

/* A handle of the database. A handler of GET only reads: its writes fail. */
typedef struct {
    bool writes;
    carya_host_database_borrow_reader_t reader;
    carya_host_database_borrow_writer_t writer;
    /* The error of the last function that returned false. */
    bool failed;
    carya_host_database_db_error_t error;
} carya_db;

static carya_value carya_null(void) { return (carya_value){ .tag = CARYA_HOST_DATABASE_VALUE_NULL }; }

static carya_value carya_int(int64_t value) {
    return (carya_value){ .tag = CARYA_HOST_DATABASE_VALUE_INT64, .val.int64 = value };
}

static carya_value carya_text_value(carya_text value) {
    return (carya_value){ .tag = CARYA_HOST_DATABASE_VALUE_TEXT, .val.text = carya__lend(value) };
}

/* The parameters of a statement, one for each `?`. */
typedef carya_host_database_list_value_t carya_params;
#define CARYA_PARAMS(...) \
    ((carya_params){ (carya_value[]){ __VA_ARGS__ }, sizeof((carya_value[]){ __VA_ARGS__ }) / sizeof(carya_value) })
#define CARYA_NO_PARAMS ((carya_params){ NULL, 0 })

static bool carya__ended(carya_db *db, bool succeeded) {
    db->failed = !succeeded;
    return succeeded;
}

/* Forgets the error of an earlier statement. */
static void carya__begin(carya_db *db) {
    if (db->failed) carya_host_database_db_error_free(&db->error);
    db->failed = false;
}

/* Runs a query. Sets `json` to its rows, an array of objects, which the host writes. */
static bool carya_fetch_json(carya_db *db, const char *sql, carya_params params, carya_text *json) {
    controller_string_t text = carya__lend(carya_str(sql)), rows;
    carya__begin(db);
    bool done = db->writes ? carya_host_database_method_writer_query_json(db->writer, &text, &params, &rows, &db->error)
                           : carya_host_database_method_reader_query_json(db->reader, &text, &params, &rows, &db->error);
    if (done) *json = carya__take(&rows);
    return carya__ended(db, done);
}

/* Runs a query. Sets `json` to the first row, an object, and `found` to whether there is a row. */
static bool carya_fetch_one_json(carya_db *db, const char *sql, carya_params params, carya_text *json, bool *found) {
    controller_string_t text = carya__lend(carya_str(sql));
    controller_option_string_t row;
    carya__begin(db);
    bool done = db->writes
        ? carya_host_database_method_writer_query_one_json(db->writer, &text, &params, &row, &db->error)
        : carya_host_database_method_reader_query_one_json(db->reader, &text, &params, &row, &db->error);
    if (done) {
        *found = row.is_some;
        if (row.is_some) *json = carya__take(&row.val);
    }
    return carya__ended(db, done);
}

/* Runs a query that returns an integer in its first column. Sets `value` to that of the first row, or to 0 if there is no
 * row. */
static bool carya_fetch_int(carya_db *db, const char *sql, carya_params params, int64_t *value) {
    controller_string_t text = carya__lend(carya_str(sql));
    carya_host_database_option_list_value_t row;
    carya__begin(db);
    bool done = db->writes ? carya_host_database_method_writer_query_one(db->writer, &text, &params, &row, &db->error)
                           : carya_host_database_method_reader_query_one(db->reader, &text, &params, &row, &db->error);
    if (done) {
        *value = 0;
        if (row.is_some && row.val.len > 0 && row.val.ptr[0].tag == CARYA_HOST_DATABASE_VALUE_INT64) {
            *value = row.val.ptr[0].val.int64;
        }
        carya_host_database_option_list_value_free(&row);
    }
    return carya__ended(db, done);
}

/* Runs a statement that writes. Sets `rows` to the number of rows that it changed. */
static bool carya_execute(carya_db *db, const char *sql, carya_params params, uint64_t *rows) {
    controller_string_t text = carya__lend(carya_str(sql));
    carya_host_database_execution_t result;
    carya__begin(db);
    if (!db->writes) {
        fprintf(stderr, "a handler of GET cannot write: %s\n", sql);
        abort();
    }
    bool done = carya_host_database_method_writer_execute(db->writer, &text, &params, &result, &db->error);
    if (done) *rows = result.rows_affected;
    return carya__ended(db, done);
}

/* Returns whether the last function failed because of a constraint of this kind, such as
 * CARYA_HOST_DATABASE_VIOLATION_KIND_UNIQUE. */
static bool carya_violates(const carya_db *db, carya_host_database_violation_kind_t kind) {
    return db->failed && db->error.constraint.is_some && db->error.constraint.val.kind == kind;
}

/* --- Responses --- */

#define CARYA_MAX_HEADERS 8

typedef struct {
    uint16_t status;
    size_t headers;
    struct {
        const char *name;
        carya_text value;
    } header[CARYA_MAX_HEADERS];
    bool has_json;
    carya_text body;
    /* The handler failed: the host rolls back, logs `body` and answers with 500. */
    bool failed;
} carya_response;

static carya_response carya_with_header(carya_response response, const char *name, carya_text value) {
    if (response.headers == CARYA_MAX_HEADERS) abort();
    response.header[response.headers].name = name;
    response.header[response.headers++].value = value;
    return response;
}

/* A response with JSON. */
static carya_response carya_json(uint16_t status, carya_text json) {
    return (carya_response){ .status = status, .has_json = true, .body = json };
}

/* 201 with the address of the new object. */
static carya_response carya_created(carya_text location, carya_text json) {
    return carya_with_header(carya_json(201, json), "location", location);
}

static carya_response carya_no_content(void) { return (carya_response){ .status = 204 }; }

/* Fails with the error of the last function of the database. The client does not receive the text. */
static carya_response carya_fail(carya_db *db) {
    carya_text message = carya_str("the handler failed");
    if (db->failed) message = carya_format("%.*s", (int)db->error.message.len, (char *)db->error.message.ptr);
    return (carya_response){ .failed = true, .body = message };
}

static const char *carya__title(uint16_t status) {
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
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

/* Adds a field and its rule, unless `valid`. */
static void carya_check(carya_checks *checks, const char *field, bool valid, const char *rule) {
    if (valid) return;
    carya_text name = carya_quote(carya_str(field)), text = carya_quote(carya_str(rule));
    checks->errors = carya_format(
        "%.*s%s%.*s:%.*s", (int)checks->errors.len, checks->errors.len ? checks->errors.ptr : "",
        checks->errors.len ? "," : "", (int)name.len, name.ptr, (int)text.len, text.ptr);
}

/* 422 with the fields that are not valid. */
static carya_response carya_invalid(const carya_checks *checks) {
    carya_text json = carya_format(
        "{\"detail\":\"some fields are not valid\",\"errors\":{%.*s},\"status\":422,\"title\":\"%s\"}",
        (int)checks->errors.len, checks->errors.ptr, carya__title(422));
    return carya_with_header(carya_json(422, json), "content-type", carya_str("application/problem+json"));
}

/* --- Routes --- */

typedef struct {
    const char *method;
    const char *pattern;
    carya_response (*handler)(carya_db *db);
} carya_route;

/* Returns the routes and their number. Defined by CARYA_SERVE. */
static const carya_route *carya__routes(size_t *count);

static carya_response carya__dispatch(carya_db *db) {
    controller_string_t text, pattern;
    carya__free_all();
    carya_host_request_method(&text);
    carya_text method = carya__take(&text);
    if (carya_is(method, "HEAD")) method = carya_str("GET");
    carya_text route = { "", 0 };
    if (carya_host_request_route(&pattern)) route = carya__take(&pattern);
    size_t count;
    const carya_route *routes = carya__routes(&count);
    for (size_t i = 0; i < count; i++) {
        if (carya_is(method, routes[i].method) && carya_is(route, routes[i].pattern)) return routes[i].handler(db);
    }
    return (carya_response){
        .failed = true,
        .body = carya_format("no function serves %.*s %.*s", (int)method.len, method.ptr, (int)route.len, route.ptr),
    };
}

/* Copies a response for the host, which frees the copy. Returns false if the handler failed. */
static bool carya__give(carya_db *db, carya_response from, carya_host_types_response_t *to, controller_string_t *error) {
    carya__begin(db);
    if (from.failed) {
        controller_string_dup_n(error, from.body.ptr, from.body.len);
        return false;
    }
    to->status = from.status;
    to->headers.len = from.headers;
    to->headers.ptr = from.headers ? malloc(from.headers * sizeof *to->headers.ptr) : NULL;
    for (size_t i = 0; i < from.headers; i++) {
        controller_string_dup(&to->headers.ptr[i].f0, from.header[i].name);
        controller_string_dup_n(
            (controller_string_t *)&to->headers.ptr[i].f1, from.header[i].value.ptr, from.header[i].value.len);
    }
    if (from.has_json) {
        to->body.tag = CARYA_HOST_TYPES_BODY_JSON;
        controller_string_dup_n(&to->body.val.json, from.body.ptr, from.body.len);
    } else {
        to->body.tag = CARYA_HOST_TYPES_BODY_BYTES;
        to->body.val.bytes.ptr = NULL;
        to->body.val.bytes.len = 0;
    }
    return true;
}

bool exports_carya_host_read_controller_read(
    exports_carya_host_read_controller_own_reader_t handle,
    exports_carya_host_read_controller_response_t *ret,
    controller_string_t *err
) {
    carya_db db = { .reader = carya_host_database_borrow_reader(handle) };
    bool done = carya__give(&db, carya__dispatch(&db), ret, err);
    carya_host_database_reader_drop_own(handle);
    return done;
}

bool exports_carya_host_write_controller_write(
    exports_carya_host_write_controller_own_writer_t handle,
    exports_carya_host_write_controller_response_t *ret,
    controller_string_t *err
) {
    carya_db db = { .writes = true, .writer = carya_host_database_borrow_writer(handle) };
    bool done = carya__give(&db, carya__dispatch(&db), ret, err);
    carya_host_database_writer_drop_own(handle);
    return done;
}

#define CARYA__ACCESS_GET " read-only "
#define CARYA__ACCESS_POST " read-write "
#define CARYA__ACCESS_PUT " read-write "
#define CARYA__ACCESS_PATCH " read-write "
#define CARYA__ACCESS_DELETE " read-write "
#define CARYA__LINE(method, pattern, handler) ".ascii \"" #method CARYA__ACCESS_##method pattern "\\n\"\n"
#define CARYA__ENTRY(method, pattern, handler) { #method, pattern, handler },

/* Serves the routes of a list, each given as ROUTE(METHOD, "/pattern", function). HEAD is served by the function of GET.
 * The component declares the routes in the custom section `carya:routes`, so that the host refuses a configuration with a
 * route that no function serves. C has no syntax for custom sections, so the assembler writes it. */
#define CARYA_SERVE(list) \
    __asm__(".section \".custom_section.carya:routes\",\"\",@\n" list(CARYA__LINE) ".text\n"); \
    static const carya_route *carya__routes(size_t *count) { \
        static const carya_route routes[] = { list(CARYA__ENTRY) }; \
        *count = sizeof routes / sizeof routes[0]; \
        return routes; \
    }

#pragma clang diagnostic pop
#endif
