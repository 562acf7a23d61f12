//! `[[static]]`: serves the regular files of a folder, and nothing else that is in it.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    time::{Duration, Instant},
};

use tokio::{process::Command, time::timeout};

use crate::support::{App, Response, Result, Wrong, check_eq};

const CONFIG: &str = r#"
    [[static]]
    path = "/files"
    folder = "files"
"#;

#[tokio::test]
async fn only_regular_files_are_served() -> Result {
    let folder = tempfile::tempdir()?;
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("folder"))?;
    fs::write(files.join("page.html"), "a page")?;
    symlink("page.html", files.join("link.html"))?;
    symlink(files.join("page.html"), files.join("absolute.html"))?;
    for fifo in ["fifo", "folder/index.html"] {
        assert!(Command::new("mkfifo").arg(files.join(fifo)).status().await?.success());
    }
    symlink(files.join("fifo"), files.join("link"))?;
    symlink("/dev/zero", files.join("device"))?;
    let _socket = UnixListener::bind(files.join("socket"))?;

    let app = App::start_in(folder, CONFIG, &[], &[]).await?;
    let mut wrong = Wrong::default();
    for (path, status) in [
        ("page.html", 200),
        ("link.html", 200),
        ("absolute.html", 404),
        ("fifo", 404),
        ("link", 404),
        ("folder/", 404),
        ("device", 404),
        ("socket", 404),
        ("nothing", 404),
    ] {
        for (method, range) in [("GET", None), ("HEAD", None), ("GET", Some("bytes=0-99")), ("GET", Some("bytes=-1"))] {
            let request = app.request(method, &format!("/files/{path}"));
            let request = range.iter().fold(request, |request, range| request.header("range", *range));
            let answer = timeout(Duration::from_secs(5), request.send()).await;
            let answer = answer.map_err(|_| format!("{method} {path} is not answered"))??;
            let answer = Response::read(answer).await?;
            if range.is_some() && status == 200 {
                check_eq!(wrong, answer.status, 206, "{method} {path} {range:?}");
                continue;
            }
            check_eq!(wrong, answer.status, status, "{method} {path}");
            check_eq!(
                wrong,
                answer.text(),
                if status == 200 && method == "GET" { "a page" } else { "" },
                "{method} {path}"
            );
        }
    }
    let asked = Instant::now();
    assert_eq!(app.stop().await?.1, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(3), "no thread hangs: {:?}", asked.elapsed());
    Ok(())
}
