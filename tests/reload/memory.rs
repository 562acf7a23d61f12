//! Old generations are let go.

use super::{CONFIG, FILES, Watched, memory};
use crate::support::{Result, guest};

/// What 180 more swaps may leave behind, in KiB: pages that allocators keep, and nothing that grows.
const MARGIN: i64 = 1536;

/// Threads come and go with databases; none is to have a heap of its own, most of which is free.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// The places of instances keep a page or two once they have been used, and code that is new uses new places until it
/// has been through all of them: with few of them that is soon.
const FEW: (&str, &str) = ("CARYA_SERVER__MAX_CONCURRENT_REQUESTS", "8");

#[tokio::test]
async fn memory_after_two_hundred_swaps_is_what_it_was_after_twenty() -> Result {
    let mut watched =
        Watched::start_with(CONFIG, &FILES, &[FEW, ONE_HEAP, ("CARYA_SERVER__METRICS", "127.0.0.1:0")]).await?;
    let hooks = [std::fs::read(guest("trace-hook"))?, std::fs::read(guest("timing"))?];
    let (mut sizes, mut open) = (Vec::new(), Vec::new());
    for swap in 1..=200 {
        // Both code and everything else; a database of its own every now and then.
        let rows = 1000 + swap / 10;
        let head = format!("[database]\nmax_rows = {rows}\n# {swap}\n");
        match swap % 3 {
            0 => watched.put("templates/page.html", format!("page {swap}"))?,
            1 => watched.put_config(&format!("{head}{CONFIG}"))?,
            _ => watched.put("hook.wasm", &hooks[swap % 2])?,
        }
        watched.served().await?;
        for _ in 0..3 {
            watched.page().await?;
        }
        while watched.app.metric("carya_generations").await? > 1 {
            tokio::task::yield_now().await;
        }
        if [20, 200].contains(&swap) {
            sizes.push(memory(&watched.app)?);
            open.push(std::fs::read_dir(format!("/proc/{}/fd", watched.app.pid()))?.count());
        }
    }
    let &[after_20, after_200] = &sizes[..] else { return Err("not measured".into()) };
    println!("memory after 20 swaps {after_20} KiB, after 200 {after_200} KiB");
    assert!(after_200 - after_20 < MARGIN, "{after_20} KiB became {after_200} KiB");
    assert!(open[1] <= open[0] + 2, "files and sockets: {open:?}");
    Ok(())
}
