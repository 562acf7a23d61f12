//! The admin API: requests without the token, and uploads that are incomplete, damaged or cannot be served.

use std::time::{Duration, Instant};

use carya::deploy::Digest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Files, Host, TOKEN, deploy, files, manifest, own, run, write};
use crate::support::{App, PATIENCE, Response, Result, Wrong, check, check_eq, check_ne};

#[tokio::test]
async fn refuses_requests_without_the_token() -> Result {
    let host = Host::start().await?;
    let one = manifest(&files("one")?);
    let (id, digest) = (&one.id, Digest::of(b"one"));
    let paths = [
        ("HEAD", format!("/blobs/{digest}")),
        ("PUT", format!("/blobs/{digest}")),
        ("PUT", format!("/generations/{id}")),
        ("GET", "/generations".to_owned()),
        ("GET", format!("/generations/{id}")),
        ("GET", format!("/generations/{id}/diff/{id}")),
        ("POST", format!("/generations/{id}/activate")),
        ("POST", "/rollback".to_owned()),
        ("POST", "/collect".to_owned()),
        ("DELETE", "/collect".to_owned()),
        ("GET", "/".to_owned()),
    ];
    let tokens = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer the-token-of-the-test",
        "Basic the-token-of-the-tests",
        "the-token-of-the-tests",
    ];
    let mut wrong = Wrong::default();
    for (method, path) in &paths {
        for token in tokens {
            let request = host.http.request(method.parse()?, format!("{}{path}", host.url())).body("one");
            let request = if token.is_empty() { request } else { request.header("authorization", token) };
            let answer = Response::read(request.send().await?).await?;
            check_eq!(
                wrong,
                (answer.status, answer.header("www-authenticate")),
                (401, "Bearer"),
                "{method} {path} {token:?}"
            );
        }
        check_ne!(wrong, host.call(method, path, "one").await?.status, 401, "{method} {path}");
    }
    let ran = run(&["generations", "--to", &host.url()], &[("CARYA_DEPLOY_TOKEN", "another-token-of-tests")]).await?;
    assert!(!ran.success && ran.messages.contains("refuses the token"), "{}", ran.messages);
    Ok(())
}

#[tokio::test]
async fn the_scheme_of_the_token_has_any_case() -> Result {
    let host = Host::start().await?;
    let mut wrong = Wrong::default();
    for (value, status) in [
        ("Bearer the-token-of-the-tests", 200),
        ("bearer the-token-of-the-tests", 200),
        ("BEARER the-token-of-the-tests", 200),
        ("bEaReR   the-token-of-the-tests", 200),
        ("bearer The-Token-Of-The-Tests", 401),
        ("bearerthe-token-of-the-tests", 401),
        ("bearer\tthe-token-of-the-tests", 401),
        ("bearer:the-token-of-the-tests", 401),
        ("bear the-token-of-the-tests", 401),
        ("bearer the-token-of-the-tests x", 401),
    ] {
        let request = host.http.get(format!("{}/generations", host.url())).header("authorization", value);
        check_eq!(wrong, request.send().await?.status(), status, "{value:?}");
    }
    Ok(())
}

/// Sends the head and the first byte of a body. Returns the response and how long it took.
async fn stall(host: &Host, path: &str) -> Result<(String, Duration)> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(&host.admin).await?;
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await?;
    let mut response = String::new();
    timeout(2 * PATIENCE, stream.read_to_string(&mut response)).await??;
    Ok((response, begun.elapsed()))
}

#[tokio::test]
async fn every_upload_has_a_time_limit() -> Result {
    let host = Host::start().await?;
    let (blob, generation) =
        (format!("/blobs/{}", Digest::of(b"one")), format!("/generations/{}", manifest(&files("one")?).id));
    let (blob, generation) = tokio::join!(stall(&host, &blob), stall(&host, &generation));
    for (response, took) in [blob?, generation?] {
        assert!(response.starts_with("HTTP/1.1 408"), "{response}");
        assert!((29..40).contains(&took.as_secs()), "{took:?}");
    }
    Ok(())
}

