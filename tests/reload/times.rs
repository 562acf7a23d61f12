//! Measures how long a reload takes: from saving a file to the first response of the new generation. Prints the times.
//! Fails only if a reload takes 120 s or a request meanwhile takes 2 s.

use std::time::{Duration, Instant};

use super::{CONFIG, FILES, Page, Watched, ms, show};
use crate::support::{Result, guest};

/// Returns a copy of a component with the same behaviour but another digest: appends a custom section that contains
/// `mark`.
fn other(mut component: Vec<u8>, mark: u8) -> Vec<u8> {
    component.extend([0, 3, 1, b'x', mark]);
    component
}

/// Saves a file and sends requests until a new generation responds. Returns the time since the file was saved, and the
/// duration of the slowest request.
async fn save(watched: &mut Watched, name: &str, content: &[u8]) -> Result<(Duration, Duration)> {
    let before = watched.page().await?.generation;
    let (saved, mut slowest) = (Instant::now(), Duration::ZERO);
    watched.put(name, content)?;
    loop {
        let asked = Instant::now();
        let page = Page::of(&watched.play("GET", &show()).await?)?;
        slowest = slowest.max(asked.elapsed());
        if page.generation != before {
            return Ok((saved.elapsed(), slowest));
        }
    }
}

#[tokio::test]
async fn from_saved_to_served() -> Result {
    let small = std::fs::read(guest("timing"))?;
    let mut watched = with_own_cache().await?;
    let text = std::fs::read_to_string(watched.path().join("carya.toml"))?;
    report(&mut watched, "template", "templates/page.html", b"page two".to_vec()).await?;
    report(&mut watched, "configuration", "carya.toml", text.replace("# one", "# two").into_bytes()).await?;
    report(&mut watched, "small component, compiled", "hook.wasm", other(small.clone(), b'1')).await?;
    report(&mut watched, "small component, cached", "hook.wasm", small).await
}

/// Ignored by default: compiling the component takes most of the measured time.
#[tokio::test]
#[ignore = "compiles for a minute"]
async fn from_saved_to_served_with_a_large_component() -> Result {
    let large = std::fs::read(guest("items-js"))?;
    let mut watched = with_own_cache().await?;
    watched.put("large.wasm", &large)?;
    let with_large = format!("{CONFIG}\n[component.large]\npath = \"large.wasm\"\n");
    watched.put_config(&with_large)?;
    watched.served().await?;
    report(&mut watched, "large component, compiled", "large.wasm", other(large.clone(), b'1')).await?;
    report(&mut watched, "large component, cached", "large.wasm", large).await?;
    report(&mut watched, "template beside it", "templates/page.html", b"page two".to_vec()).await
}

async fn with_own_cache() -> Result<Watched> {
    Watched::start_with(CONFIG, &FILES, &[("CARYA_SERVER__CACHE", "code")]).await
}

async fn report(watched: &mut Watched, what: &str, name: &str, content: Vec<u8>) -> Result {
    let (took, slowest) = save(watched, name, &content).await?;
    println!("{what} ({} bytes): {:.0} ms, slowest request meanwhile {:.0} ms", content.len(), ms(took), ms(slowest));
    assert!(took < Duration::from_secs(120) && slowest < Duration::from_secs(2), "{what}: {took:?}, {slowest:?}");
    Ok(())
}
