//! Hook that keeps the handle of its `before` and uses it again in `after`. The header `x-kept` reports the result.

use std::cell::RefCell;

use carya::host::database::{DbErrorKind, Handle};
use carya::host::response;
use carya::host::types::Response;
use exports::carya::host::{after, before};

wit_bindgen::generate!({
    inline: "
        package test:keeper;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/before@0.2.0;
            export carya:host/after@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

thread_local! {
    static KEPT: RefCell<Handle> = const { RefCell::new(Handle::None) };
}

struct Keeper;
export!(Keeper);

impl before::Guest for Keeper {
    fn before(db: Handle) -> Result<Option<Response>, String> {
        KEPT.set(db);
        Ok(None)
    }
}

impl after::Guest for Keeper {
    fn after(_: Handle) -> Result<(), String> {
        let tried = KEPT.with_borrow(|db| match db {
            Handle::None => None,
            Handle::Reader(db) => Some(db.query("SELECT 1", &[])),
            Handle::Writer(db) => Some(db.query("SELECT 1", &[])),
        });
        let told = match tried {
            None => "nothing",
            Some(Ok(_)) => "alive",
            Some(Err(error)) if error.kind == DbErrorKind::Lost => "lost",
            Some(Err(_)) => "another error",
        };
        response::set_header("x-kept", told)
    }
}
