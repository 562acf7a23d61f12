//! The parts of the request that guests read: route, parameters, query, cookies, form, authority and client address.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::{
    script::{start, start_with},
    support::{App, Engine, Result, Wrong, check_eq},
};

const ROUTES: &str = r#"
    [[route]]
    path = "/items/{id}/{*rest}"
    component = "probe"
    [[route]]
    path = "/none"
    component = "probe"
    transaction = "none"
"#;

/// Sends an `echo` in the query, so that the body is free for a form. Returns its result.
async fn echo(app: &App, method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Result<Json> {
    let script = json!([{
        "echo": true, "query_all": ["a", "none"], "query": ["a"], "cookie": ["a", "b", "none"], "params": ["id", "rest"],
    }]);
    let script: String = form_urlencoded::byte_serialize(script.to_string().as_bytes()).collect();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
    }
    let answer = app.send(method, &format!("{path}?script={script}&{query}"), map, body.to_owned()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(answer.json()?[0].clone())
}

#[tokio::test]
async fn guests_read_their_route_and_its_parameters() -> Result {
    let app = start(Engine::Sqlite, ROUTES).await?;
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let got = echo(&app, method, "/items/a%2Fb/x/%C3%A9", "", &[], "").await?;
        check_eq!(wrong, got["route"], json!("/items/{id}/{*rest}"), "{method}");
        check_eq!(wrong, got["all_params"], json!([["id", "a/b"], ["rest", "x/é"]]), "{method}");
        check_eq!(wrong, got["params"], json!({ "id": "a/b", "rest": "x/é" }), "{method}");
    }
    let got = echo(&app, "POST", "/none", "", &[], "").await?;
    check_eq!(wrong, (&got["route"], &got["all_params"]), (&json!("/none"), &json!([])), "a plain controller");
    Ok(())
}

#[tokio::test]
async fn guests_read_repeated_parameters_and_cookies() -> Result {
    let app = start(Engine::Sqlite, ROUTES).await?;
    let cookies = [("cookie", "a=1; b=\"x y\""), ("cookie", "a=2")];
    let got = echo(&app, "GET", "/none", "a=1&b=2&a=%C3%A9+x&a", &cookies, "").await?;
    assert_eq!(got["query_all"], json!([["1", "é x", ""], []]));
    assert_eq!(got["query"], json!({ "a": "1" }));
    assert_eq!(got["cookie"], json!({ "a": "1", "b": "\"x y\"", "none": null }));
    Ok(())
}

#[tokio::test]
async fn guests_read_forms() -> Result {
    let app = start(Engine::Sqlite, ROUTES).await?;
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"é.txt\"\r\nContent-Type: text/plain\r\n\r\n\
                     1\r\n--x--\r\n";
    let field = |name: &str, hex: &str| json!({ "name": name, "value": hex, "file_name": null, "content_type": null });
    let file = json!({ "name": "f", "value": "31", "file_name": "é.txt", "content_type": "text/plain" });
    let table = [
        ("application/x-www-form-urlencoded", "a=%C3%A9&b+c=", json!({ "Ok": [field("a", "c3a9"), field("b c", "")] })),
        ("multipart/form-data; boundary=x", multipart, json!({ "Ok": [file] })),
        ("application/json", "{}", json!({ "Err": "not-a-form" })),
        (
            "multipart/form-data",
            multipart,
            json!({ "Err": { "malformed": "multipart boundary not found in Content-Type" } }),
        ),
    ];
    let mut wrong = Wrong::default();
    for (content_type, body, expected) in table {
        let got = echo(&app, "POST", "/none", "", &[("content-type", content_type)], body).await?;
        check_eq!(wrong, got["form"], expected, "{content_type}");
    }
    let many = vec!["a=1"; 1001].join("&");
    let got = echo(&app, "POST", "/none", "", &[("content-type", "application/x-www-form-urlencoded")], &many).await?;
    check_eq!(wrong, got["form"], json!({ "Err": { "limit": "a form may have at most 1000 fields" } }), "1001 fields");
    Ok(())
}

#[tokio::test]
async fn guests_read_the_authority_and_the_address_of_the_client() -> Result {
    let app = start(Engine::Sqlite, ROUTES).await?;
    let got = echo(&app, "GET", "/none", "", &[], "").await?;
    assert_eq!((&got["scheme"], &got["client_address"]), (&json!("http"), &json!("127.0.0.1")));
    assert_eq!(got["authority"], json!(app.address()));
    let got =
        echo(&app, "GET", "/none", "", &[("host", "shop.example:81"), ("x-forwarded-for", "192.0.2.7")], "").await?;
    assert_eq!((&got["authority"], &got["client_address"]), (&json!("shop.example:81"), &json!("127.0.0.1")));
    Ok(())
}

/// A listener on the unspecified IPv6 address receives IPv4 clients with IPv4-mapped addresses.
#[tokio::test]
async fn an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address() -> Result {
    let app = start_with(Engine::Sqlite, ROUTES, &[("CARYA_SERVER__LISTEN", "[::]:0")]).await?;
    let port = app.address().rsplit(':').next().unwrap_or_default();
    for (host, expected) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let request = reqwest::Client::new().post(format!("http://{host}:{port}/none"));
        let answer = request.body(json!([{ "echo": true }]).to_string()).send().await?;
        let got: Json = serde_json::from_slice(&answer.bytes().await?)?;
        assert_eq!(got[0]["client_address"], json!(expected), "{host}");
        assert_eq!(got[0]["authority"], json!(format!("{host}:{port}")), "{host}");
    }
    Ok(())
}