fn problem(answer: &Response, status: u16) -> Result<Value> {
    let body = answer.json()?;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((answer.status, &body["status"]), (status, &json!(status)), "{body}");
    Ok(body)
}

#[tokio::test]
async fn refuses_incomplete_uploads() -> Result {
    let host = Host::start_in(tempfile::tempdir()?, &format!("{}max_upload = 1000\n", own())).await?;
    let digest = Digest::of(b"one");
    let path = format!("/blobs/{digest}");
    let told = problem(&host.call("PUT", &path, "two").await?, 422)?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(&Digest::of(b"two").to_string())), "{told}");
    assert_eq!(host.call("HEAD", &path, "").await?.status, 404);
    problem(&host.call("PUT", &path, vec![0; 1001]).await?, 413)?;
    problem(&host.call("PUT", "/blobs/..%2Factive", "").await?, 422)?;
    assert_eq!(host.call("PUT", &path, "one").await?.status, 201);
    assert_eq!(host.call("HEAD", &path, "").await?.status, 200);

    let files: Files = [("carya.toml", b"one"), ("a", b"two"), ("b", b"two")]
        .map(|(path, content)| (path.to_owned(), content.to_vec()))
        .into();
    let whole = manifest(&files);
    let generation = format!("/generations/{}", whole.id);
    let told = problem(&host.call("PUT", &generation, serde_json::to_vec(&whole)?).await?, 409)?;
    assert_eq!(told["missing"], json!([Digest::of(b"two")]));
    problem(&host.call("POST", &format!("{generation}/activate"), "").await?, 404)?;
    problem(&host.call("PUT", &generation, "{").await?, 422)?;
    problem(&host.call("PUT", "/generations/0123456789ab", serde_json::to_vec(&whole)?).await?, 422)?;
    let mut outside = files.clone();
    outside.insert("../x".to_owned(), b"one".to_vec());
    let outside = manifest(&outside);
    problem(&host.call("PUT", &format!("/generations/{}", outside.id), serde_json::to_vec(&outside)?).await?, 422)?;
    assert_eq!(host.list().await?["generations"], json!([]));
    problem(&host.call("GET", "/nothing", "").await?, 404)?;
    problem(&host.call("DELETE", "/collect", "").await?, 405)?;
    Ok(())
}

#[tokio::test]
async fn an_upload_that_the_host_cannot_store_is_a_fault_of_the_host() -> Result {
    // The limit of file sizes, in units of 512 bytes, stands for a full disk.
    let host = Host::of(App::start_after("trap '' XFSZ && ulimit -f 128", &own(), &[]).await?).await?;
    let deployed = host.app.folder.path().join("deployed");
    let long = vec![b'x'; (64 << 10) + 1];
    let path = format!("/blobs/{}", Digest::of(&long));
    let full = problem(&host.call("PUT", &path, long).await?, 507)?;
    assert!(full["detail"].as_str().is_some_and(|detail| detail.contains("free space on the disk")), "{full}");
    assert_eq!(std::fs::read_dir(deployed.join("blobs"))?.count(), 0, "the draft is removed");

    let digest = Digest::of(b"one");
    std::fs::create_dir_all(deployed.join(format!("blobs/{digest}/folder")))?;
    problem(&host.call("PUT", &format!("/blobs/{digest}"), "one").await?, 500)?;
    Ok(())
}

