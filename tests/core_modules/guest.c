/* A controller in C that uses stdio, the clock and the environment of wasi-libc, by the bindings of wit-bindgen.
 *
 * Table: notes (id BIGINT PRIMARY KEY, note VARCHAR(100)).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest.h"

typedef carya_host_database_value_t value_t;

/* Sets an error for the host from an error of the database. */
static bool fail(guest_string_t *err, carya_host_database_db_error_t *error) {
    guest_string_dup_n(err, (char *)error->message.ptr, error->message.len);
    carya_host_database_db_error_free(error);
    return false;
}

static void respond(carya_host_types_response_t *ret, uint16_t status, const char *text) {
    ret->status = status;
    ret->headers.ptr = NULL;
    ret->headers.len = 0;
    ret->body.tag = CARYA_HOST_TYPES_BODY_TEXT;
    guest_string_dup(&ret->body.val.text, text);
}

/* Reads the note with the number of the path: `/7`. Reports the clock, a variable and a file too. */
bool exports_carya_host_read_controller_read(
    exports_carya_host_read_controller_own_reader_t db,
    exports_carya_host_read_controller_response_t *ret,
    guest_string_t *err
) {
    guest_string_t path, sql;
    carya_host_request_path(&path);
    char number[32], text[256];
    snprintf(number, sizeof number, "%.*s", (int)path.len - 1, (char *)path.ptr + 1);
    guest_string_free(&path);

    value_t id = { .tag = CARYA_HOST_DATABASE_VALUE_INT64, .val.int64 = strtoll(number, NULL, 10) };
    carya_host_database_list_value_t params = { .ptr = &id, .len = 1 };
    carya_host_database_option_list_value_t row;
    carya_host_database_db_error_t error;
    guest_string_set(&sql, "SELECT note FROM notes WHERE id = ?");
    bool ok = carya_host_database_method_reader_query_one(
        carya_host_database_borrow_reader(db), &sql, &params, &row, &error);
    carya_host_database_reader_drop_own(db);
    if (!ok) return fail(err, &error);
    if (!row.is_some) {
        fprintf(stderr, "no note %s: %5.2f\n", number, 0.5);
        respond(ret, 404, "no note\n");
        return true;
    }

    guest_string_t note = row.val.ptr[0].val.text;
    FILE *file = fopen("/etc/passwd", "r");
    snprintf(
        text, sizeof text, "%.*s %lld %s %s", (int)note.len, (char *)note.ptr, (long long)time(NULL),
        getenv("HOME") ? "home" : "homeless", file ? "readable" : strerror(errno));
    carya_host_database_option_list_value_free(&row);
    respond(ret, 200, text);
    return true;
}

/* Writes the body as a note. */
bool exports_carya_host_write_controller_write(
    exports_carya_host_write_controller_own_writer_t db,
    exports_carya_host_write_controller_response_t *ret,
    guest_string_t *err
) {
    guest_list_u8_t body;
    guest_string_t sql;
    carya_host_request_body(&body);
    value_t note = { .tag = CARYA_HOST_DATABASE_VALUE_TEXT, .val.text = { body.ptr, body.len } };
    carya_host_database_list_value_t params = { .ptr = &note, .len = 1 };
    carya_host_database_execution_t done;
    carya_host_database_db_error_t error;
    guest_string_set(&sql, "INSERT INTO notes SELECT count(*) + 1, ? FROM notes");
    bool ok = carya_host_database_method_writer_execute(
        carya_host_database_borrow_writer(db), &sql, &params, &done, &error);
    carya_host_database_writer_drop_own(db);
    if (!ok) return fail(err, &error);

    /* Standard output has a buffer, which is lost with the instance. */
    printf("wrote %zu bytes in %llu row\n", body.len, (unsigned long long)done.rows_affected);
    fflush(stdout);
    if (body.len == 0) abort();
    guest_list_u8_free(&body);
    respond(ret, 201, "written\n");
    return true;
}
