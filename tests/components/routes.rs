//! Components that declare the routes that their functions serve, as those built with the guest library do. A route of
//! the configuration that no function serves is an error at load instead of a 404 for each request.

use serde_json::json;
use wasm_encoder::{CustomSection, Encode, Section};

use super::{carya, refusal, refused, write};
use crate::support::{App, Result, Wrong, check, check_eq, module};

const ROUTES: &str = "GET none /echo/{name}\nPOST none /echo\nPOST read-write /write\n";

/// Appends the custom section `carya:routes` to a module.
fn with_routes(mut module: Vec<u8>, text: &str) -> Vec<u8> {
    let section = CustomSection { name: "carya:routes".into(), data: text.as_bytes().into() };
    module.push(section.id());
    section.encode(&mut module);
    module
}

/// Returns a configuration with one route of the component `it`.
fn route(settings: &str) -> String {
    format!("[component.it]\npath = \"it.wasm\"\n[[route]]\ncomponent = \"it\"\n{settings}\n")
}

#[tokio::test]
async fn a_route_that_no_function_serves_is_an_error_at_load() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), with_routes(module::echo("pecan")?, ROUTES))?;
    let serves = "it serves POST /echo (none), GET /echo/{name} (none), POST /write (read-write)";
    let lacks = |path: &str| format!("route[0].component: component `it` has no function for {path}; {serves}");
    let needs = |route: &str, access: &str| {
        format!("route[0].component: {route} is {access}, for which component `it` has no function; {serves}")
    };
    let table = [
        ("path = '/other'", lacks("/other")),
        ("path = '/echo/{id}'\ntransaction = 'none'", lacks("/echo/{id}")),
        ("path = '/echo'\nmethods = ['POST', 'PUT']\ntransaction = 'none'", needs("PUT /echo", "none")),
        ("path = '/echo'\nmethods = ['POST']", needs("POST /echo", "read-write")),
        // The function has a writer, but the component does not export the interface for writers.
        ("path = '/write'\nmethods = ['POST']", "would have to export carya:host/write-controller@0.2.0".to_owned()),
    ];
    let mut wrong = Wrong::default();
    for (settings, expected) in table {
        write(folder.path(), &route(settings), &[])?;
        for command in ["check", "serve", "routes"] {
            let said = refusal(folder.path(), &[command]).await?;
            check!(wrong, said.contains(&expected), "{command}: {settings}: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_route_without_methods_serves_those_of_the_functions() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), with_routes(module::echo("pecan")?, ROUTES))?;
    let config = route("path = '/%65cho'\ntransaction = 'none'");
    let app = App::start_in(folder, &config, &[], &[]).await?;
    let mut wrong = Wrong::default();
    for (method, status) in [("POST", 200), ("GET", 405), ("PUT", 405)] {
        check_eq!(wrong, app.call(method, "/echo").await?.status, status, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn inspect_lists_the_routes() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), with_routes(module::echo("pecan")?, ROUTES))?;
    let inspect = async |args: &[&str]| carya().arg("inspect").args(args).current_dir(folder.path()).output().await;
    let out = String::from_utf8(inspect(&["it.wasm"]).await?.stdout)?;
    let lines = "  routes\n    POST /echo (none)\n    GET /echo/{name} (none)\n    POST /write (read-write)\n";
    assert!(out.contains(lines), "{out}");
    let found: serde_json::Value = serde_json::from_slice(&inspect(&["it.wasm", "--json"]).await?.stdout)?;
    assert_eq!(found["routes"], json!(["POST /echo (none)", "GET /echo/{name} (none)", "POST /write (read-write)"]));
    Ok(())
}

#[tokio::test]
async fn a_malformed_section_is_refused() -> Result {
    let reason = refused(&with_routes(module::echo("pecan")?, "GET /echo\n")).await?;
    assert!(
        reason.contains("`carya:routes` has the line \"GET /echo\" instead of `METHOD ACCESS PATTERN`"),
        "{reason}"
    );
    Ok(())
}
