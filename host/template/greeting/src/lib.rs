//! Hook that adds the header `x-greeting` to every response, with the text from `carya.toml`.

use carya::host::database::Handle;
use carya::host::{config, response};
use exports::carya::host::after::Guest;

wit_bindgen::generate!({
    inline: "
        package my:greeting;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/after@0.2.0;
        }
    ",
    path: "../wit",
    generate_all,
});

struct Greeting;
export!(Greeting);

impl Guest for Greeting {
    fn after(_db: Handle) -> Result<(), String> {
        let text = config::get("text").ok_or("the setting `text` is missing")?;
        response::set_header("x-greeting", &text)
    }
}