#[tokio::test]
async fn a_generation_that_cannot_be_served_leaves_the_old_one_active() -> Result {
    let host = Host::start().await?;
    let one = host.put(&files("one")?).await?;
    assert_eq!(host.activate(&one).await?.status, 200);
    let broken = |path: &str, content: &[u8]| -> Result<Files> {
        let mut broken = files("two")?;
        broken.insert(path.to_owned(), content.to_vec());
        Ok(broken)
    };
    let mut wrong = Wrong::default();
    for (path, content, why) in [
        ("guests/probe.wasm", &b"no component"[..], "component.probe.path: "),
        ("carya.toml", b"[[route]]\npath = \"/x\"\ncomponent = \"none\"\n", "route[0].component"),
        ("carya.toml", b"[[smoke]]\npath = \"/x\"\n", "smoke[0]: GET /x answers 404"),
        (
            "migrations/0002_wrong.sql",
            b"CREATE NONSENSE",
            "migration 2: error returned from database: (code: 1) near \"NONSENSE\"",
        ),
    ] {
        let told = problem(&host.activate(&host.put(&broken(path, content)?).await?).await?, 422)?;
        check!(wrong, told["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{why}: {told}");
        check_eq!(wrong, host.served().await?, (one.id.to_string(), "one".to_owned()), "{path:?} {why:?}");
    }
    let host = host.killed().await?;
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_file_that_was_changed_on_disk_is_not_served() -> Result {
    let host = Host::start().await?;
    let (one, folder) = (host.put(&files("one")?).await?, tempfile::tempdir()?);
    assert_eq!(host.activate(&one).await?.status, 200);
    let deployed = host.app.folder.path().join("deployed");
    // The host repairs a file in the application's folder from the stored blob with its digest.
    std::fs::write(deployed.join(format!("apps/{}/static/page.txt", one.id)), "forged")?;
    let host = host.killed().await?;
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));

    let second = files("two")?;
    let two = host.put(&second).await?;
    let blob = deployed.join(format!("blobs/{}", Digest::of(b"two")));
    std::fs::write(&blob, "forged")?;
    let told = problem(&host.activate(&two).await?, 422)?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("is damaged")), "{told}");
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    // Another deployment uploads the blob again.
    write(folder.path(), &second)?;
    let ran = deploy(folder.path(), &host, &[]).await?;
    assert!(ran.success && ran.answer.contains("1 uploaded"), "{} {}", ran.answer, ran.messages);
    assert_eq!(host.served().await?.1, "two");

    // If the active generation is damaged, the host serves no other one: it reports the damage and does not start.
    std::fs::write(&blob, "forged")?;
    std::fs::remove_dir_all(deployed.join("apps"))?;
    let folder = host.app.kill().await?;
    let Err(error) = App::start_in(folder, &own(), &[], &[]).await else { return Err("it started".into()) };
    let error = error.to_string();
    assert!(error.contains("is damaged") && error.contains("`active` in deploy.folder"), "{error}");
    Ok(())
}

#[tokio::test]
async fn unreferenced_files_are_collected() -> Result {
    let host = Host::start_in(tempfile::tempdir()?, &format!("{}keep = 1\n", own())).await?;
    let mut pages = Vec::new();
    for page in ["one", "two", "three"] {
        let manifest = host.put(&files(page)?).await?;
        assert_eq!(host.activate(&manifest).await?.status, 200);
        pages.push(manifest);
        // `created_at` has a resolution of 1 s. Set an old value, so that the next generation is certainly younger.
        let list = host.app.folder.path().join(format!("deployed/generations/{}.json", pages[pages.len() - 1].id));
        let text = std::fs::read_to_string(&list)?;
        let mut older: Value = serde_json::from_str(&text)?;
        older["created_at"] = json!(pages.len());
        std::fs::write(&list, older.to_string())?;
    }
    assert_eq!(host.call("PUT", &format!("/blobs/{}", Digest::of(b"nobody's")), "nobody's").await?.status, 201);
    let collected = host.call("POST", "/collect", "").await?.json()?;
    // The last activation has removed the first generation, but not its files, which were too young.
    assert_eq!(
        (&collected["blobs"], &collected["bytes"]),
        (&json!(2), &json!("nobody's".len() + "one".len())),
        "{collected}"
    );
    problem(&host.activate(&pages[0]).await?, 404)?;
    assert_eq!(host.served().await?.1, "three");
    assert_eq!(host.call("POST", "/rollback", "").await?.status, 200);
    assert_eq!(host.served().await?.1, "two");
    problem(&host.call("POST", "/rollback", "").await?, 409)?;
    Ok(())
}
