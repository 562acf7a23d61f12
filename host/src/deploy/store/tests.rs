//! Tests of the store: round trips, rejected and damaged files, collection, and restarts.

use super::*;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn settings(folder: &Path) -> config::Deploy {
    config::Deploy {
        folder: folder.to_owned(),
        listen: None,
        token: None,
        tls: None,
        max_upload: 1000,
        keep: 2,
        shared: None,
    }
}

async fn upload(store: &Store, text: &str) -> Result<Digest> {
    let digest = Digest::of(text.as_bytes());
    let upload = store.receive(digest).await?;
    upload.write(text.as_bytes().to_vec().into()).await?.finish().await?;
    Ok(digest)
}

/// Stores a generation with one page of this text.
async fn put(store: &Store, text: &str) -> Result<Id> {
    let name = upload(store, "debug = true").await?;
    let page = upload(store, text).await?;
    let manifest = Manifest::new([("carya.toml".to_owned(), name), ("pages/a.html".to_owned(), page)].into());
    store.put(&manifest)?;
    Ok(manifest.id)
}

async fn activate(store: &Store, text: &str) -> Result<Id> {
    let id = put(store, text).await?;
    store.record(&store.after(store.history()?, &Step::To(id.clone()))?)?;
    Ok(id)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names: Vec<_> = content::entries(folder)?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn a_generation_is_read_back_as_it_was_put() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let id = put(&store, "one").await?;
    let app = store.unpack(&id)?.folder;
    assert_eq!(fs::read_to_string(app.join("pages/a.html"))?, "one");
    // `unpack` undoes changed, added and removed files.
    fs::write(app.join("pages/a.html"), "two")?;
    fs::write(app.join("pages/b.html"), "more")?;
    fs::remove_file(app.join("carya.toml"))?;
    let app = store.unpack(&id)?.folder;
    assert_eq!(fs::read_to_string(app.join("pages/a.html"))?, "one");
    assert_eq!(
        (names(&app)?, names(&app.join("pages"))?),
        (vec!["carya.toml".into(), "pages".into()], vec!["a.html".into()])
    );
    Ok(())
}

#[tokio::test]
async fn wrong_files_are_refused_and_leave_nothing() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let wrong = store.receive(Digest::of(b"one")).await?.write("two".into()).await?;
    assert!(matches!(wrong.finish().await, Err(Error::Mismatch { .. })));
    let long = store.receive(Digest::of(b"one")).await?;
    assert!(matches!(long.write(vec![0; 1001].into()).await, Err(Error::TooLarge(1000))));
    assert!(names(&folder.path().join("blobs"))?.is_empty());
    let absent = Manifest::new([("carya.toml".to_owned(), Digest::of(b"absent"))].into());
    assert!(matches!(store.put(&absent), Err(Error::Missing { blobs, .. }) if blobs == [Digest::of(b"absent")]));
    assert!(names(&folder.path().join("generations"))?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_damaged_file_is_reported_and_can_be_uploaded_again() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let id = put(&store, "one").await?;
    let blob = store.blob(Digest::of(b"one"));
    fs::write(&blob, "two")?;
    let error = store.unpack(&id).expect_err("the file has other content");
    assert!(matches!(&error, Error::Damaged { path, .. } if *path == blob), "{error}");
    assert!(matches!(store.unpack(&id), Err(Error::Missing { .. })));
    upload(&store, "one").await?;
    assert!(store.unpack(&id).is_ok());
    Ok(())
}

#[tokio::test]
async fn collects_generations_and_files_that_are_not_needed() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let mut ids = Vec::new();
    for text in ["one", "two", "three", "four"] {
        ids.push(activate(&store, text).await?);
        store.unpack(&ids[ids.len() - 1])?;
    }
    let waiting = put(&store, "five").await?;
    upload(&store, "nobody's").await?;
    assert_eq!(store.history()?, ids[1..], "three are kept: the active one and two before it");
    // All manifests were stored in the same second, and `collect` removes only a manifest that is older than the active
    // one. Therefore store this manifest with an old time.
    store.records.put(&Manifest { created_at: 1, ..store.manifest(&ids[0])? })?;
    assert_eq!(store.collect(Duration::from_secs(60))?, Collected { generations: 1, blobs: 0, bytes: 0 });
    assert_eq!(store.collect(Duration::ZERO)?, Collected { generations: 0, blobs: 2, bytes: 11 });
    assert_eq!(store.collect(Duration::ZERO)?, Collected::default());
    let kept: BTreeSet<Id> = store.manifests()?.into_iter().map(|manifest| manifest.id).collect();
    assert_eq!(kept, ids[1..].iter().cloned().chain([waiting]).collect());
    assert_eq!(names(&folder.path().join("apps"))?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_start_keeps_the_active_generation_and_removes_leftovers() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let (one, two) = (activate(&store, "one").await?, activate(&store, "two").await?);
    assert!(matches!(Store::open(&settings(folder.path())), Err(Error::Taken(_))));
    drop(store);
    for name in ["active.1.part", "blobs/half.7.part", "blobs/unknown", "generations/unknown.json", "apps/.x/y"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        fs::write(path, "half")?;
    }
    let store = Store::open(&settings(folder.path()))?;
    assert_eq!(store.active()?.as_ref(), Some(&two));
    let left = ["", "blobs", "generations", "apps"].map(|name| names(&folder.path().join(name)));
    let [root, blobs, generations, apps] = left;
    assert_eq!(root?, ["active", "apps", "blobs", "generations", "lock"]);
    assert_eq!((blobs?.len(), generations?.len(), apps?.len()), (3, 2, 0));
    // Roll back to the first generation. The second stays in the store and can be activated again.
    store.record(&store.after(store.history()?, &Step::Back)?)?;
    assert_eq!(store.active()?, Some(one));
    assert!(matches!(store.after(store.history()?, &Step::Back), Err(Error::NothingBefore)));
    store.collect(Duration::ZERO)?;
    assert!(store.unpack(&two).is_ok());
    Ok(())
}

#[tokio::test]
async fn collects_nothing_if_the_active_manifest_is_damaged() -> Result {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&settings(folder.path()))?;
    let id = activate(&store, "one").await?;
    fs::write(folder.path().join(format!("generations/{id}.json")), "{")?;
    assert!(matches!(store.collect(Duration::ZERO), Err(Error::Damaged { .. })));
    assert_eq!(names(&folder.path().join("blobs"))?.len(), 2);
    Ok(())
}
