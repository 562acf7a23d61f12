//! Several hosts that share deployments through a database: each host serves the generation that was activated on any
//! of them.

mod apart;
mod faults;
mod load;

use std::{
    fs,
    time::{Duration, Instant},
};

use carya::deploy::Manifest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Host, TOKEN, deploy, files, manifest, run, write};
use crate::{
    harden::{self, Urls},
    script,
    support::{
        App, Engine, Result, Wrong, check,
        client::Client,
        eventually, on_each_server,
        proxy::{Fate, Proxy},
        servers,
    },
};

/// Poll interval for hosts that must not detect a change by polling.
const LONGEST: &str = "10m";
const SHORT: &str = "200ms";

/// A database, and the settings that its hosts share.
struct Fleet {
    url: String,
    poll: &'static str,
}

impl Fleet {
    /// Creates a fresh database. PostgreSQL notifies its hosts, so they poll at [`LONGEST`]; hosts of other servers
    /// poll at [`SHORT`].
    async fn new(engine: Engine) -> Result<Self> {
        let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
        let url = cluster.primary_url(&cluster.create_database().await?);
        Ok(Self { url, poll: if engine == Engine::Postgres { LONGEST } else { SHORT } })
    }

    /// Returns the `carya.toml` of a host.
    fn own(&self, name: &str) -> String {
        let poll = self.poll;
        format!(
            "[deploy]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\nshared = true\nhost = \"{name}\"\npoll = \"{poll}\"\n"
        )
    }

    async fn start(&self, name: &str) -> Result<Host> {
        self.start_in(tempfile::tempdir()?, name, "", &[]).await
    }

