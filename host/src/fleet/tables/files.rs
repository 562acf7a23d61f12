//! Files and manifests in the shared tables, split into parts so that no value is huge. The content of a digest never
//! changes, and a host uses content only if its digest is correct.

use std::collections::BTreeSet;

use tokio::{fs::File, io::AsyncReadExt};

use super::{Error, Tables, text};
use crate::{
    config::Access,
    content::Hasher,
    database::Connection,
    deploy::{self, Digest, Id, Manifest, Store, Upload},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Maximum size of a part, in bytes.
const PART: usize = 1 << 20;
/// Maximum number of files in one query.
pub(super) const BATCH: usize = 500;

/// Returns digests for `IN (..)`. A `Digest` is hexadecimal, so it needs no escapes.
pub(super) fn list(digests: &[&Digest]) -> String {
    digests.iter().map(|digest| format!("'{digest}'")).collect::<Vec<_>>().join(", ")
}

/// Returns the digests of a generation without duplicates, in the same order on all hosts.
pub(super) fn digests(manifest: &Manifest) -> Vec<&Digest> {
    manifest.blobs().collect::<BTreeSet<_>>().into_iter().collect()
}

impl Tables {
    /// Uploads the files that are missing, or that a host has marked as `suspect`.
    pub(super) async fn put_files(&self, store: &Store, manifest: &Manifest) -> Result<(), Error> {
        let all = digests(manifest);
        for batch in all.chunks(BATCH) {
            let sql = format!("SELECT digest FROM {{files}} WHERE NOT suspect AND digest IN ({})", list(batch));
            let known: Vec<Value> = self.query(&sql, Vec::new()).await?.into_iter().flatten().collect();
            for digest in batch {
                if known.contains(&text(digest)) {
                    continue;
                }
                match self.put_file(store, digest).await {
                    // Another host uploads the same file. The activation checks whether all files are there.
                    Err(Error::Database(error)) if error.kind == Kind::Conflict => {}
                    result => result?,
                }
            }
        }
        Ok(())
    }

    async fn put_file(&self, store: &Store, digest: &Digest) -> Result<(), Error> {
        let path = store.blob(*digest);
        let unread = |source| deploy::Error::Io { path: path.clone(), source };
        let mut file = File::open(&path).await.map_err(unread)?.take(PART as u64);
        let mut connection = self.begin(Access::ReadWrite).await?;
        let (mut parts, mut hasher) = (0, Hasher::default());
        loop {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(unread)?;
            if bytes.is_empty() {
                break;
            }
            file.set_limit(PART as u64);
            hasher.update(&bytes);
            self.put_part(&mut connection, &digest.to_string(), parts, bytes).await?;
            parts += 1;
        }
        if hasher.digest() != *digest {
            // The local file is damaged. Do not share it; `check` removes it.
            return Err(store.check(*digest).map_or_else(Error::from, |()| Error::Incomplete));
        }
        let sql = self.put("{files}", 1, &["digest", "parts", "put_at", "suspect"], "?, ?, {now}, FALSE");
        connection.execute_as_host(sql, vec![text(digest), Value::Int64(parts)]).await?;
        connection.commit().await?;
        Ok(())
    }

    /// Inserts the manifest of a generation.
    pub(super) async fn put_manifest(&self, connection: &mut Connection, manifest: &Manifest) -> Result<(), Error> {
        let list = serde_json::to_vec(manifest).map_err(|error| deploy::Error::Invalid(error.to_string()))?;
        let (id, mut parts) = (manifest.id.to_string(), 0);
        for bytes in list.chunks(PART) {
            self.put_part(connection, &id, parts, bytes.to_vec()).await?;
            parts += 1;
        }
        let sql = self.put("{generations}", 1, &["id", "parts", "put_at"], "?, ?, {now}");
        connection.execute_as_host(sql, vec![Value::Text(id), Value::Int64(parts)]).await?;
        Ok(())
    }

    async fn put_part(
        &self,
        connection: &mut Connection,
        name: &str,
        part: i64,
        bytes: Vec<u8>,
    ) -> Result<(), DbError> {
        let sql = self.put("{parts}", 2, &["name", "part", "bytes"], "?, ?, ?");
        let params = vec![text(name), Value::Int64(part), Value::Bytes(bytes)];
        connection.execute_as_host(sql, params).await.map(drop)
    }

    /// Returns the manifest of a generation.
    pub(crate) async fn manifest(&self, id: &Id) -> Result<Manifest, Error> {
        let mut connection = self.begin(Access::ReadOnly).await?;
        let sql = "SELECT parts FROM {generations} WHERE id = ?";
        let Some(parts) = self.parts(&mut connection, sql, text(id)).await? else {
            return Err(deploy::Error::Unknown(id.clone()).into());
        };
        let mut list = Vec::new();
        for part in 0..parts {
            list.extend(self.part(&mut connection, text(id), part).await?.unwrap_or_default());
        }
        connection.rollback().await?;
        let manifest: Option<Manifest> = serde_json::from_slice(&list).ok();
        let manifest = manifest.filter(|manifest| manifest.id == *id && manifest.check().is_ok());
        manifest.ok_or_else(|| Error::Damaged { what: format!("generation {id}") })
    }

    /// Downloads a file. Marks it as `suspect` if its digest is wrong.
    pub(crate) async fn pull(&self, digest: &Digest, mut upload: Upload) -> Result<(), Error> {
        let mut connection = self.begin(Access::ReadOnly).await?;
        let sql = "SELECT parts FROM {files} WHERE digest = ?";
        let Some(parts) = self.parts(&mut connection, sql, text(digest)).await? else {
            return Err(Error::FileMissing(*digest));
        };
        for part in 0..parts {
            // If a part is missing, the digest of the upload will be wrong.
            let bytes = self.part(&mut connection, text(digest), part).await?.unwrap_or_default();
            upload = upload.write(bytes.into()).await?;
        }
        connection.rollback().await?;
        match upload.finish().await {
            Err(deploy::Error::Mismatch { .. }) => {
                self.suspect(digest).await?;
                Err(Error::Damaged { what: format!("file {digest}") })
            }
            result => Ok(result?),
        }
    }

    /// Returns the number of parts, or `None` if the row does not exist.
    async fn parts(&self, connection: &mut Connection, sql: &str, name: Value) -> Result<Option<i64>, DbError> {
        let row = connection.query_as_host(self.sql(sql), vec![name]).await?.pop();
        Ok(row.and_then(|row| if let [Value::Int64(parts)] = row[..] { Some(parts) } else { None }))
    }

    async fn part(&self, connection: &mut Connection, name: Value, part: i64) -> Result<Option<Vec<u8>>, DbError> {
        let sql = self.sql("SELECT bytes FROM {parts} WHERE name = ? AND part = ?");
        let row = connection.query_as_host(sql, vec![name, Value::Int64(part)]).await?.pop();
        let value = row.and_then(|mut row| row.pop());
        Ok(if let Some(Value::Bytes(bytes)) = value { Some(bytes) } else { None })
    }

    /// Marks a file as `suspect`, so that the next activation uploads it again. Does not remove the file, because the
    /// error may be on this host.
    async fn suspect(&self, digest: &Digest) -> Result<(), DbError> {
        let mut connection = self.begin(Access::ReadWrite).await?;
        let sql = self.sql("UPDATE {files} SET suspect = TRUE WHERE digest = ?");
        connection.execute_as_host(sql, vec![text(digest)]).await?;
        connection.commit().await.map(drop)
    }
}
