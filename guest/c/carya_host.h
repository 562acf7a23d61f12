/* The contract `carya:host@0.2.0` in C: its types, and the functions that a guest imports. The folder `wit` of carya
 * documents them. `carya_guest.h` includes this header; guests call these functions only where it has no helper.
 *
 * On wasm32, a C struct has the layout that the component model defines for a record: fields in order, each at its
 * alignment. A variant is a byte and a union. A string or a list is a pointer and a length. So the host reads and
 * writes these structs in place, and no code converts them. A test compares the layouts with the contract.
 *
 * A function with a result that is no number writes the result to its last parameter. `CARYA_RESULT(T, E)` is the
 * contract's `result<T, E>`.
 */
#ifndef CARYA_HOST_H
#define CARYA_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text of UTF-8 without a zero at its end, or bytes. */
typedef struct {
    const char *ptr;
    size_t len;
} carya_text;

typedef struct {
    bool is_some;
    carya_text value;
} carya_option_text;

typedef struct {
    carya_text *ptr;
    size_t len;
} carya_texts;

#define CARYA_RESULT(T, E) struct { bool is_err; union { T ok; E err; }; }
/* `result<_, E>` */
#define CARYA_VOID_RESULT(E) struct { bool is_err; E err; }

/* --- database --- */

typedef struct {
    carya_text type_name, text;
} carya_other_value;

typedef struct {
    enum {
        CARYA_VALUE_NULL,
        CARYA_VALUE_BOOLEAN,
        CARYA_VALUE_INT64,
        CARYA_VALUE_FLOAT64,
        CARYA_VALUE_TEXT,
        CARYA_VALUE_BYTES,
        CARYA_VALUE_OTHER
    } __attribute__((packed)) tag;
    union {
        bool boolean;
        int64_t int64;
        double float64;
        carya_text text;
        carya_text bytes;
        carya_other_value other;
    };
} carya_value;

typedef struct {
    carya_value *ptr;
    size_t len;
} carya_values;

typedef struct {
    carya_text name, type_name;
} carya_column;

typedef struct {
    carya_column *ptr;
    size_t len;
} carya_columns;

typedef struct {
    carya_values *ptr;
    size_t len;
} carya_list_of_values;

typedef struct {
    carya_columns columns;
    carya_list_of_values rows;
} carya_rows;

typedef struct {
    bool is_some;
    int64_t value;
} carya_option_int64;

typedef struct {
    uint64_t rows_affected;
    carya_option_int64 last_insert_id;
} carya_execution;

typedef struct {
    carya_columns columns;
    carya_list_of_values rows;
    uint64_t rows_affected;
    carya_option_int64 last_insert_id;
} carya_statement_result;

typedef enum {
    CARYA_ERROR_CONSTRAINT,
    CARYA_ERROR_CONFLICT,
    CARYA_ERROR_READ_ONLY,
    CARYA_ERROR_FORBIDDEN,
    CARYA_ERROR_TIMEOUT,
    CARYA_ERROR_LIMIT,
    CARYA_ERROR_LOST,
    CARYA_ERROR_BUSY,
    CARYA_ERROR_DATA,
    CARYA_ERROR_OTHER
} __attribute__((packed)) carya_db_error_kind;

typedef enum {
    CARYA_UNIQUE,
    CARYA_FOREIGN_KEY,
    CARYA_CHECK,
    CARYA_NOT_NULL,
    CARYA_EXCLUSION
} __attribute__((packed)) carya_violation_kind;

typedef struct {
    carya_violation_kind kind;
    carya_option_text name, table;
    carya_texts columns;
} carya_violation;

typedef struct {
    bool is_some;
    carya_violation value;
} carya_option_violation;

typedef struct {
    carya_db_error_kind kind;
    carya_option_text code;
    carya_text message;
    bool retryable;
    carya_option_violation constraint;
    carya_option_text detail, hint;
} carya_db_error;

typedef enum { CARYA_SQLITE, CARYA_POSTGRESQL, CARYA_MYSQL } __attribute__((packed)) carya_dialect;

typedef enum { CARYA_AT_MOST_ONCE, CARYA_AT_LEAST_ONCE } __attribute__((packed)) carya_delivery;

#define CARYA__IMPORT(interface, name) \
    __attribute__((import_module("carya:host/" interface "@0.2.0"), import_name(name))) extern

/* Functions that a `reader` and a `writer` have. */
#define CARYA__OF_BOTH(name, function) \
    CARYA__IMPORT("database", "[method]reader." name) void carya_host_reader_##function( \
        int32_t reader, const char *sql, size_t sql_len, const carya_value *params, size_t params_len, void *result); \
    CARYA__IMPORT("database", "[method]writer." name) void carya_host_writer_##function( \
        int32_t writer, const char *sql, size_t sql_len, const carya_value *params, size_t params_len, void *result);
