//! The cache of pulled components: the host removes files that no host has used for a week.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{TYPE, config, pulled, serve};
use crate::support::{Result, Wrong, check, check_eq, module, registry::Registry};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn age(path: &Path, days: u32) -> Result {
    Ok(fs::File::options().append(true).open(path)?.set_modified(SystemTime::now() - DAY * days)?)
}

#[tokio::test]
async fn images_unused_for_a_week_are_removed() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let config = config(&format!("oci://{}/echo:1", registry.host));
    let app = serve(tempfile::tempdir()?, &config).await?;
    let (folder, _) = app.stop().await?;
    let oci = folder.path().join("cache/oci");
    let used: Vec<_> = fs::read_dir(&oci)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    assert_eq!(used.len(), 2, "a manifest and a component: {used:?}");
    let others = [("old.wasm", 8), ("old.json", 8), ("sha256-1.77.draft", 8), ("young.wasm", 6), ("young.json", 6)];
    for (name, days) in others {
        fs::write(oci.join(name), name)?;
        age(&oci.join(name), days)?;
    }
    used.iter().try_for_each(|path| age(path, 30))?;

    let app = serve(folder, &config).await?;
    let removed = || {
        app.log
            .lines()
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|it| it.contains("removed from")))
            .count()
    };
    app.log.wait_until("three are removed", |_| removed() == 3).await?;
    let mut wrong = Wrong::default();
    for (name, days) in others {
        check_eq!(wrong, oci.join(name).exists(), days < 7, "{name}");
    }
    for path in &used {
        let age = fs::metadata(path)?.modified()?.elapsed()?;
        check!(wrong, age < DAY, "{} is in use: {age:?}", path.display());
    }
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("one /x".to_owned(), 0));
    Ok(())
}
