//! Isolation of instances on a machine with swap. If the kernel swaps out memory of an instance while it runs, the next
//! instance in the same slot must not read that memory. The tests add a swap file to the machine, so they are ignored
//! by default. To run them: `cargo test -p carya swap -- --ignored`.

use std::{path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use crate::support::{App, Result, Wrong, check_eq, module};

/// Controller. `/write` writes a word in the middle of its memory and computes for a while. `/read` responds with the
/// bytes at the same address.
const WAT: &str = r#"(module
    (import "carya:host/request@0.2.0" "path" (func $path (param i32)))
    (memory (export "memory") 16)
    (data (i32.const 1024) "written.")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "carya:host/plain-controller@0.2.0#plain") (result i32)
        (local $round i64) (local $text i32)
        (call $path (i32.const 512))
        (local.set $text (i32.const 0x80000))
        (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 512))) (i32.const 119))
            (then
                (i64.store (i32.const 0x80000) (i64.const 0x2154455243455321))
                (loop $again
                    (local.set $round (i64.add (local.get $round) (i64.const 1)))
                    (br_if $again (i64.lt_u (local.get $round) (i64.const 2000000000))))
                (local.set $text (i32.const 1024))))
        ;; ok(response): the status, no headers, a body of the case text.
        (i32.store16 (i32.const 4) (i32.const 200))
        (i32.store8 (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (local.get $text))
        (i32.store (i32.const 24) (i32.const 8))
        (i32.const 0)))"#;

const CONFIG: &str = r#"
    [component.it]
    path = "it.wasm"
    timeout = "60s"
    [server]
    request_timeout = "60s"
    [[route]]
    path = "/{*what}"
    component = "it"
    transaction = "none"
"#;

/// Python script that makes the kernel swap out all private memory of a process, by `process_madvise(MADV_PAGEOUT)`.
const PAGE_OUT: &str = r#"
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
class Range(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
process = libc.syscall(434, pid, 0)
assert process >= 0, os.strerror(ctypes.get_errno())
for line in open(f"/proc/{pid}/maps"):
    place, mode = line.split()[:2]
    if mode == "rw-p":
        start, end = (int(word, 16) for word in place.split("-"))
        given = Range(start, end - start)
        libc.syscall(440, process, ctypes.byref(given), 1, 21, 0)
"#;

const NO_SCAN: &str = "no page scan, which makes instances slower: the kernel may swap memory of this process out to ";

/// A swap file that the kernel uses. Dropping the value turns it off.
struct Swap {
    file: PathBuf,
    _folder: TempDir,
}

impl Swap {
    /// Adds a swap file. Returns `None` and prints the reason if the machine does not allow that.
    fn on() -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("swap");
        let script = r#"fallocate -l 256M "$0" && chmod 600 "$0" && mkswap "$0" && swapon "$0""#;
        let ran = Command::new("sh").args(["-c", script]).arg(&file).output()?;
        if !ran.status.success() {
            eprintln!("skipped: no swap file can be added here: {}", String::from_utf8_lossy(&ran.stderr));
            return Ok(None);
        }
        Ok(Some(Self { file, _folder: folder }))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let ended = Command::new("swapoff").arg(&self.file).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("the swap file {} is still in use: run `swapoff`", self.file.display());
        }
    }
}

async fn start(page_scan: &str) -> Result<App> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), module::embed(WAT, "import request; export plain-controller;")?)?;
    App::start_in(folder, CONFIG, &[], &[("CARYA_SERVER__PAGE_SCAN", page_scan)]).await
}

/// Sends a request that writes, and swaps out its memory meanwhile. Then sends 100 requests that read. Returns the
/// number of requests that read the written data.
async fn leaks(app: &App) -> Result<usize> {
    let write = app.get("/write");
    let page_out = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ran =
            tokio::process::Command::new("python3").args(["-c", PAGE_OUT, &app.pid().to_string()]).output().await?;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
        let swapped = status.lines().find(|line| line.starts_with("VmSwap")).unwrap_or_default().to_owned();
        Result::Ok(swapped)
    };
    let (written, swapped) = tokio::join!(write, page_out);
    assert_eq!(written?.text(), "written.");
    println!("{}", swapped?);
    let mut leaks = 0;
    for _ in 0..100 {
        leaks += usize::from(app.get("/read").await?.text() != "\0".repeat(8));
    }
    Ok(leaks)
}

#[tokio::test]
#[ignore = "adds a swap file to the machine"]
async fn memory_that_was_swapped_out_is_not_seen_by_the_next_instance() -> Result {
    let Some(_swap) = Swap::on()? else { return Ok(()) };
    let mut wrong = Wrong::default();
    for page_scan in ["auto", "off"] {
        let app = start(page_scan).await?;
        app.log.wait_for(if page_scan == "auto" { NO_SCAN } else { "no page scan: server.page_scan is" }).await?;
        check_eq!(wrong, leaks(&app).await?, 0, "{page_scan}");
    }
    Ok(())
}

/// If swap is added while a host with a page scan runs, instances read old data. Therefore a host does not scan on a
/// machine with swap, and logs that it must be restarted when swap is added.
#[tokio::test]
#[ignore = "adds a swap file to the machine"]
async fn a_page_scan_does_not_see_memory_that_was_swapped_out() -> Result {
    let app = start("auto").await?;
    if app.log.lines().iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains("no page scan"))) {
        eprintln!("skipped: this machine has swap");
        return Ok(());
    }
    let Some(_swap) = Swap::on()? else { return Ok(()) };
    let leaks = leaks(&app).await?;
    println!("{leaks} of 100 requests read it");
    assert!(leaks > 0, "the kernel has no page scan, or it sees what was swapped out");
    app.log.wait_for("restart this host: it scans pages").await?;
    Ok(())
}
