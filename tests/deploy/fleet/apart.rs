//! Hosts of a fleet that cannot reach the database, or whose rules forbid the generation that the fleet serves.

use serde_json::Value;

use super::{Fleet, bring, entry_of, until_served};
use crate::{
    deploy::{TOKEN, files, run},
    support::{
        Engine, Result, eventually, on_each_server,
        proxy::{Fate, Proxy},
    },
};

on_each_server! {
    a_host_without_the_database_continues_and_converges,
    a_start_without_the_database_serves_the_last_generation,
    a_host_reports_that_its_rules_forbid_a_generation,
    a_reload_uses_the_new_url_of_the_database,
}

async fn a_host_without_the_database_continues_and_converges(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, _three], first) = fleet.three().await?;
    let proxy = Proxy::to(&fleet.url).await?;
    let far = fleet.start_in(tempfile::tempdir()?, "far", "", &[("CARYA_DATABASE__URL", proxy.url())]).await?;
    until_served(&far, &first).await?;
    proxy.set_silent(true);
    proxy.cut();
    bring(&one, "second").await?;
    let last = bring(&two, "third").await?;
    if engine == Engine::MariaDb {
        far.app.log.wait_for("the fleet cannot be followed").await?;
    }
    for _ in 0..10 {
        let answer = far.app.get("/x").await?;
        assert_eq!((answer.status, answer.header("x-carya-generation")), (200, first.id.to_string().as_str()));
        assert_eq!(far.app.get("/static/page.txt").await?.text(), "first");
    }
    let list = far.list().await?;
    assert!(list["fleet"]["hosts"].is_null() && list["fleet"]["error"].is_string(), "{list}");
    let answer = far.activate(&far.put(&files("nobody's")?).await?).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    proxy.set_silent(false);
    let took = until_served(&far, &last).await?;
    println!("{engine}: served {took:?} after the database was back");
    assert_eq!(far.served().await?.1, "third");
    Ok(())
}

async fn a_start_without_the_database_serves_the_last_generation(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, _three], first) = fleet.three().await?;
    let proxy = Proxy::to(&fleet.url).await?;
    // Only the host's own queries, which use `admin_url`, get no answer. The application needs its database to start.
    let far = [("CARYA_DATABASE__ADMIN_URL", proxy.url())];
    let folder = two.app.kill().await?;
    let second = bring(&one, "second").await?;
    proxy.trap("carya_parts", Fate::Held);
    let two = fleet.start_in(folder, "two", "", &far).await?;
    assert_eq!(two.served().await?, (first.id.to_string(), "first".to_owned()));
    two.app.log.wait_for("the fleet cannot be followed").await?;
    let other = Proxy::to(&fleet.url).await?;
    other.trap("carya_parts", Fate::Held);
    let other = [("CARYA_DATABASE__ADMIN_URL", other.url())];
    let fresh = fleet.start_in(tempfile::tempdir()?, "fresh", "", &other).await;
    let Err(error) = fresh else { return Err("it started".into()) };
    assert!(error.to_string().contains("has no generation of its own"), "{error}");
    until_served(&two, &second).await?;
    two.app.log.wait_for("the fleet can be followed again").await?;
    Ok(())
}

async fn a_host_reports_that_its_rules_forbid_a_generation(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, _three], first) = fleet.three().await?;
    let deny = "[reload]\ndeny = [\"route-new\"]\n";
    let strict = fleet.start_in(tempfile::tempdir()?, "strict", deny, &[]).await?;
    until_served(&strict, &first).await?;
    let mut more = files("second")?;
    let config = String::from_utf8(more["carya.toml"].clone())?;
    let route = "\n[[route]]\npath = \"/more/{what}\"\ncomponent = \"probe\"\n";
    more.insert("carya.toml".to_owned(), (config + route).into_bytes());
    let second = one.put(&more).await?;
    assert_eq!(one.activate(&second).await?.status, 200);
    until_served(&two, &second).await?;
    eventually("its error is told", async || Ok(entry_of(&one, "strict").await?["error"] != Value::Null)).await?;
    let row = entry_of(&one, "strict").await?;
    assert!(row["error"].as_str().is_some_and(|error| error.contains("route-new")), "{row}");
    assert_eq!(row["generation"], first.id.to_string());
    assert_eq!(strict.served().await?, (first.id.to_string(), "first".to_owned()));
    let ran = run(&["generations", "--to", &one.url()], &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    assert!(ran.answer.contains("  cannot follow: ") && ran.answer.contains("route-new"), "{}", ran.answer);
    assert!(strict.list().await?["fleet"]["error"].as_str().is_some_and(|error| error.contains("route-new")));
    // The host also refuses to activate the generation itself, before it notifies other hosts.
    let answer = strict.activate(&second).await?;
    assert!(answer.status == 422 && answer.text().contains("route-new"), "{}", answer.text());

    let third = bring(&two, "third").await?;
    until_served(&strict, &third).await?;
    eventually("its error is gone", async || Ok(entry_of(&one, "strict").await?["error"] == Value::Null)).await?;
    Ok(())
}

async fn a_reload_uses_the_new_url_of_the_database(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, _two, _three], first) = fleet.three().await?;
    let (old, new) = (Proxy::to(&fleet.url).await?, Proxy::to(&fleet.url).await?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("admin-url");
    std::fs::write(&file, old.url())?;
    let more = "[database]\nadmin_url = { file = \"admin-url\" }\n";
    let far = fleet.start_in(folder, "far", more, &[]).await?;
    until_served(&far, &first).await?;
    std::fs::write(&file, new.url())?;
    far.app.signal("HUP").await?;
    far.app.log.wait_for("a new generation is served").await?;
    old.set_silent(true);
    let second = bring(&one, "second").await?;
    until_served(&far, &second).await?;
    Ok(())
}
