//! Faults in a fleet: damaged shared data, a lost `COMMIT`, and a host that is killed during an activation.

use std::{
    collections::BTreeMap,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use carya::deploy::Digest;

use super::{Fleet, LONGEST, bring, entry_of, served, until_served};
use crate::{
    cancellation::Dice,
    deploy::{files, manifest},
    support::{
        Engine, Result, Wrong, check, eventually, on_each_server,
        proxy::{Fate, Proxy},
    },
};

const KILLS: u32 = 20;

on_each_server! {
    damaged_files_are_not_served,
    a_killed_host_leaves_one_whole_generation,
    an_activation_with_a_lost_answer_is_queried,
    a_generation_that_cannot_be_set_up_is_not_recorded,
}

async fn damaged_files_are_not_served(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, three], first) = fleet.three().await?;
    let folder = three.app.kill().await?;
    let second = bring(&one, "second").await?;
    until_served(&two, &second).await?;
    let digest = Digest::of(b"second");
    let forge = format!("UPDATE {} SET bytes = 'forged' WHERE name = '{digest}'", fleet.table("parts"));
    fleet.client()?.execute(&forge).await?;

    let three = fleet.start_in(folder, "three", "", &[]).await?;
    assert_eq!(three.served().await?, (first.id.to_string(), "first".to_owned()));
    let row = entry_of(&one, "three").await?;
    assert!(row["error"].as_str().is_some_and(|error| error.contains(&format!("file {digest}"))), "{row}");
    let Err(error) = fleet.start("fresh").await else { return Err("it started".into()) };
    assert!(error.to_string().contains("is damaged; deploy the generation again"), "{error}");
    // An activation on a host that has all files repairs the shared data.
    assert_eq!(two.activate(&second).await?.status, 200);
    until_served(&three, &second).await?;
    assert_eq!(three.served().await?.1, "second");
    eventually("its error is gone", async || Ok(entry_of(&one, "three").await?["error"].is_null())).await?;
    // In the same way, a host repairs its own folder from the shared data.
    let folder = three.app.kill().await?;
    std::fs::write(folder.path().join(format!("deployed/blobs/{digest}")), "forged")?;
    std::fs::write(folder.path().join(format!("deployed/apps/{}/static/page.txt", second.id)), "forged")?;
    let three = fleet.start_in(folder, "three", "", &[]).await?;
    assert_eq!(three.served().await?, (second.id.to_string(), "second".to_owned()));
    Ok(())
}

async fn a_generation_that_cannot_be_set_up_is_not_recorded(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let ([one, two, three], first) = fleet.three().await?;
    let mut wrong = Wrong::default();
    for prefix in ["/zz/{*p}", "/a{b", "no-slash"] {
        let mut broken = files(prefix)?;
        let config = String::from_utf8(broken["carya.toml"].clone())?.replace("\"/static\"", &format!("\"{prefix}\""));
        broken.insert("carya.toml".to_owned(), config.into_bytes());
        let answer = one.activate(&one.put(&broken).await?).await?;
        check!(
            wrong,
            answer.status == 422 && answer.text().contains("static[0].path"),
            "{prefix:?}: {}",
            answer.text()
        );
    }
    for host in [&one, &two, &three] {
        assert_eq!(host.served().await?, (first.id.to_string(), "first".to_owned()));
    }
    // All hosts still follow the fleet.
    let second = bring(&two, "second").await?;
    for host in [&one, &two, &three] {
        until_served(host, &second).await?;
    }
    Ok(())
}

async fn an_activation_with_a_lost_answer_is_queried(engine: Engine) -> Result {
    // With a short poll interval, the proxy would trap a `COMMIT` of a poll instead of that of the activation.
    let fleet = Fleet { poll: LONGEST, ..Fleet::new(engine).await? };
    let proxy = Proxy::to(&fleet.url).await?;
    let far = [("CARYA_DATABASE__ADMIN_URL", proxy.url())];
    let one = fleet.start_in(tempfile::tempdir()?, "one", "", &far).await?;
    let first = bring(&one, "first").await?;
    let activations = format!("SELECT count(*) FROM {}", fleet.table("activations"));
    // The database already has all files, so the next `COMMIT` is that of the activation.
    quiet(&proxy).await;
    proxy.trap("COMMIT", Fate::Unanswered);
    let answer = one.activate(&first).await?;
    assert_eq!((answer.status, fleet.client()?.number(&activations).await?), (200, 2), "{}", answer.text());
    let mut done = 2;
    let refused = loop {
        quiet(&proxy).await;
        proxy.trap("COMMIT", Fate::Lost);
        let answer = one.activate(&first).await?;
        if answer.status != 200 {
            break answer;
        }
        // The database notifies the host of its own activation, and the host then sends further transactions. The proxy
        // has trapped the `COMMIT` of such a transaction, so try again.
        done += 1;
        assert!(done < 10, "its commit is never the one that is lost");
    };
    assert_eq!((refused.status, fleet.client()?.number(&activations).await?), (503, done), "{}", refused.text());
    let told = format!("did not report whether {} was activated", first.id);
    assert!(refused.text().contains(&told), "{}", refused.text());
    let answer = one.activate(&first).await?;
    assert_eq!((answer.status, fleet.client()?.number(&activations).await?), (200, done + 1), "{}", answer.text());
    Ok(())
}

/// Waits until no message has passed the proxy for 500 ms.
async fn quiet(proxy: &Proxy) {
    let mut before = usize::MAX;
    while std::mem::replace(&mut before, proxy.round_trips()) != before {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn a_killed_host_leaves_one_whole_generation(engine: Engine) -> Result {
    let seed = std::env::var("DEPLOY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("DEPLOY_SEED={seed}");
    let dice = Dice(AtomicU64::new(seed));
    let fleet = Fleet::new(engine).await?;
    let ([mut one, two, three], first) = fleet.three().await?;
    let mut pages = BTreeMap::from([(first.id.to_string(), "first".to_owned())]);
    let (mut span, mut old, mut news) = (Duration::ZERO, first.id.to_string(), 0);
    for round in 0..=KILLS {
        let page = format!("page {round}\n").repeat(200_000);
        let wanted = manifest(&files(&page)?);
        pages.insert(wanted.id.to_string(), page.clone());
        one.put(&files(&page)?).await?;
        let begun = Instant::now();
        let done = match round {
            // The first round measures the duration.
            0 => {
                assert_eq!(one.activate(&wanted).await?.status, 200);
                span = begun.elapsed();
                true
            }
            _ => {
                let moment = dice.below(u64::try_from(span.as_micros())? * 3 / 2);
                tokio::time::timeout(Duration::from_micros(moment), one.activate(&wanted)).await.is_ok()
            }
        };
        let folder = one.app.kill().await?;
        one = fleet.start_in(folder, "one", "", &[]).await?;
        // The host queried the database before it logged that it serves.
        let (found, text) = one.served().await?;
        assert_eq!(pages.get(&found), Some(&text), "round {round}: {found} is served with the page of another");
        assert!(found == wanted.id.to_string() || found == old && !done, "round {round}: {found}, done {done}");
        for host in [&two, &three] {
            eventually("all serve the same", async || Ok(served(host).await? == found)).await?;
            assert_eq!(host.served().await?, (found.clone(), text.clone()), "round {round}");
        }
        news += u32::from(found == wanted.id.to_string());
        old = found;
    }
    println!("{engine}: shared within {span:?}; of {KILLS} that were killed {} were active", news - 1);
    Ok(())
}
