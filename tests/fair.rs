//! Requests of one component, route or client do not delay the requests of other components.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::support::{App, Response, Result, Wrong, check, check_eq, eventually};

/// Two components that misbehave on request, and a folder. The routes of the first need no database.
const CONFIG: &str = r#"
    [component.one]
    path = "{guest:faulty}"
    timeout = "20s"
    [component.two]
    path = "{guest:faulty}"
    [[route]]
    path = "/one/{what}"
    component = "one"
    transaction = "none"
    [[route]]
    path = "/two/{what}"
    component = "two"
    transaction = "none"
    [[route]]
    path = "/data/{what}"
    component = "two"
    [[static]]
    path = "/files"
    folder = "files"
"#;

async fn start(extra: &str) -> Result<App> {
    App::start(&format!("{CONFIG}{extra}"), &[("files/a.txt", "a")]).await
}

/// Sends a request that takes `ms` milliseconds.
async fn sleep(app: &App, path: &str, ms: u64) -> Result<Response> {
    app.get(&format!("{path}/sleep?ms={ms}")).await
}

/// Waits for the record of a request that was refused for a reason.
async fn refused(app: &App, reason: &str) -> Result {
    app.log.wait_until(reason, |line| line["detail"] == reason).await?;
    Ok(())
}

/// Waits until requests take `count` places.
async fn running(app: &App, count: usize) -> Result {
    eventually("the requests run", async || Ok(app.metric("carya_places_taken").await? >= count)).await
}

#[tokio::test]
async fn requests_without_a_guest_need_no_place() -> Result {
    let app = start("[server]\nmax_concurrent_requests = 1\nmetrics = \"127.0.0.1:0\"\n").await?;
    let mut wrong = Wrong::default();
    let others = async {
        running(&app, 1).await?;
        for (method, path, status) in [
            ("GET", "/nowhere", 404),
            ("BREW", "/one/count", 405),
            ("OPTIONS", "/one/count", 204),
            ("GET", "/files/a.txt", 200),
        ] {
            let begun = Instant::now();
            check_eq!(wrong, app.call(method, path).await?.status, status, "{method} {path}");
            check!(wrong, begun.elapsed() < Duration::from_millis(900), "{method} {path}: {:?}", begun.elapsed());
        }
        Result::Ok(())
    };
    let (slow, ()) = tokio::try_join!(sleep(&app, "/one", 3000), others)?;
    assert_eq!(slow.status, 200);
    Ok(())
}

/// The first requests run, the next one waits, and further ones are refused at once.
#[tokio::test]
async fn requests_wait_for_a_second_and_not_too_many() -> Result {
    let extra = "[server]\nmax_concurrent_requests = 1\nmax_waiting = 2\n";
    let app = start(extra).await?;
    let slow = sleep(&app, "/one", 3000);
    let others = async {
        app.log.wait_for("serving").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        // One for each component, since a component may use half of the waiting room.
        let waits = async |path: &str| {
            let begun = Instant::now();
            Result::Ok((sleep(&app, path, 1).await?, begun.elapsed()))
        };
        let refused = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            waits("/two").await
        };
        tokio::try_join!(waits("/one"), waits("/two"), refused)
    };
    let (slow, (first, second, third)) = tokio::try_join!(slow, others)?;
    assert_eq!(slow.status, 200);
    for (answer, waited) in [&first, &second] {
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        assert!((900..2900).contains(&waited.as_millis()), "{waited:?}");
    }
    let (answer, waited) = third;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(waited < Duration::from_millis(700), "{waited:?}");
    refused(&app, "too many requests wait for a place: half of server.max_waiting, for one component").await?;
    Ok(())
}

/// Sleeping requests of a component take its places only.
#[tokio::test]
async fn a_component_takes_at_most_its_places() -> Result {
    let cases = [
        ("half of all places", "[server]\nmax_concurrent_requests = 8\nmetrics = \"127.0.0.1:0\"\n"),
        (
            "a limit of the host",
            "[server]\nmax_concurrent_requests = 8\nmax_concurrent_per_component = 3\nmetrics = \"127.0.0.1:0\"\n",
        ),
    ];
    for (what, extra) in cases {
        let app = start(extra).await?;
        let begun = Instant::now();
        let all = try_join_all((0..12).map(|_| sleep(&app, "/one", 4000)));
        let neighbour = async {
            running(&app, 3).await?;
            let begun = Instant::now();
            for _ in 0..20 {
                assert_eq!(app.get("/two/count").await?.status, 200, "{what}");
            }
            Result::Ok(begun.elapsed())
        };
        let (all, took) = tokio::try_join!(all, neighbour)?;
        assert!(took < Duration::from_secs(3), "{what}: {took:?} after {:?}", begun.elapsed());
        let served = all.iter().filter(|answer| answer.status == 200).count();
        let limit = if extra.contains("per_component") { 3 } else { 4 };
        assert_eq!(served, limit, "{what}");
        refused(&app, "timed out waiting for a place out of max_concurrent of the component `one`").await?;
    }
    Ok(())
}

