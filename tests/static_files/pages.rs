//! Which files of a folder exist for clients: dotfiles, symbolic links, and the fallback of single-page applications.

use std::{fs, os::unix::fs::symlink};

use super::{folders, is_routed};
use crate::support::{App, Result, Wrong, carya, check, check_eq, write};

const FILES: [(&str, &str); 8] = [
    ("public/index.html", "index"),
    ("public/app.js", "script"),
    ("public/.env", "secret"),
    ("public/.git/config", "secret"),
    ("public/sub/.hidden/a.txt", "secret"),
    ("public/.well-known/security.txt", "contact"),
    ("public/.well-known/.hidden", "secret"),
    ("outside/a.txt", "outside"),
];

#[tokio::test]
async fn dotfiles_are_not_found() -> Result {
    let app = App::start(&folders(&[("/static", "public")]), &FILES).await?;
    let shown = App::start(&format!("{}dotfiles = true\n", folders(&[("/static", "public")])), &FILES).await?;
    let mut wrong = Wrong::default();
    for (path, by_default) in [
        (".env", 404),
        ("%2Eenv", 404),
        (".git/config", 404),
        (".git", 404),
        (".git/", 404),
        ("sub/.hidden/a.txt", 404),
        ("sub/%2ehidden/a.txt", 404),
        ("sub//.hidden/a.txt", 404),
        (".well-known/security.txt", 200),
        (".well-known/.hidden", 404),
        ("app.js", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let path = format!("/static/{path}");
            check_eq!(wrong, app.call(method, &path).await?.status, by_default, "{method} {path}");
            let status = shown.call(method, &path).await?.status;
            // The folders have no index.
            let expected = if path.contains(".git") && !path.contains("config") { [307, 404] } else { [200, 200] };
            check!(wrong, expected.contains(&status), "{method} {path} with dotfiles: {status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn links_lead_to_files_in_the_folder_only() -> Result {
    let app = App::start(&folders(&[("/static", "public")]), &FILES).await?;
    let folder = app.folder.path().join("public");
    let outside = app.folder.path().join("outside");
    for (target, link) in [
        ("app.js".as_ref(), "inside"),
        ("../app.js".as_ref(), "sub/inside"),
        ("sub/../app.js".as_ref(), "around"),
        // As Kubernetes links the files of a ConfigMap.
        (".git/config".as_ref(), "config"),
        ("sub".as_ref(), "folder"),
        ("../outside/a.txt".as_ref(), "relative"),
        ("../outside".as_ref(), "relative-folder"),
        (outside.as_path(), "absolute-folder"),
        ("/etc/passwd".as_ref(), "absolute"),
        ("relative".as_ref(), "indirect"),
        ("/proc/self/cwd/carya.toml".as_ref(), "magic"),
    ] {
        symlink(target, folder.join(link))?;
    }
    let mut wrong = Wrong::default();
    for (path, status) in [
        ("inside", 200),
        ("sub/inside", 200),
        ("folder/inside", 200),
        ("around", 200),
        ("config", 200),
        ("relative", 404),
        ("relative-folder/a.txt", 404),
        ("relative-folder/", 404),
        ("absolute-folder/a.txt", 404),
        ("absolute", 404),
        ("indirect", 404),
        ("magic", 404),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = app.call(method, &format!("/static/{path}")).await?;
            check_eq!(wrong, answer.status, status, "{method} {path}: {}", answer.text());
        }
    }
    // The folder itself may be a link, which a deployment replaces.
    fs::rename(&folder, app.folder.path().join("first"))?;
    fs::create_dir(app.folder.path().join("second"))?;
    fs::write(app.folder.path().join("second/app.js"), "next")?;
    for (target, body) in [("first", "script"), ("second", "next")] {
        symlink(target, app.folder.path().join("next"))?;
        fs::rename(app.folder.path().join("next"), &folder)?;
        check_eq!(wrong, app.get("/static/app.js").await?.text(), body, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn a_fallback_serves_pages_and_hides_neither_routes_nor_missing_files() -> Result {
    let config = folders(&[("/", "public")]);
    let app = App::start(&format!("{config}fallback = \"index.html\"\n"), &FILES).await?;
    let mut wrong = Wrong::default();
    for (method, path, status, body) in [
        ("GET", "/", 200, "index"),
        ("GET", "/app.js", 200, "script"),
        ("GET", "/orders/7", 200, "index"),
        ("GET", "/orders/", 200, "index"),
        ("GET", "/orders/7?tab=a.b", 200, "index"),
        ("GET", "/v1.2/orders", 200, "index"),
        ("HEAD", "/orders/7", 200, ""),
        ("GET", "/orders/a%2Fb", 200, "index"),
        // A file that is missing, and not a page.
        ("GET", "/app.old.js", 404, ""),
        ("GET", "/.env", 404, ""),
        ("POST", "/orders/7", 405, ""),
    ] {
        let answer = app.call(method, path).await?;
        check_eq!(wrong, (answer.status, answer.text().as_str()), (status, body), "{method} {path}");
        let kind = if body == "index" { "text/html" } else { answer.header("content-type") };
        check_eq!(wrong, answer.header("content-type"), kind, "{method} {path}");
    }
    check!(wrong, is_routed(&app.get("/items/7").await?), "a route");
    let page = app.get("/orders/7").await?;
    let again = app.request("GET", "/orders/8").header("if-none-match", page.header("etag")).send().await?;
    check_eq!(wrong, again.status(), 304, "the page has an entity tag");
    let part = app.request("GET", "/orders/8").header("range", "bytes=1-2").send().await?;
    check_eq!(wrong, (part.status().as_u16(), &*part.text().await?), (206, "nd"), "a range of the page");

    // A route that matches every path gets the requests without a file.
    let config = folders(&[("/static", "public")]).replace("/static/routed", "/{*rest}");
    let app = App::start(&format!("{config}fallback = \"index.html\"\n"), &FILES).await?;
    check!(wrong, !is_routed(&app.get("/static/app.js").await?), "a file");
    check!(wrong, is_routed(&app.get("/static/orders").await?), "a route comes before the fallback");
    Ok(())
}

#[tokio::test]
async fn a_fallback_that_is_no_file_of_the_folder_is_refused() -> Result {
    let mut wrong = Wrong::default();
    for (page, code, reason) in [
        ("none.html", 1, "carya.toml:14: static[0].fallback: there is no file"),
        ("../carya.toml", 2, "static[0].fallback: \"../carya.toml\" is not the path of a file in the folder"),
        ("/etc/passwd", 2, "is not the path of a file in the folder"),
        (".env", 2, "names that do not begin with a dot"),
        ("", 2, "static[0].fallback: \"\" is empty"),
    ] {
        let folder = tempfile::tempdir()?;
        let config = format!("{}fallback = \"{page}\"\n", folders(&[("/", "public")]));
        write(folder.path(), &config, &FILES)?;
        let ran = carya().arg("check").current_dir(folder.path()).output().await?;
        let messages = String::from_utf8_lossy(&ran.stderr);
        check_eq!(wrong, ran.status.code(), Some(code), "{page}: {messages}");
        check!(wrong, messages.contains(reason), "{page}: {messages}");
    }
    Ok(())
}
