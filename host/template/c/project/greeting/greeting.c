/* Hook that adds the header `x-greeting` to every response, with the text from `carya.toml`. */

#include "carya_guest.h"

static bool greet(carya_db *db) {
    (void)db;
    carya_text text;
    if (!carya_setting("text", &text)) return carya_error(carya_str("the setting `text` is not set"));
    return carya_set_reply_header("x-greeting", text);
}
CARYA_AFTER(greet)
