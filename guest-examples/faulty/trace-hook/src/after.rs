//! The setting `after`: `fail`, `panic`, `write`, `header` (adds the mark as `x-after`), `bad-header` (tries to set
//! forbidden headers, and lists the refused ones in `x-refused`), `rewrite` (sets the status 203, removes `x-inside`,
//! and converts the body to upper case).

use crate::carya::host::database::Handle;
use crate::carya::host::{config, response};
use crate::exports::carya::host::after::Guest;
use crate::handle::{mark, write};

const BAD_HEADERS: [(&str, &str); 4] =
    [("bad name", "x"), ("x-bad", "a\r\nb: c"), ("content-length", "1"), ("connection", "close")];

impl Guest for crate::Hook {
    fn after(db: Handle) -> Result<(), String> {
        match config::get("after").as_deref() {
            None | Some("none") => Ok(()),
            Some("fail") => Err("after fails".into()),
            Some("panic") => panic!("after panics"),
            Some("write") => write(&db),
            Some("header") => response::append_header("x-after", &mark(&db)),
            Some("bad-header") => {
                let refused = BAD_HEADERS.iter().filter(|(name, value)| response::set_header(name, value).is_err());
                let refused = refused.map(|(name, _)| *name).collect::<Vec<_>>().join(",");
                response::set_header("x-refused", &refused)
            }
            Some("rewrite") => {
                response::set_status(203)?;
                response::remove_header("x-inside")?;
                response::set_body(&response::body().to_ascii_uppercase())
            }
            Some(other) => Err(format!("after = {other}: unknown")),
        }
    }
}
