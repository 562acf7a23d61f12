//! Chromium loads a page with a script that sends requests to another origin.

use std::path::Path;

use tokio::{process::Command, time::timeout};

use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, PATIENCE, Result, Wrong, check, check_eq, servers},
};

/// The page writes the outcome of each request into its body.
const PAGE: &str = r#"<!doctype html>
<title>page</title>
<body>waiting</body>
<script>
const api = new URLSearchParams(location.search).get("api"), outcomes = [];
async function attempt(name, path, options) {
    try {
        const answer = await fetch(api + path, options);
        const text = await answer.text();
        outcomes.push(`${name}=${answer.status},${text.length},${answer.headers.get("x-request-id") ? "id" : "none"}`);
    } catch (error) {
        outcomes.push(`${name}=blocked`);
    }
}
(async () => {
    const body = JSON.stringify([{ answer: { text: "line of text\n".repeat(1000) } }]);
    const headers = { "x-api-key": "k" };
    await attempt("simple", "/x");
    await attempt("preflight", "/x", { method: "PUT", headers, body });
    await attempt("cookies", "/x", { credentials: "include" });
    await attempt("method", "/x", { method: "DELETE" });
    await attempt("header", "/x", { headers: { "x-other": "o" } });
    await attempt("path", "/files/0001_marks.sql");
    document.body.textContent = `outcomes ${outcomes.join(" ")} end`;
})();
</script>
"#;

/// Returns the document of a URL after its scripts have run, or `None` if Chromium is not installed.
async fn load(url: &str) -> Result<Option<String>> {
    let program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let Some(program) = program.iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium for the tests: run `make servers`");
        servers::report_skipped("Chromium", "it is not installed");
        return Ok(None);
    };
    let profile = tempfile::tempdir()?;
    let mut chromium = Command::new(program);
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    chromium.args(["--virtual-time-budget=20000", "--dump-dom"]).kill_on_drop(true);
    chromium.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let ran = timeout(2 * PATIENCE, chromium.output()).await??;
    Ok(Some(String::from_utf8_lossy(&ran.stdout).into_owned()))
}

#[tokio::test]
async fn chromium_sends_the_requests_that_cors_permits() -> Result {
    let compress = "[server]\ncompress = ['br', 'zstd', 'gzip']\n";
    let page = "[[static]]\npath = \"/\"\nfolder = \"public\"\n";
    let config = format!(
        "{page}[[headers]]\nset = {{ \"Content-Security-Policy\" = \"default-src 'unsafe-inline' 'self' *\" }}\n"
    );
    let pages = App::start(&format!("{config}{compress}"), &[("public/index.html", PAGE)]).await?;
    let cors = |origin: &str| {
        format!(
            "[[cors]]\npath = \"/x\"\norigins = [\"{origin}\"]\nmethods = [\"GET\", \"PUT\"]\nheaders = [\"x-api-key\"]\n\
             expose = [\"x-request-id\"]\ncredentials = true\n"
        )
    };
    let files = "[[static]]\npath = \"/files\"\nfolder = \"migrations\"\n";
    let own = format!("http://{}", pages.address());
    let mut wrong = Wrong::default();
    for (origin, expected) in [
        (
            own.as_str(),
            "outcomes simple=200,LEN,id preflight=200,13000,id cookies=200,LEN,id method=blocked header=blocked path=blocked end",
        ),
        (
            "https://other.example",
            "outcomes simple=blocked preflight=blocked cookies=blocked method=blocked header=blocked path=blocked end",
        ),
    ] {
        let env = [("CARYA_ACCESS_LOG", "full")];
        let api = start_with(Engine::Sqlite, &format!("{ROUTE}{files}{}{compress}", cors(origin)), &env).await?;
        let plain = api.get("/x").await?.text().len().to_string();
        let Some(document) = load(&format!("{own}/?api=http://{}", api.address())).await? else { return Ok(()) };
        check!(wrong, document.contains(&expected.replace("LEN", &plain)), "{origin}: {document}");
        let lines = api.log.lines();
        let sent = lines.iter().filter(|line| line["target"] == "carya::access" && line["method"] == "PUT").count();
        check_eq!(wrong, sent, usize::from(origin == own), "the guest runs only if the origin is permitted: {origin}");
        if origin == own {
            let packed = lines.iter().any(|line| line["method"] == "PUT" && line["bytes_out"].as_u64() < Some(2000));
            check!(wrong, packed, "the browser accepts a compressed body");
        }
    }
    Ok(())
}
