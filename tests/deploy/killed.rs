//! A host that is killed during an upload, an activation or a collection: after a restart it serves one whole
//! generation, the old one or the new one.
//!
//! The moments of the kills are random. The tests print the seed; `DEPLOY_SEED` sets another one.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Stdio,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use carya::deploy::{Digest, Manifest};
use serde_json::json;

use super::{Files, Host, files, manifest};
use crate::{
    cancellation::Dice,
    support::{Result, carya},
};

const TIMES: u32 = 50;
/// Approximate duration of a start.
const START: Duration = Duration::from_millis(60);

fn seeded() -> Dice {
    let seed = std::env::var("DEPLOY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("DEPLOY_SEED={seed}");
    Dice(AtomicU64::new(seed))
}

/// Returns a random duration of at most twice `span`, the measured duration of the operation.
fn moment(dice: &Dice, span: Duration) -> Duration {
    Duration::from_micros(dice.below(u64::try_from(span.as_micros()).unwrap_or(u64::MAX) * 2 + 1))
}

/// Texts of the pages, by the id of the generation.
type Pages = BTreeMap<String, String>;

fn one_of(pages: &mut Pages, page: &str) -> Result<(Files, Manifest)> {
    let files = files(page)?;
    let manifest = manifest(&files);
    pages.insert(manifest.id.to_string(), page.to_owned());
    Ok((files, manifest))
}

/// Asserts that each blob has the digest in its name, and that all blobs of each manifest exist.
fn check_disk(deployed: &Path) -> Result {
    for entry in fs::read_dir(deployed.join("blobs"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.ends_with(".part") {
            assert_eq!(Digest::of_file(&path)?.to_string(), name);
        }
    }
    for entry in fs::read_dir(deployed.join("generations"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let manifest: Manifest = serde_json::from_slice(&fs::read(&path)?)?;
            for digest in manifest.blobs() {
                assert!(deployed.join("blobs").join(digest.to_string()).exists(), "{} lacks {digest}", path.display());
            }
        }
    }
    Ok(())
}

/// Kills the host, checks its disk and starts it again. Returns the id of the generation that it serves.
async fn kill(host: Host, pages: &Pages) -> Result<(Host, String)> {
    let folder = host.app.kill().await?;
    check_disk(&folder.path().join("deployed"))?;
    let host = Host::start_in(folder, &super::own()).await?;
    let served = whole(&host, pages).await?;
    Ok((host, served))
}

/// Returns the id of the generation that a host serves. Asserts that the page belongs to it.
async fn whole(host: &Host, pages: &Pages) -> Result<String> {
    let (served, page) = host.served().await?;
    assert_eq!(pages.get(&served), Some(&page), "{served} is served with the page of another");
    check_disk(&host.app.folder.path().join("deployed"))?;
    Ok(served)
}

async fn start_and_kill(folder: &Path, after: Duration) -> Result {
    let mut command = carya();
    command.arg("serve").current_dir(folder);
    command.env("CARYA_SERVER__LISTEN", "127.0.0.1:0").env("CARYA_DATABASE__URL", "sqlite://app.sqlite");
    let mut host = command.stderr(Stdio::null()).spawn()?;
    tokio::time::sleep(after).await;
    Ok(host.kill().await?)
}

/// Starts a host, and activates a first generation on it.
async fn start(pages: &mut Pages) -> Result<(Host, String)> {
    let host = Host::start().await?;
    let (files, manifest) = one_of(pages, "first")?;
    host.put(&files).await?;
    assert_eq!(host.activate(&manifest).await?.status, 200);
    Ok((host, manifest.id.to_string()))
}

#[tokio::test]
async fn during_an_upload() -> Result {
    let (dice, mut pages) = (seeded(), Pages::new());
    let (mut host, first) = start(&mut pages).await?;
    let (mut span, mut kept) = (Duration::ZERO, 0);
    for round in 0..=TIMES {
        let (files, manifest) = one_of(&mut pages, &format!("page {round}\n").repeat(20_000))?;
        // The first round measures the duration.
        let begun = Instant::now();
        let done = match round {
            0 => {
                host.put(&files).await?;
                span = begun.elapsed();
                true
            }
            _ => tokio::time::timeout(moment(&dice, span), host.put(&files)).await.is_ok(),
        };
        let served;
        (host, served) = kill(host, &pages).await?;
        assert_eq!(served, first, "round {round}");
        let known = host.call("GET", &format!("/generations/{}", manifest.id), "").await?.status == 200;
        assert!(known || !done, "round {round}: what was answered as taken in is gone");
        kept += u32::from(known);
    }
    println!("taken in within {span:?}; of {TIMES} that were killed {} were whole", kept - 1);
    Ok(())
}

#[tokio::test]
async fn during_an_activation() -> Result {
    let (dice, mut pages) = (seeded(), Pages::new());
    let (mut host, mut old) = start(&mut pages).await?;
    let (mut span, mut news) = (Duration::ZERO, 0);
    for round in 0..=TIMES {
        let (files, manifest) = one_of(&mut pages, &format!("page {round}"))?;
        host.put(&files).await?;
        let begun = Instant::now();
        let done = match round {
            0 => {
                assert_eq!(host.activate(&manifest).await?.status, 200);
                span = begun.elapsed();
                true
            }
            _ => tokio::time::timeout(moment(&dice, span), host.activate(&manifest)).await.is_ok(),
        };
        let (served, new) = (manifest.id.to_string(), &mut news);
        let found;
        (host, found) = kill(host, &pages).await?;
        assert!(
            found == served || (found == old && !done),
            "round {round}: {found}, from {old} to {served}, done {done}"
        );
        *new += u32::from(found == served);
        old = found;
    }
    println!("activated within {span:?}; of {TIMES} that were killed {} were active", news - 1);
    Ok(())
}

#[tokio::test]
async fn during_a_collection() -> Result {
    let (dice, mut pages) = (seeded(), Pages::new());
    let (mut host, first) = start(&mut pages).await?;
    let (mut span, mut finished) = (Duration::ZERO, 0);
    for round in 0..=TIMES {
        litter(&host.app.folder.path().join("deployed"), round)?;
        let begun = Instant::now();
        let done = match round {
            0 => {
                let collected = host.call("POST", "/collect", "").await?.json()?;
                assert_eq!((&collected["generations"], &collected["blobs"]), (&json!(10), &json!(41)));
                span = begun.elapsed();
                true
            }
            _ => tokio::time::timeout(moment(&dice, span), host.call("POST", "/collect", "")).await.is_ok(),
        };
        finished += u32::from(done);
        let folder = host.app.kill().await?;
        check_disk(&folder.path().join("deployed"))?;
        // A host also collects old generations when it starts. Kill the host during that collection too.
        start_and_kill(folder.path(), moment(&dice, START)).await?;
        check_disk(&folder.path().join("deployed"))?;
        host = Host::start_in(folder, &super::own()).await?;
        let served = whole(&host, &pages).await?;
        assert_eq!(served, first, "round {round}");
        let left = fs::read_dir(host.app.folder.path().join("deployed/blobs"))?.count();
        assert_eq!(left, 4, "round {round}: the start has collected the rest");
    }
    println!("collected within {span:?}; of {TIMES} that were killed {} had finished", finished - 1);
    Ok(())
}

/// Writes old generations with files of their own, and files that belong to no generation.
fn litter(deployed: &Path, round: u32) -> Result {
    let blob = |text: &str| -> Result<Digest> {
        let digest = Digest::of(text.as_bytes());
        fs::write(deployed.join("blobs").join(digest.to_string()), text)?;
        Ok(digest)
    };
    let config = blob(&format!("# {round}"))?;
    for number in 0..10 {
        let page = blob(&format!("{round} {number}"))?;
        let other = [("carya.toml".to_owned(), config), ("page.txt".to_owned(), page)];
        let manifest = Manifest { created_at: 1, ..Manifest::new(other.into()) };
        fs::write(deployed.join(format!("generations/{}.json", manifest.id)), serde_json::to_vec(&manifest)?)?;
        fs::create_dir_all(deployed.join(format!("apps/{}/folder", manifest.id)))?;
        for orphan in 0..3 {
            blob(&format!("{round} {number} {orphan}"))?;
        }
    }
    Ok(())
}
