//! Hook that accepts changes only from clients with a known API key, in the header `x-api-key` or in the field `key` of a
//! form. It sets the identity of the client to `key-N`, where N is the number of the key in the setting `keys`.
//!
//! The hook runs outside the transaction (priority below 100), so a refused request needs no database connection.

use carya_guest::{prelude::*, set_identity, setting};

#[carya_guest::before]
fn check(request: Request) -> Result<(), Problem> {
    if matches!(&*request.method(), "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    let keys: Vec<String> = setting("keys")?;
    let given = request.header("x-api-key").or_else(|| key_of_form(&request)).unwrap_or_default();
    let place = keys.iter().position(|key| same(key, &given)).ok_or_else(|| {
        Problem::unauthorized("this needs the header x-api-key").with_header("www-authenticate", "ApiKey")
    })?;
    // The hook `audit` stores the subject in a table, so it must not contain the key itself.
    set_identity(&format!("key-{}", place + 1))?;
    Ok(())
}

fn key_of_form(request: &Request) -> Option<String> {
    Some(Multipart::from_request(request).ok()?.text("key")?.to_owned())
}

/// Compares two keys of the same length in constant time, so that the duration does not reveal where they differ.
fn same(key: &str, given: &str) -> bool {
    let difference = key.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    !key.is_empty() && key.len() == given.len() && difference == 0
}
