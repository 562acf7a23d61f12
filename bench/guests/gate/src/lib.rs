//! A hook that lets every request pass.

use carya::host::database::Handle;
use carya::host::types::Response;
use exports::carya::host::before::Guest;

wit_bindgen::generate!({
    inline: "
        package bench:gate;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/before@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Gate;
export!(Gate);

impl Guest for Gate {
    fn before(_: Handle) -> Result<Option<Response>, String> {
        Ok(None)
    }
}