/* CARYA_RESULT(carya_rows, carya_db_error) */
CARYA__OF_BOTH("query", query)
/* CARYA_RESULT(struct { bool is_some; carya_values value; }, carya_db_error) */
CARYA__OF_BOTH("query-one", query_one)
/* CARYA_RESULT(carya_text, carya_db_error) */
CARYA__OF_BOTH("query-json", query_json)
/* CARYA_RESULT(carya_option_text, carya_db_error) */
CARYA__OF_BOTH("query-one-json", query_one_json)
/* CARYA_RESULT(carya_statement_result, carya_db_error) */
CARYA__OF_BOTH("run", run)

CARYA__IMPORT("database", "[method]reader.dialect") carya_dialect carya_host_reader_dialect(int32_t reader);
CARYA__IMPORT("database", "[method]writer.dialect") carya_dialect carya_host_writer_dialect(int32_t writer);

/* CARYA_RESULT(carya_execution, carya_db_error) */
CARYA__IMPORT("database", "[method]writer.execute") void carya_host_writer_execute(
    int32_t writer, const char *sql, size_t sql_len, const carya_value *params, size_t params_len, void *result);
/* CARYA_RESULT(uint64_t, carya_db_error) */
CARYA__IMPORT("database", "[method]writer.execute-batch") void carya_host_writer_execute_batch(
    int32_t writer, const char *sql, size_t sql_len, const carya_values *params, size_t params_len, void *result);
/* CARYA_RESULT(int32_t, carya_db_error) */
CARYA__IMPORT("database", "[method]writer.savepoint") void carya_host_writer_savepoint(int32_t writer, void *result);
CARYA__IMPORT("database", "[method]writer.mark-rollback") void carya_host_writer_mark_rollback(int32_t writer);
/* The results of the following functions are CARYA_VOID_RESULT(carya_db_error). */
CARYA__IMPORT("database", "[method]writer.after-commit") void carya_host_writer_after_commit(
    int32_t writer, const char *name, size_t name_len, const char *payload, size_t payload_len, carya_delivery delivery,
    void *result);
CARYA__IMPORT("database", "[method]writer.after-rollback") void carya_host_writer_after_rollback(
    int32_t writer, const char *name, size_t name_len, const char *payload, size_t payload_len, void *result);
CARYA__IMPORT("database", "[method]savepoint.release")
void carya_host_savepoint_release(int32_t savepoint, void *result);
CARYA__IMPORT("database", "[method]savepoint.rollback-to")
void carya_host_savepoint_rollback_to(int32_t savepoint, void *result);
CARYA__IMPORT("database", "[method]savepoint.rollback")
void carya_host_savepoint_rollback(int32_t savepoint, void *result);

CARYA__IMPORT("database", "[resource-drop]reader") void carya_host_reader_drop(int32_t reader);
CARYA__IMPORT("database", "[resource-drop]writer") void carya_host_writer_drop(int32_t writer);
CARYA__IMPORT("database", "[resource-drop]savepoint") void carya_host_savepoint_drop(int32_t savepoint);

/* --- types --- */

/* A header field, or a parameter. */
typedef struct {
    carya_text name, value;
} carya_pair;

typedef struct {
    carya_pair *ptr;
    size_t len;
} carya_pairs;

typedef struct {
    carya_text name, context;
} carya_template_body;

typedef enum { CARYA_ROWS_JSON, CARYA_ROWS_NDJSON, CARYA_ROWS_CSV } __attribute__((packed)) carya_rows_format;

typedef struct {
    carya_text sql;
    carya_values params;
    carya_rows_format format;
} carya_rows_query;

typedef struct {
    enum {
        CARYA_BODY_BYTES,
        CARYA_BODY_TEXT,
        CARYA_BODY_JSON,
        CARYA_BODY_TEMPLATE,
        CARYA_BODY_ROWS
    } __attribute__((packed)) tag;
    union {
        /* Bytes, text or JSON. */
        carya_text text;
        carya_template_body template_body;
        carya_rows_query rows;
    };
} carya_host_body;

typedef struct {
    uint16_t status;
    carya_pairs headers;
    carya_host_body body;
} carya_host_response;

/* The access to the database: that of a request, and that of a handle. */
typedef enum { CARYA_NONE, CARYA_READ_ONLY, CARYA_READ_WRITE } __attribute__((packed)) carya_access;

typedef enum {
    CARYA_FAULT_CLIENT,
    CARYA_FAULT_GUEST,
    CARYA_FAULT_DATABASE,
    CARYA_FAULT_HOST
} __attribute__((packed)) carya_fault;

/* A failed request. */
typedef struct {
    uint16_t status;
    carya_fault fault;
    /* A description for logs. Do not send it to the client. */
    carya_text message;
    struct {
        bool is_some;
        carya_db_error_kind value;
    } kind;
    carya_option_text code;
    carya_option_violation constraint;
} carya_failure;

/* --- request --- */