    /// Starts a host in a folder, with additions to its configuration and its environment.
    async fn start_in(&self, folder: TempDir, name: &str, more: &str, env: &[(&str, &str)]) -> Result<Host> {
        let env = [&[("CARYA_DATABASE__URL", self.url.as_str())], env].concat();
        let app = App::start_in(folder, &format!("{}{more}", self.own(name)), &[], &env).await?;
        let line = app.log.wait_for("deployment").await?;
        let admin = line["address"].as_str().ok_or("no address")?.to_owned();
        Ok(Host { app, admin, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// Starts three hosts, and activates a first generation on them.
    async fn three(&self) -> Result<([Host; 3], Manifest)> {
        let hosts = [self.start("one").await?, self.start("two").await?, self.start("three").await?];
        let first = bring(&hosts[0], "first").await?;
        for host in &hosts {
            until_served(host, &first).await?;
        }
        Ok((hosts, first))
    }

    fn client(&self) -> Result<Client> {
        Client::new(&self.url)
    }

    fn database(&self) -> &str {
        self.url.rsplit('/').next().and_then(|path| path.split('?').next()).unwrap_or_default()
    }

    /// Returns the name of one of the host's tables, for a second client.
    fn table(&self, name: &str) -> String {
        match Engine::of(&self.url) {
            Engine::MariaDb => format!("{}_carya.carya_{name}", self.database()),
            _ => format!("carya.carya_{name}"),
        }
    }
}

/// Activates an application with a page on a host. Returns its manifest.
async fn bring(host: &Host, page: &str) -> Result<Manifest> {
    let one = host.put(&files(page)?).await?;
    let answer = host.activate(&one).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(one)
}

/// Returns the id of the generation that answers a request.
async fn served(host: &Host) -> Result<String> {
    Ok(host.app.get("/x").await?.header("x-carya-generation").to_owned())
}

/// Waits until a host serves a generation. Returns how long that took.
async fn until_served(host: &Host, wanted: &Manifest) -> Result<Duration> {
    let begun = Instant::now();
    eventually(&format!("{} is served", wanted.id), async || Ok(served(host).await? == wanted.id.to_string())).await?;
    Ok(begun.elapsed())
}

/// Returns the entry of host `name` in the list of `host`.
async fn entry_of(host: &Host, name: &str) -> Result<Value> {
    let list = host.list().await?;
    let found = list["fleet"]["hosts"].as_array().into_iter().flatten().find(|one| one["name"] == name);
    found.cloned().ok_or_else(|| format!("no {name}: {list}").into())
}

on_each_server! {
    a_deployment_to_one_host_is_served_by_all,
    a_host_that_was_away_comes_back_to_the_last_generation,
    one_of_two_simultaneous_activations_gets_a_conflict,
    shared_files_are_collected,
    guests_cannot_reach_the_tables_of_the_fleet,
}

async fn a_deployment_to_one_host_is_served_by_all(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let metrics = [("CARYA_SERVER__METRICS", "127.0.0.1:0")];
    let [one, two] = [fleet.start("one").await?, fleet.start("two").await?];
    let three = fleet.start_in(tempfile::tempdir()?, "three", "", &metrics).await?;
    let folder = tempfile::tempdir()?;
    let mut manifests = Vec::new();
    for (page, host) in [("first", &one), ("second", &two)] {
        write(folder.path(), &files(page)?)?;
        let ran = deploy(folder.path(), host, &[]).await?;
        assert!(ran.success && ran.answer.contains("serving"), "{} {}", ran.answer, ran.messages);
        let wanted = manifest(&files(page)?);
        for host in [&one, &two, &three] {
            let took = until_served(host, &wanted).await?;
            println!("{engine}: {page} is served {took:?} after the answer");
            // A host records a generation as active before it serves it, so `Host::served` finds the same generation in
            // both places.
            assert_eq!(host.served().await?, (wanted.id.to_string(), page.to_owned()));
        }
        manifests.push(wanted);
    }
    assert_eq!(three.app.metric(&format!("carya_generation_info{{generation=\"{}\"}}", manifests[1].id)).await?, 1);

    let ran = run(&["rollback", "--to", &three.url()], &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    assert!(ran.answer.starts_with(&format!("serving {}", manifests[0].id)), "{} {}", ran.answer, ran.messages);
    for host in [&one, &two, &three] {
        let took = until_served(host, &manifests[0]).await?;
        println!("{engine}: rolled back {took:?} after the answer");
        assert_eq!(host.served().await?.1, "first");
    }

    // A host that joins later starts with the active generation, and cannot roll back beyond the first one either.
    let late = fleet.start("late").await?;
    assert_eq!(late.served().await?, (manifests[0].id.to_string(), "first".to_owned()));
    let answer = late.call("POST", "/rollback", "").await?;
    assert!(answer.status == 409 && answer.text().contains("no generation before"), "{}", answer.text());
    for name in ["one", "two", "three", "late"] {
        eventually("a host tells what it serves", async || {
            Ok(entry_of(&one, name).await?["generation"] == json!(manifests[0].id))
        })
        .await?;
    }
    let ran = run(&["generations", "--to", &late.url()], &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    let hosts = ran.answer.lines().filter(|line| line.contains(", seen ")).collect::<Vec<_>>();
    assert!(hosts.len() == 4 && hosts[0].starts_with(&format!("late  {}", manifests[0].id)), "{}", ran.answer);
    assert!(hosts[0].ends_with("this host"), "{}", ran.answer);
    Ok(())
}

async fn a_host_that_was_away_comes_back_to_the_last_generation(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, three], _) = fleet.three().await?;
    let folder = three.app.kill().await?;
    bring(&one, "second").await?;
    let last = bring(&two, "third").await?;
    let three = fleet.start_in(folder, "three", "", &[]).await?;
    assert_eq!(three.served().await?, (last.id.to_string(), "third".to_owned()));
    until_served(&one, &last).await?;
    Ok(())
}

async fn one_of_two_simultaneous_activations_gets_a_conflict(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, three], _) = fleet.three().await?;
    let proxy = Proxy::to(&fleet.url).await?;
    let slow = fleet.start_in(tempfile::tempdir()?, "slow", "", &[("CARYA_DATABASE__URL", proxy.url())]).await?;
    let (a, b) = (one.put(&files("a")?).await?, slow.put(&files("b")?).await?);
    // `slow` has tried its generation out, and is about to record the activation.
    proxy.trap("carya_activations (number", Fate::Held);
    let (overtaken, ()) = tokio::try_join!(slow.activate(&b), async {
        proxy.sprung(1).await?;
        assert_eq!(one.activate(&a).await?.status, 200);
        proxy.release();
        Ok(())
    })?;
    assert_eq!(overtaken.status, 409, "{}", overtaken.text());
    let told = format!("another host, one, activated {} meanwhile", a.id);
    assert!(overtaken.text().contains(&told), "{}", overtaken.text());
    for host in [&one, &two, &three, &slow] {
        until_served(host, &a).await?;
        assert_eq!(host.served().await?, (a.id.to_string(), "a".to_owned()));
    }
    let activations = format!("SELECT count(*) FROM {}", fleet.table("activations"));
    assert_eq!(fleet.client()?.number(&activations).await?, 2, "of what was refused nothing is there");
    // Only the order of the activations was wrong: the same activation now succeeds.
    assert_eq!(slow.activate(&b).await?.status, 200);
    until_served(&two, &b).await?;
    Ok(())
}

async fn shared_files_are_collected(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let keep = async |name| fleet.start_in(tempfile::tempdir()?, name, "keep = 1\n", &[]).await;
    let (one, two) = (keep("one").await?, keep("two").await?);
    let first = bring(&one, "first").await?;
    eventually("it is told", async || Ok(entry_of(&one, "two").await?["generation"] == json!(first.id))).await?;
    let folder = two.app.kill().await?;
    let mut last = first.clone();
    for page in ["second", "third", "fourth"] {
        last = bring(&one, page).await?;
    }
    let ids = format!("SELECT id FROM {} ORDER BY put_at, id", fleet.table("generations"));
    assert_eq!(fleet.client()?.texts(&ids).await?.len(), 4, "what is young stays");
    let files = format!("SELECT digest FROM {}", fleet.table("files"));
    assert_eq!(fleet.client()?.texts(&files).await?.len(), 3 + 4);
    assert_eq!(one.call("POST", "/collect", "").await?.status, 200);
    let left = fleet.client()?.texts(&ids).await?;
    assert!(left.len() == 3 && left.contains(&first.id.to_string()), "a host was seen to serve the first: {left:?}");
    assert_eq!(fleet.client()?.texts(&files).await?.len(), 3 + 3);
    let parts = format!("SELECT count(DISTINCT name) FROM {}", fleet.table("parts"));
    assert_eq!(fleet.client()?.number(&parts).await?, 3 + 3 + 3, "parts go with what they are of");
    let two = fleet.start_in(folder, "two", "keep = 1\n", &[]).await?;
    assert_eq!(two.served().await?.1, "fourth");
    assert_eq!(one.call("POST", "/collect", "").await?.status, 200);
    let left = fleet.client()?.texts(&ids).await?;
    assert!(left.len() == 2 && left.contains(&last.id.to_string()), "{left:?}");
    // A host that never had a generation can roll back to it: the database still has its files.
    let three = keep("three").await?;
    assert_eq!(three.call("POST", "/rollback", "").await?.status, 200);
    assert_eq!(three.served().await?.1, "third");
    Ok(())
}

async fn guests_cannot_reach_the_tables_of_the_fleet(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let urls = Urls::new(fleet.url.clone(), fleet.database())?;
    let folder = tempfile::tempdir()?;
    urls.configure(folder.path())?;
    harden::apply(folder.path()).await?;
    let env = [
        ("CARYA_DATABASE__URL", urls.writer.as_str()),
        ("CARYA_DATABASE__READER_URL", urls.reader.as_str()),
        ("CARYA_DATABASE__ADMIN_URL", urls.admin.as_str()),
    ];
    let one = fleet.start_in(tempfile::tempdir()?, "one", "", &env).await?;
    let two = fleet.start_in(tempfile::tempdir()?, "two", "", &env).await?;
    let first = bring(&one, "first").await?;
    until_served(&two, &first).await?;
    let mut wrong = Wrong::default();
    for name in ["parts", "files", "generations", "activations", "hosts"] {
        let (table, client) = (fleet.table(name), Client::new(&urls.writer)?);
        check!(wrong, fleet.client()?.number(&format!("SELECT count(*) FROM {table}")).await? > 0, "{name:?}");
        // The gate refuses the table, and without the gate the guests' login has no rights on it.
        let found = script::attempt(&one.app, "GET", json!({ "sql": format!("SELECT * FROM {table}") })).await?;
        check!(wrong, found.to_string().contains("belongs to the host"), "{name}: {found}");
        for sql in [format!("SELECT * FROM {table}"), format!("DELETE FROM {table}")] {
            let Err(error) = client.execute(&sql).await else { return Err(format!("{sql} was done").into()) };
            check!(wrong, error.to_string().contains("denied"), "{sql}: {error}");
        }
    }
    let missing = harden::apply(folder.path()).await?;
    assert!(missing.iter().all(|finding| finding.contains(": _sqlx_migrations: ")), "{missing:#?}");
    Ok(())
}

#[tokio::test]
async fn a_fleet_needs_a_server() -> Result {
    let folder = tempfile::tempdir()?;
    let mut wrong = Wrong::default();
    for (own, why) in [
        (
            "[database]\nurl = \"sqlite:a.sqlite\"\n[deploy]\nshared = true\nhost = \"a\"\n",
            "requires a default database on a server",
        ),
        ("[deploy]\nshared = true\nhost = \"a\"\n", "requires a default database on a server"),
        (
            "[database]\nurl = \"postgres://a:b@c/d\"\n[server]\nlisten = \"127.0.0.1:0\"\n[deploy]\nshared = true\n",
            "deploy.host",
        ),
        ("[deploy]\npoll = \"11m\"\n", "is longer than"),
        ("[deploy]\nhost = \"\"\n", "deploy.host: \"\" is empty"),
    ] {
        fs::write(folder.path().join("carya.toml"), own)?;
        let ran = run(&["check", "--config", &folder.path().join("carya.toml").display().to_string()], &[]).await?;
        check!(wrong, !ran.success && ran.messages.contains(why), "{why}: {}", ran.messages);
    }
    Ok(())
}
