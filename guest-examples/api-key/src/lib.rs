//! Hook that accepts changes only from clients with a known API key, in the header `x-api-key` or in the field `key` of a
//! form. It sets the identity of the client to `key-N`, where N is the number of the key in the setting `keys`.
//!
//! The hook runs outside the transaction (priority below 100), so a refused request needs no database connection.

use carya::host::database::Handle;
use carya::host::types::{Body, Response};
use carya::host::{config, identity_setter, request};
use exports::carya::host::before::Guest;

wit_bindgen::generate!({
    inline: "
        package shop:api-key;
        world guest {
            include carya:host/imports@0.2.0;
            import carya:host/identity-setter@0.2.0;
            export carya:host/before@0.2.0;
        }
    ",
    path: "../../wit",
    generate_all,
});

struct ApiKey;
export!(ApiKey);

impl Guest for ApiKey {
    fn before(_: Handle) -> Result<Option<Response>, String> {
        if matches!(request::method().as_str(), "GET" | "HEAD" | "OPTIONS") {
            return Ok(None);
        }
        let keys = config::get("keys").ok_or("the setting keys is missing")?;
        let keys: Vec<String> = serde_json::from_str(&keys).map_err(|error| format!("the setting keys: {error}"))?;
        let given = request::header("x-api-key").or_else(key_of_form).unwrap_or_default();
        match keys.iter().position(|key| same(key, &given)) {
            // The hook `audit` stores the subject in a table, so it must not contain the key itself.
            Some(place) => identity_setter::set(&format!("key-{}", place + 1), "{}").map(|()| None),
            None => Ok(Some(unauthorized())),
        }
    }
}

fn key_of_form() -> Option<String> {
    let key = request::form().ok()?.into_iter().find(|field| field.name == "key")?;
    String::from_utf8(key.value).ok()
}

/// Compares two keys of the same length in constant time, so that the duration does not reveal where they differ.
fn same(key: &str, given: &str) -> bool {
    let difference = key.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    !key.is_empty() && key.len() == given.len() && difference == 0
}

fn unauthorized() -> Response {
    let text = r#"{"detail":"this needs the header x-api-key","status":401,"title":"Unauthorized"}"#;
    Response {
        status: 401,
        headers: vec![
            ("content-type".into(), "application/problem+json".into()),
            ("www-authenticate".into(), "ApiKey".into()),
        ],
        body: Body::Json(text.into()),
    }
}
