/* Hook that logs each request and adds the header `x-{{name}}` to each response. */

#include "carya_guest.h"

/* Runs before the controller. If it returned a response, the client would receive it, and no controller would run. */
static carya_response note(carya_db *db) {
    (void)db;
    carya_text method = carya_method(), path = carya_path();
    carya_log(CARYA_LOG_INFO, carya_format("%.*s %.*s", (int)method.len, method.ptr, (int)path.len, path.ptr));
    return carya_proceed();
}
CARYA_BEFORE(note)

/* Runs after the controller. With a priority of 100 or more it runs inside the transaction, and its errors roll back. */
static bool mark(carya_db *db) {
    (void)db;
    return carya_set_reply_header("x-{{name}}", carya_str("1"));
}
CARYA_AFTER(mark)
