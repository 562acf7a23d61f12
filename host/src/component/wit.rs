//! Bindings generated from the contract in `wit/`. Only the module `component` uses them: [`convert`](super::convert)
//! converts between them and the types of [`answer`](super::answer) and of other modules, such as `sql`.
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
#![doc = include_str!("../../../wit/reseed.wit")]
//! ```

wasmtime::component::bindgen!({
    path: "../wit",
    world: "everything",
    // Only the functions that wait for the database are asynchronous.
    imports: {
        "carya:host/database.[method]reader.query": async | trappable,
        "carya:host/database.[method]reader.query-one": async | trappable,
        "carya:host/database.[method]reader.query-json": async | trappable,
        "carya:host/database.[method]reader.query-one-json": async | trappable,
        "carya:host/database.[method]reader.run": async | trappable,
        "carya:host/database.[method]writer.query": async | trappable,
        "carya:host/database.[method]writer.query-one": async | trappable,
        "carya:host/database.[method]writer.query-json": async | trappable,
        "carya:host/database.[method]writer.query-one-json": async | trappable,
        "carya:host/database.[method]writer.run": async | trappable,
        "carya:host/database.[method]writer.execute": async | trappable,
        "carya:host/database.[method]writer.execute-batch": async | trappable,
        "carya:host/database.[method]writer.savepoint": async | trappable,
        "carya:host/database.[method]savepoint.release": async | trappable,
        "carya:host/database.[method]savepoint.rollback": async | trappable,
        "carya:host/database.[method]savepoint.rollback-to": async | trappable,
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
