/* Routes without a transaction, seeds, and a reader that is used as a writer. */

#include "carya_guest.h"

static uint64_t state = 1;

static void seed(const uint64_t seeds[4]) { state = seeds[0] ^ seeds[1] ^ seeds[2] ^ seeds[3]; }
CARYA_RESEED(seed)

static carya_response number(carya_db *db) {
    (void)db;
    state = state * 6364136223846793005 + 1442695040888963407;
    return carya_json(200, carya_format("%llu", (unsigned long long)state));
}

static carya_response forced(carya_db *db) {
    CARYA_RESULT(carya_execution, carya_db_error) result;
    const char *sql = "CREATE TABLE forced (id INTEGER)";
    carya_host_writer_execute(db->handle, sql, strlen(sql), NULL, 0, &result);
    return carya_no_content();
}

static carya_response plain(carya_db *db) { return carya_json(200, carya_format("{\"access\":%d}", db->access)); }

static carya_response echo(carya_db *db) {
    (void)db;
    return carya_text_response(200, carya_body());
}

#define ROUTES(ROUTE) \
    ROUTE(GET, "/random", number) \
    ROUTE(GET, "/forced", forced)
CARYA_SERVE(ROUTES)

#define PLAIN(ROUTE) \
    ROUTE(OPTIONS, "/plain", plain) \
    ROUTE(POST, "/echo", echo)
CARYA_SERVE_PLAIN(PLAIN)
