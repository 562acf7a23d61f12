//! Bindings generated from the contract in `wit/`. No other room sees them: [`convert`](super::convert) converts them to
//! the types in [`answer`](super::answer) and to those of the rooms below.
//!
//! ```wit
#![doc = include_str!("../../../wit/world.wit")]
#![doc = include_str!("../../../wit/controller.wit")]
#![doc = include_str!("../../../wit/hook.wit")]
#![doc = include_str!("../../../wit/database.wit")]
#![doc = include_str!("../../../wit/types.wit")]
#![doc = include_str!("../../../wit/request.wit")]
#![doc = include_str!("../../../wit/model.wit")]
#![doc = include_str!("../../../wit/actions.wit")]
//! ```

wasmtime::component::bindgen!({
    path: "../wit",
    world: "everything",
    // Statements wait for the database. All other imports return at once.
    imports: {
        "carya:host/database.[method]reader.query": async | trappable,
        "carya:host/database.[method]reader.query-one": async | trappable,
        "carya:host/database.[method]reader.query-json": async | trappable,
        "carya:host/database.[method]writer.query": async | trappable,
        "carya:host/database.[method]writer.query-one": async | trappable,
        "carya:host/database.[method]writer.query-json": async | trappable,
        "carya:host/database.[method]writer.execute": async | trappable,
        "carya:host/database.[method]writer.execute-batch": async | trappable,
        "carya:host/database.[method]writer.savepoint": async | trappable,
        "carya:host/database.[method]savepoint.rollback": async | trappable,
        "carya:host/database.[drop]savepoint": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "carya:host/database.reader": super::handles::Reader,
        "carya:host/database.writer": super::handles::Writer,
        "carya:host/database.savepoint": super::handles::Savepoint,
    },
});
