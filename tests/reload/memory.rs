//! The host frees old generations.

use super::{CONFIG, FILES, Watched, memory};
use crate::support::{App, Result, eventually, guest};

/// Maximum growth by 180 further swaps, in KiB. Allocators may keep some pages, but nothing may grow with every swap.
const MARGIN: i64 = 1536;

/// Environment variable that limits the C library to one heap. Otherwise the threads of each opened database get heaps
/// of their own, which stay mostly unused.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Environment variable for a small pool of instances. Each slot of the pool keeps one or two pages of memory after its
/// first use. New code uses new slots until all slots have been used, which happens soon in a small pool.
const FEW: (&str, &str) = ("CARYA_SERVER__MAX_CONCURRENT_REQUESTS", "8");

#[tokio::test]
async fn memory_does_not_grow_over_two_hundred_swaps() -> Result {
    let mut watched =
        Watched::start_with(CONFIG, &FILES, &[FEW, ONE_HEAP, ("CARYA_SERVER__METRICS", "127.0.0.1:0")]).await?;
    let hooks = [std::fs::read(guest("trace-hook"))?, std::fs::read(guest("timing"))?];
    let (mut sizes, mut open) = (Vec::new(), Vec::new());
    for swap in 1..=200 {
        // Change code and other files in turn. Every tenth swap changes `max_rows`, so that the host opens the database
        // again.
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
        eventually("the old generation ends", async || Ok(watched.app.metric("carya_generations").await? == 1)).await?;
        if [20, 200].contains(&swap) {
            sizes.push(memory(&watched.app)?);
            open.push(descriptors(&watched.app)?);
        }
    }
    let &[after_20, after_200] = &sizes[..] else { return Err("not measured".into()) };
    println!("memory after 20 swaps {after_20} KiB, after 200 {after_200} KiB");
    assert!(after_200 - after_20 < MARGIN, "{after_20} KiB became {after_200} KiB");
    // The pools of the last retired generation may still be closing their connections, and a pool may have one more
    // connection than at the first count. Each of the 18 databases that were opened since then has several files.
    let closed = eventually("the files are closed", async || Ok(descriptors(&watched.app)? <= open[0] + 9)).await;
    assert!(closed.is_ok(), "files and sockets: {open:?}, now {}", descriptors(&watched.app)?);
    Ok(())
}

/// Returns the number of open files and sockets.
fn descriptors(app: &App) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", app.pid()))?.count())
}
