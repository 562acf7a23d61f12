//! Database servers that stop at any moment: acknowledged requests are in the database, every other request is there as
//! a whole or not at all, and the host recovers by itself.

mod commit;
mod kills;
mod load;
mod pools;
mod round_trips;
mod runaway;

use serde_json::{Value as Json, json};

use crate::{
    script,
    support::{self, App, Response, Result, client::Client},
};

/// Two tables. Each request that writes inserts a row into both.
const TABLES: &str = "CREATE TABLE ones (id BIGINT PRIMARY KEY); CREATE TABLE twos (id BIGINT PRIMARY KEY)";

/// Serves the guest `probe` with the two tables in the database of `url`, and with more configuration.
async fn serve(url: &str, config: &str) -> Result<App> {
    serve_with(url, config, &[]).await
}

/// Like [`serve`], with more environment variables.
async fn serve_with(url: &str, config: &str, env: &[(&str, &str)]) -> Result<App> {
    let config = format!("{}{config}", script::config());
    let env = [&[("CARYA_DATABASE__URL", url)], env].concat();
    App::start_in(tempfile::tempdir()?, &config, &[("migrations/0001_tables.sql", TABLES)], &env).await
}

/// Creates a writer's and a reader's login with `carya harden`, which leaves them the necessary rights only. Returns
/// their URLs.
async fn harden(admin: &str, database: &str) -> Result<[String; 2]> {
    let (scheme, rest) = admin.split_once("://").ok_or("no scheme")?;
    let (_, place) = rest.rsplit_once('@').ok_or("no login")?;
    let [writer, reader] = ["rw", "ro"].map(|end| format!("{scheme}://{database}_{end}:secret@{place}"));
    let folder = tempfile::tempdir()?;
    let config = format!("[database]\nurl = \"{writer}\"\nreader_url = \"{reader}\"\nadmin_url = \"{admin}\"\n");
    support::write(folder.path(), &config, &[])?;
    let output = support::carya().args(["harden", "--apply"]).current_dir(folder.path()).output().await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok([writer, reader])
}

/// Returns a step that inserts a row into one of the tables.
fn insert(table: &str, id: u32) -> Json {
    json!({ "sql": format!("INSERT INTO {table} VALUES (?)"), "op": "execute",
            "params": [{ "t": "int64", "v": id.to_string() }] })
}

/// Returns a script that inserts a row into each of the tables.
fn write(id: u32) -> Json {
    json!([insert("ones", id), insert("twos", id)])
}

/// Returns the ids in the two tables, as a second client sees them.
async fn ids(client: &Client) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut connection = client.connect().await?;
    let mut read = async |table: &str| -> Result<Vec<u32>> {
        let texts = connection.texts(&format!("SELECT id FROM {table} ORDER BY id")).await?;
        Ok(texts.iter().map(|text| text.parse()).collect::<std::result::Result<_, _>>()?)
    };
    Ok((read("ones").await?, read("twos").await?))
}

/// Returns the ids of the requests that wrote. Asserts that both tables contain the same ids.
async fn whole(client: &Client) -> Result<Vec<u32>> {
    let (ones, twos) = ids(client).await?;
    assert_eq!(ones, twos, "a request is half there");
    Ok(ones)
}

/// Asserts that a response is a 503. It has `retry-after` unless the commit is in doubt: then the client must not repeat
/// the request blindly.
pub fn assert_unavailable(answer: &Response, context: &str) {
    let found = (answer.status, answer.header("retry-after"));
    let after = if answer.text().contains("It may or may not have been made") { "" } else { "1" };
    assert_eq!(found, (503, after), "{context}: {} {:?}", answer.text(), answer.events());
}
