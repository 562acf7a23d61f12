//! Components that import unknown interfaces, or export interfaces that this host does not call.

use super::{refusal, refused, reloaded, serve};
use crate::support::{Result, Wrong, check, check_eq, module};

/// An interface of WASI in short form. This host does not offer it.
const MESSAGING: &str = "package wasi:messaging@0.2.3;
    interface types { resource fields { constructor(); } resource request { headers: func() -> fields; } }
    interface producer { use types.{request}; handle: func(request: request) -> result; }
    interface incoming-handler { use types.{request}; handle: func(request: request); }";
/// `wasi:cli` in a version that this host does not offer.
const CLI_3: &str = "package wasi:cli@0.3.0;
    interface environment { get-environment: func() -> list<tuple<string, string>>; }
    interface run { run: func() -> result; }";
/// `wasi:cli` in the offered version, with the function `get-user`, which this host does not offer.
const CLI_2: &str = "package wasi:cli@0.2.3;
    interface environment { get-environment: func() -> list<tuple<string, string>>; get-user: func() -> string; }
    interface run { run: func() -> result; }";
/// `wasi:http` 0.3, with the handler that its components export.
const HTTP_3: &str = "package wasi:http@0.3.0;
    interface types { resource request { get-method: func() -> string; } resource response; }
    interface handler { use types.{request, response}; handle: func(request: request) -> result<response>; }
    interface client { use types.{request, response}; send: async func(request: request) -> result<response>; }";
/// The handler of `wasi:http` 0.2 with other types.
const HTTP_2: &str = "package wasi:http@0.2.3; interface incoming-handler { handle: func(request: string) -> string; }";
const IO: &str = "package wasi:io@0.2.3;
    interface error { resource error; }
    interface streams { use error.{error}; resource input-stream; }";
const STDIN: &str = "package wasi:cli@0.2.3;
    interface stdin { use wasi:io/streams@0.2.3.{input-stream}; get-stdin: func() -> input-stream; }";
/// An offered interface with another type of `now`.
const CLOCK: &str = "package wasi:clocks@0.2.0; interface wall-clock { now: func() -> string; }";
const OTHER: &str =
    "package my:thing@1.2.0; interface api { call: func(); } interface only-types { record r { a: u8 } }";

/// Edits of the contract, further packages, the world of the guest, and the start of the expected message.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str, &'a str);

const CASES: [Case<'_>; 17] = [
    (
        &[],
        &[MESSAGING],
        "import wasi:messaging/types@0.2.3; import wasi:messaging/producer@0.2.3; export plain-controller",
        "imports `wasi:messaging/types@0.2.3` and `wasi:messaging/producer@0.2.3`, which this host does not offer",
    ),
    (
        &[],
        &[MESSAGING],
        "export wasi:messaging/incoming-handler@0.2.3",
        "imports `wasi:messaging/types@0.2.3`, which this host does not offer",
    ),
    (
        &[],
        &["package wasi:messaging@0.2.3; interface incoming-handler { handle: func() -> string; }"],
        "export wasi:messaging/incoming-handler@0.2.3",
        "exports `wasi:messaging/incoming-handler@0.2.3`, which this host does not call, and no interface that it calls; \
         export an interface of its `wit/`, such as `carya:host/read-controller@0.2.0`",
    ),
    (
        &[],
        &[CLI_3],
        "import wasi:cli/environment@0.3.0; export plain-controller",
        "imports `wasi:cli/environment@0.3.0` (version 0.2 is offered), which this host does not offer",
    ),
    (
        &[],
        &["package wasi:cli@0.3.0; interface environment { get-environment: async func() -> list<string>; }"],
        "import wasi:cli/environment@0.3.0; export plain-controller",
        "imports `wasi:cli/environment@0.3.0` (version 0.2 is offered), which this host does not offer",
    ),
    (
        &[],
        &[HTTP_3],
        "export wasi:http/handler@0.3.0",
        "imports `wasi:http/types@0.3.0`, which this host does not offer; wasi:http 0.3 stays out while wasmtime calls it \
         experimental, so build the component for wasi:http 0.2",
    ),
    (
        &[],
        &[HTTP_3],
        "import wasi:http/client@0.3.0; export plain-controller",
        "imports `wasi:http/types@0.3.0` (version 0.2 is offered) and `wasi:http/client@0.3.0` (version 0.2 is offered), which \
         this host does not offer; wasi:http 0.3 stays out while wasmtime calls it experimental, so build the component for \
         wasi:http 0.2",
    ),
    (
        &[],
        &[HTTP_2],
        "export wasi:http/incoming-handler@0.2.3",
        "exports an interface with other types than this host calls: `wasi:http/incoming-handler@0.2.12`: ",
    ),
    (
        &[],
        &[CLI_2],
        "import wasi:cli/environment@0.2.3; export plain-controller",
        "imports function `get-user` of `wasi:cli/environment@0.2.3`, which this host does not offer",
    ),
    (
        &[],
        &[CLOCK],
        "import wasi:clocks/wall-clock@0.2.0; export plain-controller",
        "imports `wasi:clocks/wall-clock@0.2.0` with other types than this host offers: ",
    ),
    (
        &[],
        &[CLI_2],
        "export wasi:cli/run@0.2.3",
        "exports `wasi:cli/run@0.2.3`, which this host does not call, and no interface that it calls",
    ),
    (
        &[],
        &[OTHER, MESSAGING],
        "import my:thing/api@1.2.0; import my:thing/only-types@1.2.0; import wasi:messaging/types@0.2.3; export plain-controller",
        "imports `my:thing/api@1.2.0` and `wasi:messaging/types@0.2.3`, which this host does not offer",
    ),
    (
        &[("interface context {", "interface session { id: func() -> string; }\ninterface context {")],
        &[],
        "import session; import context; export plain-controller",
        "imports `carya:host/session@0.2.0`, which this host does not offer",
    ),
    (
        // `use` repeats the resource `input-stream` in `stdin`. The message must not name it as an import of `stdin`.
        &[],
        &[IO, STDIN, MESSAGING],
        "import wasi:cli/stdin@0.2.3; import wasi:messaging/producer@0.2.3; export plain-controller",
        "imports `wasi:messaging/types@0.2.3` and `wasi:messaging/producer@0.2.3`, which this host does not offer",
    ),
    (
        &[("id: func() -> string;", "id: func() -> string; peer: func() -> string;")],
        &[],
        "import request; export plain-controller",
        "imports function `peer` of `carya:host/request@0.2.0`, which this host does not offer",
    ),
    (
        &[("interface model {", "interface websocket { open: func(); }\ninterface model {")],
        &[],
        "export websocket",
        "exports `carya:host/websocket@0.2.0`, which this host does not call, and no interface that it calls",
    ),
    (
        &[("resource savepoint {", "resource cursor { next: func(); }\n    resource savepoint {")],
        &[],
        "import database; export plain-controller",
        "imports resource `cursor` of `carya:host/database@0.2.0`",
    ),
];

