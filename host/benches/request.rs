//! Measures a request from its first hook to its response, without HTTP, and its parts: a new sandbox, and statements.
//!
//! Requires the guests: `make microbench` builds them.

use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
};

use carya::{
    app,
    config::{Access, Dialect},
    gate::{Extensions, Rules},
    generation::Generation,
    lifecycle,
    message::Request,
    routes::Routes,
    sql::value::Value,
};
use divan::{Bencher, black_box};
use http::{Method, Uri};
use tokio::runtime::Runtime;

const CONFIG: &str = r#"
[database]
url = "sqlite://bench.sqlite"
[model]
migrations = "migrations"
[component.reads-only]
path = "{guests}/reads-only.wasm"
[component.reused]
path = "{guests}/reads-only.wasm"
reuse = { max_requests = 1000 }
[component.probe]
path = "{guests}/probe.wasm"
[component.only-before]
path = "{guests}/only-before.wasm"
[component.only-after]
path = "{guests}/only-after.wasm"
[[route]]
path = "/hello"
component = "reads-only"
[[route]]
path = "/reused"
component = "reused"
[[route]]
path = "/hooks"
component = "reads-only"
hooks = ["only-before", "only-after"]
[[route]]
path = "/probe"
component = "probe"
"#;

fn main() {
    divan::main();
}

/// An application in a temporary folder.
struct Bench {
    runtime: Runtime,
    generation: Generation,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::build().expect("the application cannot be built; run `make guests` first")
    }

    fn build() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let migrations = folder.path().join("migrations");
        std::fs::create_dir(&migrations)?;
        std::fs::write(
            migrations.join("0001_bench.sql"),
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO t (name) SELECT 'name ' || i FROM n;",
        )?;
        let guests: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/dist");
        let text = CONFIG.replace("{guests}", &guests.display().to_string());
        let file = folder.path().join("carya.toml");
        std::fs::write(&file, text)?;
        let runtime = Runtime::new()?;
        let generation = runtime.block_on(async {
            let sources = app::Application::read(&file, None)?.pull().await?;
            let engine = app::engine(&sources.config)?;
            let assembled = app::assemble(sources, engine, None).await?;
            app::prepare(assembled, None, &mut Vec::new()).await
        })?;
        Ok(Self { runtime, generation, _folder: folder })
    }

    /// Measures one request repeatedly.
    fn run(&self, bencher: Bencher<'_, '_>, method: Method, uri: &'static str, body: &'static str) {
        let request = || {
            let uri = Uri::from_static(uri);
            Arc::new(Request {
                method: method.clone(),
                uri,
                body: body.into(),
                id: "bench".into(),
                ..Request::default()
            })
        };
        let handle = |request: Arc<Request>| {
            let found = self.generation.routes.find(&request.method, request.uri.path());
            self.runtime.block_on(lifecycle::handle(&self.generation, request, found, pending()))
        };
        let handled = handle(request());
        assert!(handled.reply().status.is_success(), "{handled:?}");
        bencher.with_inputs(request).bench_local_values(|request| black_box(handle(request)));
    }
}

#[divan::bench]
fn hello(bencher: Bencher<'_, '_>) {
    Bench::new().run(bencher, Method::GET, "/hello", "");
}

/// Creates and drops a store with an instance, without a call.
#[divan::bench]
fn instantiate(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let Bench { runtime, generation, .. } = &bench;
    let component = generation.component("reads-only").expect("it is configured");
    bencher.bench_local(|| runtime.block_on(component.try_out()).expect("it can be instantiated"));
}

#[divan::bench]
fn hello_in_a_reused_instance(bencher: Bencher<'_, '_>) {
    Bench::new().run(bencher, Method::GET, "/reused", "");
}

#[divan::bench]
fn hello_behind_two_hooks(bencher: Bencher<'_, '_>) {
    Bench::new().run(bencher, Method::GET, "/hooks", "");
}

#[divan::bench]
fn read_one_row(bencher: Bencher<'_, '_>) {
    let script = "[{%22sql%22:%22SELECT%20name%20FROM%20t%20WHERE%20id=7%22,%22op%22:%22query_one%22}]";
    let uri: &'static str = Box::leak(format!("/probe?script={script}").into_boxed_str());
    Bench::new().run(bencher, Method::GET, uri, "");
}

#[divan::bench]
fn read_hundred_rows(bencher: Bencher<'_, '_>) {
    let script = "[{%22sql%22:%22SELECT%20*%20FROM%20t%20LIMIT%20100%22,%22op%22:%22query%22}]";
    let uri: &'static str = Box::leak(format!("/probe?script={script}").into_boxed_str());
    Bench::new().run(bencher, Method::GET, uri, "");
}

#[divan::bench]
fn read_hundred_rows_as_json(bencher: Bencher<'_, '_>) {
    let script = "[{%22sql%22:%22SELECT%20*%20FROM%20t%20LIMIT%20100%22,%22op%22:%22query_json%22}]";
    let uri: &'static str = Box::leak(format!("/probe?script={script}").into_boxed_str());
    Bench::new().run(bencher, Method::GET, uri, "");
}

#[divan::bench]
fn write_one_row(bencher: Bencher<'_, '_>) {
    let script = r#"[{"sql":"UPDATE t SET name = ? WHERE id = 7","params":["x"],"op":"execute"}]"#;
    Bench::new().run(bencher, Method::POST, "/probe", script);
}

#[divan::bench(args = [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql])]
fn gate(bencher: Bencher<'_, '_>, dialect: Dialect) {
    let sql = "SELECT id, name, price_cents, stock FROM items WHERE id = ? AND name <> 'it''s' ORDER BY id LIMIT 100";
    let params = [Value::Int64(7)];
    let rules = match dialect {
        Dialect::Sqlite => Rules::Sqlite,
        Dialect::Postgres => Rules::Postgres(Extensions::default()),
        Dialect::MySql => Rules::MySql(None),
    };
    bencher.bench_local(|| {
        let checked = rules.check(black_box(sql), &params, Access::ReadOnly);
        assert!(checked.is_ok(), "{checked:?}");
        checked
    });
}

#[divan::bench(args = [1, 1000])]
fn route(bencher: Bencher<'_, '_>, routes: usize) {
    let mut table = Routes::default();
    for route in 0..routes {
        let path = format!("/things-{route}/{{id}}");
        table.add(&path, &[Method::GET, Method::POST], route).expect("no two are the same");
    }
    let path = format!("/things-{}/7", routes / 2);
    bencher.bench_local(|| table.find(&Method::POST, black_box(&path)));
}
