//! Hook that adds the header `x-greeting` to every response, with the text from `carya.toml`.

use carya_guest::prelude::*;

#[carya_guest::after]
fn greet(reply: Reply) -> Result<(), Problem> {
    reply.set_header("x-greeting", &carya_guest::setting_text("text")?)?;
    Ok(())
}