#[tokio::test]
async fn are_named_in_one_sentence() -> Result {
    let mut wrong = Wrong::default();
    for (edits, packages, world, expected) in CASES {
        let reason = refused(&module::built_for(edits, packages, world)?).await?;
        println!("{reason}");
        check!(wrong, reason.starts_with(expected), "{world}: {reason}");
        check_eq!(wrong, reason.lines().count(), 1, "{edits:?} {world:?}: {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn another_version_of_the_contract_is_named() -> Result {
    // Replaces the version in each of the eight files of the contract.
    let edits = [("package carya:host@0.2.0;", "package carya:host@0.1.0;"); 9];
    let mut wrong = Wrong::default();
    for world in ["import request; export plain-controller", "export model; export actions", "export actions"] {
        let reason = refused(&module::built_for(&edits, &[], world)?).await?;
        let expected = "was built for carya:host 0.1.0; this host offers 0.2.0; build it with the `wit/` of this host";
        check_eq!(wrong, reason, expected, "{world}");
    }
    Ok(())
}

/// Versions with the same `0.MINOR`, such as 0.2.0 and 0.2.7, are compatible.
#[tokio::test]
async fn a_compatible_version_of_the_contract_is_accepted() -> Result {
    let edits = [("package carya:host@0.2.0;", "package carya:host@0.2.7;"); 9];
    let folder = tempfile::tempdir()?;
    super::write(folder.path(), super::CONFIG, &[])?;
    let component = module::built_for(&edits, &[], "import request; export read-controller; export write-controller")?;
    std::fs::write(folder.path().join("it.wasm"), component)?;
    let ran = super::carya().arg("check").current_dir(folder.path()).output().await?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Ok(())
}

/// `carya inspect` prints the error message on standard output too, in a line of its list.
#[tokio::test]
async fn inspect_lists_unknown_imports() -> Result {
    let folder = tempfile::tempdir()?;
    let world = "import wasi:messaging/types@0.2.3; import wasi:messaging/producer@0.2.3; export plain-controller";
    std::fs::write(folder.path().join("it.wasm"), module::built_for(&[], &[MESSAGING], world)?)?;
    let said = refusal(folder.path(), &["inspect", "it.wasm"]).await?;
    let ran = super::carya().args(["inspect", "it.wasm"]).current_dir(folder.path()).output().await?;
    let sentence = said.trim_end().strip_prefix("error: it.wasm: ").ok_or(said.clone())?;
    let out = String::from_utf8(ran.stdout)?;
    assert!(out.lines().any(|line| line.trim() == sentence), "{sentence}: {out}");
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_what_is_served() -> Result {
    let app = serve().await?;
    let component = module::built_for(&[], &[OTHER], "import my:thing/api@1.2.0; export plain-controller")?;
    let message = reloaded(&app, &component).await?;
    assert!(message.contains("imports `my:thing/api@1.2.0`, which this host does not offer"), "{message}");
    assert!(!message.contains("linker"), "{message}");
    assert_ne!(app.get("/items").await?.status, 503);
    Ok(())
}
