//! A registry that misbehaves: it sends more bytes than it announces or than the host allows, or other content.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{TYPE, check, config, serve};
use crate::support::{Result, module};

const MIB: usize = 1 << 20;
/// Number of bytes after which an endless response stops, if the client has not closed the connection by then.
const ENDLESS: usize = 1024 * MIB;

fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Response to requests for a manifest, or for a blob.
#[derive(Clone)]
enum Word {
    Is(Vec<u8>),
    /// This body, sent so slowly that the host logs its progress.
    Slow(Vec<u8>),
    /// An endless body of spaces.
    Endless,
    Failure,
}

/// An HTTP server that pretends to be a registry with one image. It only serves the requests of a pull.
struct Liar {
    host: String,
    sent: Arc<AtomicUsize>,
}

impl Liar {
    async fn start(tag: &str, manifest: Word, blob: Word) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (host, sent) = (listener.local_addr()?.to_string(), Arc::new(AtomicUsize::new(0)));
        let (tag, count) = (tag.to_owned(), sent.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Ignore write errors: a client closes the connection once it has received too much.
                let (tag, manifest, blob, count) = (tag.clone(), manifest.clone(), blob.clone(), count.clone());
                tokio::spawn(async move { answer(stream, &tag, manifest, blob, &count).await });
            }
        });
        Ok(Self { host, sent })
    }

    async fn refused(&self, more: &str, words: &str) -> Result {
        let section = format!("[registry.\"{}\"]\n{more}\n", self.host);
        let (code, error) = check(&format!("oci://{}/echo:1", self.host), &section).await?;
        assert!(code == Some(1) && error.contains(words), "{words}: {error}");
        let sent = self.sent.load(Relaxed);
        assert!(sent < 64 * MIB, "{words}: it listened to {sent} bytes");
        Ok(())
    }
}

async fn answer(stream: TcpStream, tag: &str, manifest: Word, blob: Word, sent: &AtomicUsize) -> Result {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let (word, tag) = match &request {
        path if path.contains("/manifests/") => (manifest, tag),
        path if path.contains("/blobs/") => (blob, ""),
        // Respond to `/v2/` without a challenge, so that the client needs no authentication.
        _ => (Word::Is(Vec::new()), ""),
    };
    let (status, length) = match &word {
        Word::Is(bytes) | Word::Slow(bytes) => ("200 OK", format!("content-length: {}", bytes.len())),
        Word::Endless => ("200 OK", "transfer-encoding: chunked".to_owned()),
        Word::Failure => ("500 Internal Server Error", "content-length: 0".to_owned()),
    };
    let tag = if tag.is_empty() { String::new() } else { format!("docker-content-digest: {tag}\r\n") };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{tag}{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    if request.starts_with("HEAD") {
        return Ok(());
    }
    match word {
        Word::Is(bytes) => stream.write_all(&bytes).await?,
        Word::Slow(bytes) => {
            for piece in bytes.chunks(bytes.len().div_ceil(30)) {
                stream.write_all(piece).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Word::Failure => {}
        Word::Endless => {
            let piece = [b"100000\r\n".to_vec(), vec![b' '; MIB], b"\r\n".to_vec()].concat();
            while sent.load(Relaxed) < ENDLESS {
                stream.write_all(&piece).await?;
                sent.fetch_add(MIB, Relaxed);
            }
        }
    }
    Ok(())
}

/// Returns a manifest that announces a component with this digest and size, and the manifest's own digest.
fn manifest(digest_of_component: &str, size: usize) -> Result<(Word, String)> {
    let layer = json!({ "mediaType": TYPE, "digest": digest_of_component, "size": size });
    let bytes = serde_json::to_vec(&json!({ "schemaVersion": 2, "config": {}, "layers": [layer] }))?;
    let name = digest(&bytes);
    Ok((Word::Is(bytes), name))
}

#[tokio::test]
async fn refuses_more_bytes_than_allowed_or_announced() -> Result {
    let any = digest(b"any");
    let long = vec![b' '; 5 * MIB];
    Liar::start(&digest(&long), Word::Is(long), Word::Endless)
        .await?
        .refused("", "its manifest has more than 4194304 bytes")
        .await?;
    Liar::start("", Word::Failure, Word::Failure).await?.refused("", "code: 500").await?;
    let (large, name) = manifest(&any, 300 * MIB)?;
    Liar::start(&name, large.clone(), Word::Endless)
        .await?
        .refused("", "its component has 314572800 bytes, and the maximum is 268435456")
        .await?;
    let liar = Liar::start(&name, large, Word::Endless).await?;
    liar.refused("max_size = \"1MiB\"", "the maximum is 1048576; set max_size in [registry.").await?;
    let (small, name) = manifest(&any, 1000)?;
    let liar = Liar::start(&name, small, Word::Endless).await?;
    liar.refused("", "the registry sent a component that is longer than its manifest announces").await
}

#[tokio::test]
async fn refuses_content_with_another_digest() -> Result {
    let (right, name) = manifest(&digest(b"right"), 5)?;
    let liar = Liar::start(&name, right.clone(), Word::Is(b"wrong".to_vec())).await?;
    liar.refused("", &format!("the registry sent content that does not have the digest {}", digest(b"right"))).await?;
    let other = digest(b"other");
    let liar = Liar::start(&other, right.clone(), Word::Is(b"right".to_vec())).await?;
    liar.refused("", &format!("the registry sent content that does not have the digest {other}")).await?;
    let liar = Liar::start("sha256:../../x", right, Word::Is(b"right".to_vec())).await?;
    liar.refused("", "it is named by \"sha256:../../x\"; only sha256 is supported").await?;
    let (outside, name) = manifest("sha256:../../../x", 5)?;
    let liar = Liar::start(&name, outside, Word::Is(b"right".to_vec())).await?;
    liar.refused("", "its layer is named by sha256:../../../x; only sha256 is supported").await
}

#[tokio::test]
async fn reports_the_progress_of_a_slow_download() -> Result {
    let component = module::echo("one ")?;
    let (manifest, name) = manifest(&digest(&component), component.len())?;
    let liar = Liar::start(&name, manifest, Word::Slow(component.clone())).await?;
    let app = serve(tempfile::tempdir()?, &config(&format!("oci://{}/echo:1", liar.host))).await?;
    let told = app.log.wait_until("pulling", |line| line["message"] == "pulling").await?;
    assert_eq!(told["of_kib"], component.len() / 1024, "{told}");
    assert_eq!(app.get("/x").await?.text(), "one /x");
    Ok(())
}