typedef struct {
    carya_text name;
    /* The text, or the content of the file. */
    carya_text value;
    /* The name that the client gave the file. Only files have one. Do not use it as a path. */
    carya_option_text file_name;
    carya_option_text content_type;
} carya_form_field;

typedef struct {
    carya_form_field *ptr;
    size_t len;
} carya_form;

typedef struct {
    enum { CARYA_FORM_NOT_A_FORM, CARYA_FORM_MALFORMED, CARYA_FORM_LIMIT } __attribute__((packed)) tag;
    carya_text message;
} carya_form_error;

CARYA__IMPORT("request", "method") void carya_host_request_method(carya_text *method);
CARYA__IMPORT("request", "path") void carya_host_request_path(carya_text *path);
CARYA__IMPORT("request", "route") void carya_host_request_route(carya_option_text *pattern);
CARYA__IMPORT("request", "param") void carya_host_request_param(const char *name, size_t len, carya_option_text *value);
CARYA__IMPORT("request", "params") void carya_host_request_params(carya_pairs *params);
CARYA__IMPORT("request", "query") void carya_host_request_query(const char *name, size_t len, carya_option_text *value);
CARYA__IMPORT("request", "query-all")
void carya_host_request_query_all(const char *name, size_t len, carya_texts *values);
CARYA__IMPORT("request", "query-string") void carya_host_request_query_string(carya_text *query);
CARYA__IMPORT("request", "header")
void carya_host_request_header(const char *name, size_t len, carya_option_text *value);
CARYA__IMPORT("request", "headers") void carya_host_request_headers(carya_text *lines);
CARYA__IMPORT("request", "cookie")
void carya_host_request_cookie(const char *name, size_t len, carya_option_text *value);
CARYA__IMPORT("request", "body") void carya_host_request_body(carya_text *body);
/* CARYA_RESULT(carya_text, carya_text) */
CARYA__IMPORT("request", "body-text") void carya_host_request_body_text(void *result);
/* CARYA_RESULT(carya_form, carya_form_error) */
CARYA__IMPORT("request", "form") void carya_host_request_form(void *result);
CARYA__IMPORT("request", "scheme") void carya_host_request_scheme(carya_text *scheme);
CARYA__IMPORT("request", "authority") void carya_host_request_authority(carya_option_text *authority);
CARYA__IMPORT("request", "client-address") void carya_host_request_client_address(carya_option_text *address);
CARYA__IMPORT("request", "id") void carya_host_request_id(carya_text *id);

/* --- response, context, identity. A `result` is CARYA_VOID_RESULT(carya_text). --- */

CARYA__IMPORT("response", "status") uint16_t carya_host_response_status(void);
CARYA__IMPORT("response", "set-status") void carya_host_response_set_status(uint16_t status, void *result);
CARYA__IMPORT("response", "header")
void carya_host_response_header(const char *name, size_t len, carya_option_text *value);
CARYA__IMPORT("response", "headers") void carya_host_response_headers(carya_text *lines);
CARYA__IMPORT("response", "set-header") void carya_host_response_set_header(
    const char *name, size_t name_len, const char *value, size_t value_len, void *result);
CARYA__IMPORT("response", "append-header") void carya_host_response_append_header(
    const char *name, size_t name_len, const char *value, size_t value_len, void *result);
CARYA__IMPORT("response", "remove-header") void carya_host_response_remove_header(
    const char *name, size_t len, void *result);
CARYA__IMPORT("response", "body") void carya_host_response_body(carya_text *body);
CARYA__IMPORT("response", "set-body") void carya_host_response_set_body(const char *body, size_t len, void *result);

CARYA__IMPORT("context", "get") void carya_host_context_get(const char *key, size_t len, carya_option_text *value);
CARYA__IMPORT("context", "set") void carya_host_context_set(
    const char *key, size_t key_len, const char *value, size_t value_len, void *result);

CARYA__IMPORT("identity", "subject") void carya_host_identity_subject(carya_option_text *subject);
CARYA__IMPORT("identity", "claim")
void carya_host_identity_claim(const char *name, size_t len, carya_option_text *json);
CARYA__IMPORT("identity", "claims") void carya_host_identity_claims(carya_option_text *json);
CARYA__IMPORT("identity-setter", "set") void carya_host_identity_setter_set(
    const char *subject, size_t subject_len, const char *claims, size_t claims_len, void *result);

/* --- log and config --- */

typedef enum {
    CARYA_LOG_TRACE,
    CARYA_LOG_DEBUG,
    CARYA_LOG_INFO,
    CARYA_LOG_WARN,
    CARYA_LOG_ERROR
} __attribute__((packed)) carya_log_level;

CARYA__IMPORT("log", "write") void carya_host_log_write(carya_log_level level, const char *message, size_t len);
CARYA__IMPORT("config", "get") void carya_host_config_get(const char *key, size_t len, carya_option_text *value);

#endif