/// The limits of a component and of a route.
#[tokio::test]
async fn components_and_routes_have_limits_of_their_own() -> Result {
    let config = CONFIG.replace("timeout = \"20s\"", "max_concurrent = 2").replacen(
        "transaction = \"none\"",
        "transaction = \"none\"\n    max_concurrent = 1",
        1,
    );
    let route = "[[route]]\npath = \"/other/{what}\"\ncomponent = \"one\"\ntransaction = \"none\"\n";
    let app = App::start(&format!("{config}{route}"), &[("files/a.txt", "a")]).await?;
    let send = async |path: &'static str| join_all((0..3).map(|_| sleep(&app, path, 3000))).await;
    let (own, other) = tokio::join!(send("/one"), send("/other"));
    let served = |answers: Vec<Result<Response>>| -> Result<usize> {
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(answers.iter().filter(|answer| answer.status == 200).count())
    };
    let (own, other) = (served(own)?, served(other)?);
    assert_eq!(own + other, 2, "{own} {other}");
    assert!(own <= 1, "{own}");
    Ok(())
}

/// A spinning component runs on threads with a low priority, and its neighbour answers meanwhile.
#[tokio::test]
async fn long_calls_move_to_threads_with_a_lower_priority() -> Result {
    let app = start("[server]\nmetrics = \"127.0.0.1:0\"\n").await?;
    let spinning = join_all((0..6).map(|_| app.get("/one/spin")));
    let neighbour = async {
        running(&app, 6).await?;
        let nice = eventually("calls run on other threads", async || {
            let busy = heavy_threads(&app)?.into_iter().filter(|(nice, ticks)| *nice == 10 && *ticks > 20).count();
            Ok(busy > 0)
        });
        nice.await?;
        for _ in 0..20 {
            assert_eq!(app.get("/two/count").await?.status, 200);
        }
        app.signal("KILL").await
    };
    let (_, answered) = tokio::join!(spinning, neighbour);
    answered
}

/// Returns the nice value of each thread for long calls, and its processor time in ticks of 10 ms.
fn heavy_threads(app: &App) -> Result<Vec<(i64, u64)>> {
    let mut threads = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", app.pid()))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (name, fields) = stat.rsplit_once(") ").ok_or("no name")?;
        if name.contains("carya-heavy") {
            // utime, stime and nice are the fields 14, 15 and 19 of proc(5). `fields` begins with field 3.
            let fields: Vec<&str> = fields.split(' ').collect();
            threads.push((fields[16].parse()?, fields[11].parse::<u64>()? + fields[12].parse::<u64>()?));
        }
    }
    Ok(threads)
}

/// While the database does not answer, a quarter of the places serves routes without a database.
#[tokio::test]
async fn a_stalled_database_leaves_places_for_other_routes() -> Result {
    let app =
        start("[server]\nmax_concurrent_requests = 4\nmax_concurrent_per_component = 4\nmetrics = \"127.0.0.1:0\"\n")
            .await?;
    let waiting = join_all((0..8).map(|_| sleep(&app, "/data", 3000)));
    let neighbour = async {
        running(&app, 3).await?;
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(app.get("/one/count").await?.status, 200);
        }
        Result::Ok(begun.elapsed())
    };
    let (answers, took) = tokio::join!(waiting, neighbour);
    assert!(took? < Duration::from_secs(2));
    let served = answers.into_iter().collect::<Result<Vec<_>>>()?.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(served, 3);
    Ok(())
}

/// Two guests may not allocate more than the limit together.
#[tokio::test]
async fn guests_share_a_limit_of_memory() -> Result {
    let app = start("[server]\nmax_guest_memory = \"20MiB\"\n").await?;
    let answer = app.get("/two/memory").await?;
    assert_eq!(answer.status, 500);
    let line = app.log.wait_for("server.max_guest_memory").await?;
    assert!(line["message"].as_str().is_some_and(|text| text.contains("20971520 allowed for all guests")), "{line}");
    // The memory is free again.
    assert_eq!(app.get("/two/count").await?.status, 200);
    Ok(())
}

/// Bodies that arrive slowly may not fill the memory of the host.
#[tokio::test]
async fn bodies_that_are_received_share_a_limit() -> Result {
    let app = start("[server]\nmax_receiving = \"100KiB\"\nmetrics = \"127.0.0.1:0\"\n").await?;
    let mut slow = TcpStream::connect(app.address()).await?;
    slow.write_all(b"POST /one/count HTTP/1.1\r\nhost: a\r\ncontent-length: 90001\r\n\r\n").await?;
    slow.write_all(&[b'x'; 90_000]).await?;
    eventually("a body is refused", async || {
        let answer = app.post("/one/count", vec![b'x'; 20_000]).await?;
        Ok((answer.status, answer.header("retry-after")) == (503, "1"))
    })
    .await?;
    assert!(app.metric("carya_limits_exceeded_total{limit=\"max_receiving\"}").await? >= 1);
    drop(slow);
    eventually("a body is received", async || Ok(app.post("/one/count", vec![b'x'; 20_000]).await?.status == 200)).await
}

#[tokio::test]
async fn limits_above_those_of_the_host_are_refused() -> Result {
    let folder = tempfile::tempdir()?;
    let text = "[server]\nmax_concurrent_per_component = 5\n[component.a]\npath = \"a.wasm\"\nmax_concurrent = 6\n\
                [[route]]\npath = \"/\"\ncomponent = \"a\"\nmax_concurrent = 7\n";
    std::fs::write(folder.path().join("carya.toml"), text)?;
    let checked = super::support::carya().arg("check").current_dir(folder.path()).output().await?;
    let text = String::from_utf8_lossy(&checked.stderr);
    let mut wrong = Wrong::default();
    for key in ["carya.toml:5: component.a.max_concurrent: 6", "carya.toml:9: route[0].max_concurrent: 7"] {
        check!(wrong, text.contains(key), "{key}: {text}");
    }
    check!(wrong, text.contains("6 is more than 5, the value of server.max_concurrent_per_component"), "{text}");
    Ok(())
}
