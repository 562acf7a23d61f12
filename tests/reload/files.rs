//! Ways in which files change: edits by hand, editors, compilers, and deployments.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
};

use super::{CONFIG, FILES, Watched};
use crate::support::{Result, guest};

async fn expect(watched: &mut Watched, text: &str) -> Result {
    let id = watched.served().await?;
    let page = watched.page().await?;
    assert_eq!((page.text.as_str(), page.generation), (text, id));
    Ok(())
}

#[tokio::test]
async fn ways_to_write_a_file() -> Result {
    let mut watched = Watched::start().await?;
    let page = watched.path().join("templates/page.html");
    let (backup, draft) = (page.with_extension("html~"), page.with_extension("new"));

    // A program writes to the existing file.
    fs::write(&page, "in place")?;
    expect(&mut watched, "in place").await?;
    // A program writes to the existing file in several steps, which the host must detect as a single change.
    let mut file = OpenOptions::new().write(true).truncate(true).open(&page)?;
    for part in ["in", " several", " steps"] {
        file.write_all(part.as_bytes())?;
        file.sync_all()?;
    }
    drop(file);
    expect(&mut watched, "in several steps").await?;
    // A program appends to the file.
    OpenOptions::new().append(true).open(&page)?.write_all(b", and more")?;
    expect(&mut watched, "in several steps, and more").await?;
    // Like some editors: rename a draft to the file, or rename the old file to a backup and write a new one.
    fs::write(&draft, "renamed")?;
    fs::rename(&draft, &page)?;
    expect(&mut watched, "renamed").await?;
    fs::rename(&page, &backup)?;
    fs::write(&page, "with a backup")?;
    fs::remove_file(&backup)?;
    expect(&mut watched, "with a backup").await?;
    // A hard link, which is how Cargo places its build output.
    fs::write(&backup, "linked")?;
    fs::remove_file(&page)?;
    fs::hard_link(&backup, &page)?;
    expect(&mut watched, "linked").await?;
    // Several contents of the same size, written shortly after each other.
    for text in ["aaaa", "bbbb", "cccc"] {
        watched.put("templates/page.html", text)?;
        expect(&mut watched, text).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_one_change() -> Result {
    let mut watched = Watched::start().await?;
    let mut file = fs::File::create(watched.path().join("templates/page.html"))?;
    for part in ["page", " by", " and", " by"] {
        file.write_all(part.as_bytes())?;
        // Longer than the pause after which the host takes a change as complete if no program has the file open.
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    drop(file);
    expect(&mut watched, "page by and by").await
}

#[tokio::test]
async fn a_folder_that_is_replaced() -> Result {
    let mut watched = Watched::start().await?;
    let (folder, other) = (watched.path().join("templates"), watched.path().join("other"));
    fs::create_dir(&other)?;
    fs::write(other.join("page.html"), "other")?;
    fs::rename(&folder, watched.path().join("old"))?;
    fs::rename(&other, &folder)?;
    expect(&mut watched, "other").await?;
    // The host watches the new folder, including its subfolders.
    fs::write(folder.join("page.html"), "again")?;
    expect(&mut watched, "again").await?;
    fs::create_dir_all(folder.join("deep/down"))?;
    fs::write(folder.join("deep/down/more.html"), "more")?;
    watched.served().await?;
    fs::write(folder.join("deep/down/more.html"), "{{ broken")?;
    assert!(watched.refused().await?.contains("more.html"));
    fs::remove_dir_all(folder.join("deep"))?;
    watched.served().await?;
    Ok(())
}

/// `rm -rf target` and a build delete and recreate a component's folder.
#[tokio::test]
async fn a_component_whose_folder_is_gone_for_a_while() -> Result {
    let mut watched = Watched::start().await?;
    fs::create_dir_all(watched.path().join("target/wasm/release"))?;
    watched.put("target/wasm/release/hook.wasm", fs::read(guest("timing"))?)?;
    watched.put_config(&CONFIG.replace("\"hook.wasm\"", "\"target/wasm/release/hook.wasm\""))?;
    watched.served().await?;
    fs::remove_dir_all(watched.path().join("target"))?;
    assert!(watched.refused().await?.contains("hook.wasm does not exist; build it"));
    for folder in ["target", "target/wasm", "target/wasm/release"] {
        fs::create_dir(watched.path().join(folder))?;
        watched.page().await?;
    }
    fs::write(watched.path().join("target/wasm/release/hook.wasm"), fs::read(guest("trace-hook"))?)?;
    while watched.page().await?.has_timing {
        watched.outcome().await?;
    }
    Ok(())
}

/// The configuration names a folder that does not exist yet. The host watches the folder once it exists.
#[tokio::test]
async fn a_folder_that_comes_after_the_configuration_that_names_it() -> Result {
    let mut watched = Watched::start().await?;
    watched.put_config(&CONFIG.replace("folder = \"templates\"", "folder = \"new/templates\""))?;
    watched.refused().await?;
    fs::create_dir_all(watched.path().join("new/templates"))?;
    watched.put("new/templates/page.html", "new")?;
    while watched.page().await?.text != "new" {
        watched.outcome().await?;
    }
    watched.put("new/templates/page.html", "newer")?;
    expect(&mut watched, "newer").await
}

/// Kubernetes mounts a folder of links to `..data/NAME`, and replaces `..data`, which is a link itself.
#[tokio::test]
async fn links_to_another_target() -> Result {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    for (version, text) in [("..1", "page one"), ("..2", "page two"), ("..3", "page three")] {
        fs::create_dir_all(root.join("mount").join(version))?;
        fs::write(root.join("mount").join(version).join("page.html"), text)?;
        fs::create_dir_all(root.join("releases").join(version))?;
    }
    symlink("..1", root.join("mount/..data"))?;
    symlink("..data/page.html", root.join("mount/page.html"))?;
    fs::copy(guest("timing"), root.join("releases/..1/hook.wasm"))?;
    fs::copy(guest("trace-hook"), root.join("releases/..2/hook.wasm"))?;
    symlink("releases/..1", root.join("current"))?;
    let config = CONFIG.replace("\"hook.wasm\"", "\"current/hook.wasm\"").replace("\"templates\"", "\"mount\"");
    let app = crate::support::App::run_in(folder, &["serve", "--watch"], &config, &FILES, &[super::QUIET]).await?;
    let mut watched = Watched { app, seen: 0 };
    watched.next("watching").await?;
    assert_eq!((watched.page().await?.text.as_str(), watched.page().await?.has_timing), ("page one", true));

    let swap = |watched: &Watched, link: &str, to: &str| -> Result {
        let draft = watched.path().join("draft");
        symlink(to, &draft)?;
        Ok(fs::rename(draft, watched.path().join(link))?)
    };
    swap(&watched, "mount/..data", "..2")?;
    expect(&mut watched, "page two").await?;
    // The host watches the target of the link, too.
    fs::write(watched.path().join("mount/..2/page.html"), "page 2.1")?;
    expect(&mut watched, "page 2.1").await?;
    swap(&watched, "mount/..data", "..3")?;
    expect(&mut watched, "page three").await?;
    swap(&watched, "current", "releases/..2")?;
    watched.served().await?;
    assert!(!watched.page().await?.has_timing);
    fs::copy(guest("timing"), watched.path().join("releases/..2/hook.wasm"))?;
    watched.served().await?;
    assert!(watched.page().await?.has_timing);
    Ok(())
}

#[tokio::test]
async fn changes_of_unrelated_files_are_ignored() -> Result {
    let mut watched = Watched::start().await?;
    watched.put("notes.txt", "mine")?;
    fs::write(watched.path().join("carya.toml~"), "draft")?;
    // The database file is in the same folder.
    let mark = serde_json::json!([{ "sql": "INSERT INTO marks VALUES ('one')" }]);
    assert_eq!(watched.play("POST", &mark).await?.status, 200);
    // The file's time changes, but not its content.
    let page = watched.path().join("templates/page.html");
    fs::write(&page, "page one")?;
    OpenOptions::new().append(true).open(&page)?.set_modified(std::time::SystemTime::now())?;
    watched.put("templates/page.html", "page two")?;
    let line = watched.outcome().await?;
    assert_eq!((&line["message"], &line["files"]), (&super::SERVED.into(), &"templates/page.html".into()), "{line:#}");
    assert_eq!(watched.page().await?.text, "page two");
    let outcomes = watched.app.log.lines().iter().filter(|line| line["target"] == "carya::reload").count();
    assert_eq!(outcomes, 1, "{:#?}", watched.app.log.lines());
    Ok(())
}
