//! Removes generations and files that no host needs. Removes generations before their files, and removes a row only if
//! no host has renewed it since it was found.

use std::{collections::BTreeSet, time::Duration};

use super::{Error, Tables, text};
use crate::{
    config::Access,
    deploy::{Digest, Id},
    sql::value::Value,
};

/// Time without a report after which the database need not keep the generation that a host serves. The host has its own
/// copy.
const RECENT: Duration = Duration::from_secs(60 * 60);
/// Time without a report after which a host is removed from the list.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Tables {
    /// Removes old generations and files. Keeps the active generation, the `keep` generations before it, the
    /// generations that hosts serve, and the files of all these generations. Also keeps all rows that a host needed
    /// within `spare`.
    pub(crate) async fn collect(&self, keep: usize, spare: Duration) -> Result<(), Error> {
        let Some(head) = self.head().await? else { return Ok(()) };
        let recent = RECENT.as_secs();
        let served = format!("SELECT generation FROM {{hosts}} WHERE seen > {{now}} - {recent}");
        let mut kept: BTreeSet<String> = self.texts(&served).await?;
        kept.extend(head.history.iter().rev().take(keep + 1).map(ToString::to_string));

        let spare = spare.as_secs();
        let old = format!("put_at <= {{now}} - {spare}");
        let is_old = |id: &String| !kept.contains(id);
        for id in
            self.texts(&format!("SELECT id FROM {{generations}} WHERE {old}")).await?.iter().filter(|id| is_old(id))
        {
            self.remove("{generations}", "id", id, &old).await?;
        }

        let mut named = BTreeSet::new();
        for id in self.texts("SELECT id FROM {generations}").await? {
            // Without the manifest of a generation, its files are unknown and must not be removed.
            let id: Id = id.parse().map_err(|_| Error::Damaged { what: format!("generation {id}") })?;
            named.extend(self.manifest(&id).await?.files.into_values());
        }
        for digest in self.texts(&format!("SELECT digest FROM {{files}} WHERE {old}")).await? {
            if digest.parse::<Digest>().map_or(true, |digest| !named.contains(&digest)) {
                self.remove("{files}", "digest", &digest, &old).await?;
            }
        }
        let forgotten = FORGOTTEN.as_secs();
        let mut connection = self.begin(Access::ReadWrite).await?;
        let sql = self.sql(&format!("DELETE FROM {{hosts}} WHERE seen < {{now}} - {forgotten}"));
        connection.execute_as_host(sql, Vec::new()).await?;
        connection.commit().await?;
        Ok(())
    }

    /// Removes a row and its parts, if the condition `old` is still true for the row.
    async fn remove(&self, table: &str, key: &str, name: &str, old: &str) -> Result<(), Error> {
        let mut connection = self.begin(Access::ReadWrite).await?;
        let sql = self.sql(&format!("DELETE FROM {table} WHERE {key} = ? AND {old}"));
        if connection.execute_as_host(sql, vec![text(name)]).await?.rows_affected == 1 {
            let sql = self.sql("DELETE FROM {parts} WHERE name = ?");
            connection.execute_as_host(sql, vec![text(name)]).await?;
        }
        connection.commit().await?;
        Ok(())
    }

    async fn texts(&self, sql: &str) -> Result<BTreeSet<String>, Error> {
        let rows = self.query(sql, Vec::new()).await?;
        let first =
            |row: Vec<Value>| if let Some(Value::Text(text)) = row.into_iter().next() { Some(text) } else { None };
        Ok(rows.into_iter().filter_map(first).collect())
    }
}
