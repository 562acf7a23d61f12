/* The controller of the shop's items in C. It returns the same responses as `items`, byte for byte: change them together. */

#include "carya_guest.h"
#include "carya_json.h"

/* An item as the client sends it. */
typedef struct {
    carya_text name;
    int64_t price_cents, stock;
} draft;

/* Parses decimal digits, at most as many as a JavaScript number represents exactly. */
static bool whole(carya_text text, int64_t *number) {
    *number = 0;
    if (text.len == 0 || text.len > 15) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        *number = *number * 10 + (text.ptr[i] - '0');
    }
    return true;
}

/* As a parameter, an id that is no number is NULL, which equals no id. */
static carya_value id_of_path(void) {
    int64_t id;
    return whole(carya_param("id"), &id) ? carya_int(id) : carya_null();
}

static carya_response missing(void) { return carya_problem(404, "there is no such item"); }
static carya_response name_taken(void) { return carya_problem(409, "another item has this name"); }

/* Reads a query parameter. */
static bool number(const char *name, int64_t usual, int64_t max, int64_t *value) {
    carya_text text;
    *value = usual;
    return !carya_query(name, &text) || (whole(text, value) && *value >= 1 && *value <= max);
}

/* Parses a body of any media type. If it is not valid, sets `refusal`. */
static bool parse(draft *draft, carya_response *refusal) {
    const carya_json_value *body = carya_parse(carya_body());
    if (!body || body->kind != CARYA_JSON_OBJECT) {
        *refusal = carya_problem(400, "the body is not a JSON object");
        return false;
    }
    const carya_json_value *name = carya_member(body, "name");
    bool has_name = name && name->kind == CARYA_JSON_TEXT && name->text.len > 0 && carya_characters(name->text) <= 100;
    bool has_price = carya_whole(carya_member(body, "price_cents"), 0, 1000000000, &draft->price_cents);
    bool has_stock = carya_whole(carya_member(body, "stock"), 0, 1000000000, &draft->stock);
    carya_checks checks = { 0 };
    carya_check(&checks, "name", has_name, "must be a text of 1 to 100 characters");
    carya_check(&checks, "price_cents", has_price, "must be a whole number from 0 to 1000000000");
    carya_check(&checks, "stock", has_stock, "must be a whole number from 0 to 1000000000");
    if (checks.errors.len) {
        *refusal = carya_invalid(&checks);
        return false;
    }
    draft->name = name->text;
    return true;
}

static carya_text item(int64_t id, const draft *draft) {
    carya_text name = carya_quote(draft->name);
    return carya_format(
        "{\"id\":%lld,\"name\":%.*s,\"price_cents\":%lld,\"stock\":%lld}", (long long)id, (int)name.len, name.ptr,
        (long long)draft->price_cents, (long long)draft->stock);
}

static carya_response page(carya_db *db) {
    int64_t page, per_page, total;
    carya_checks checks = { 0 };
    carya_check(&checks, "page", number("page", 1, 1000000, &page), "must be a whole number from 1 to 1000000");
    carya_check(&checks, "per_page", number("per_page", 20, 100, &per_page), "must be a whole number from 1 to 100");
    if (checks.errors.len) return carya_invalid(&checks);
    /* The rows stay the JSON text that the host wrote. */
    carya_text items;
    const char *sql = "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?";
    carya_params params = CARYA_PARAMS(carya_int(per_page), carya_int((page - 1) * per_page));
    if (!carya_fetch_json(db, sql, params, &items)) return carya_fail();
    if (!carya_fetch_int(db, "SELECT count(*) FROM items", CARYA_NO_PARAMS, &total)) return carya_fail();
    return carya_json(200, carya_format(
        "{\"items\":%.*s,\"page\":%lld,\"total\":%lld}", (int)items.len, items.ptr, (long long)page, (long long)total));
}

static carya_response one(carya_db *db) {
    carya_text row;
    bool found;
    const char *sql = "SELECT id, name, price_cents, stock FROM items WHERE id = ?";
    if (!carya_fetch_one_json(db, sql, CARYA_PARAMS(id_of_path()), &row, &found)) return carya_fail();
    return found ? carya_json(200, row) : missing();
}

static carya_response create(carya_db *db) {
    draft draft;
    carya_response refusal;
    if (!parse(&draft, &refusal)) return refusal;
    int64_t id;
    const char *sql = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id";
    carya_params params = CARYA_PARAMS(carya_text_value(draft.name), carya_int(draft.price_cents), carya_int(draft.stock));
    if (!carya_fetch_int(db, sql, params, &id)) {
        return carya_violates(CARYA_UNIQUE) ? name_taken() : carya_fail();
    }
    return carya_created(carya_format("/items/%lld", (long long)id), item(id, &draft));
}

static carya_response update(carya_db *db) {
    draft draft;
    carya_response refusal;
    int64_t id;
    uint64_t rows;
    if (!parse(&draft, &refusal)) return refusal;
    if (!whole(carya_param("id"), &id)) return missing();
    const char *sql = "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?";
    carya_params params =
        CARYA_PARAMS(carya_text_value(draft.name), carya_int(draft.price_cents), carya_int(draft.stock), carya_int(id));
    if (!carya_execute(db, sql, params, &rows)) {
        return carya_violates(CARYA_UNIQUE) ? name_taken() : carya_fail();
    }
    return rows == 0 ? missing() : carya_json(200, item(id, &draft));
}

static carya_response delete_item(carya_db *db) {
    uint64_t rows;
    if (!carya_execute(db, "DELETE FROM items WHERE id = ?", CARYA_PARAMS(id_of_path()), &rows)) {
        return carya_violates(CARYA_FOREIGN_KEY)
            ? carya_problem(409, "there are orders of this item")
            : carya_fail();
    }
    return rows == 0 ? missing() : carya_no_content();
}

#define ROUTES(ROUTE) \
    ROUTE(GET, "/items", page) \
    ROUTE(POST, "/items", create) \
    ROUTE(GET, "/items/{id}", one) \
    ROUTE(PUT, "/items/{id}", update) \
    ROUTE(DELETE, "/items/{id}", delete_item)
CARYA_SERVE(ROUTES)
