//! Time, size and number of outbound requests, and what becomes of them at the end of a call.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{plain, serve};
use crate::support::{Result, Wrong, check, check_eq, eventually, upstream::Upstream};

#[tokio::test]
async fn requests_end_within_their_limits() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "", "http_timeout = \"400ms\"\nhttp_max_response = 1000\ntimeout = \"20s\"").await?;
    let mut wrong = Wrong::default();
    for (path, more, expected) in [
        ("/large/1000", "", format!("200 {}", "x".repeat(200))),
        ("/large/1001", "", "200  broken: HTTP response body size exceeds limit: 1000 bytes".to_owned()),
        ("/slow/5000", "", "ErrorCode::HttpResponseTimeout".to_owned()),
        ("/slow/5000", "first=50", "ErrorCode::ConnectionReadTimeout".to_owned()),
        ("/trickle/5000", "", "200 x broken: HTTP response timeout".to_owned()),
        ("/trickle/5000", "between=50", "200 x broken: connection read timeout".to_owned()),
        ("/status/302", "", "302 ".to_owned()),
        ("/status/599", "", "599 ".to_owned()),
    ] {
        let begun = Instant::now();
        check_eq!(wrong, plain(&app, &format!("GET {} {more}", upstream.url(path))).await?, expected, "{path}");
        check!(wrong, begun.elapsed() < Duration::from_secs(4), "{path} {more}: {:?}", begun.elapsed());
    }
    check!(wrong, !upstream.lines().contains(&"GET /elsewhere".to_owned()), "no redirect is followed");
    Ok(())
}

#[tokio::test]
async fn a_component_has_only_so_many_requests_in_flight() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "max_in_flight = 2", "").await?;
    let step = format!("GET {}", upstream.url("/slow/1000"));
    let said = join_all((0..5).map(|_| plain(&app, &step))).await.into_iter().collect::<Result<Vec<_>>>()?;
    let count = |text: &str| said.iter().filter(|other| *other == text).count();
    assert_eq!((count("200 late"), count("ErrorCode::ConnectionLimitReached")), (2, 3), "{said:?}");
    assert_eq!(plain(&app, &step).await?, "200 late", "the places are free again");
    Ok(())
}

#[tokio::test]
async fn time_in_a_request_counts_towards_the_timeout_of_the_component() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "", "timeout = \"300ms\"").await?;
    let step = format!("GET {}", upstream.url("/slow/20000"));
    let answer = app.request("GET", "/plain").query(&[("it.plain", step)]).send().await?;
    assert_eq!(answer.status(), 504);
    Ok(())
}

/// A request that the guest does not wait for is aborted with the instance, also one that serves further requests.
#[tokio::test]
async fn a_request_is_aborted_if_its_guest_does_not_wait() -> Result {
    for own in ["", "reuse.max_requests = 100"] {
        let upstream = Upstream::start().await?;
        let app = serve(&upstream, "max_in_flight = 1", &format!("http_timeout = \"10m\"\n{own}")).await?;
        assert_eq!(plain(&app, &format!("GET {} leave", upstream.url("/slow/600000"))).await?, "left");
        let step = format!("GET {}", upstream.url("/ok"));
        eventually("the place of the aborted request is free", async || Ok(plain(&app, &step).await? == "200 GET"))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn failures_have_codes_that_guests_can_tell_apart() -> Result {
    let upstream = Upstream::start().await?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let rude_address = rude.local_addr()?;
    tokio::spawn(async move { while rude.accept().await.is_ok() {} });
    let list = format!(
        "[\"{}\", \"http://{closed}\", \"http://{rude_address}\", \"http://no-such-name.invalid\", \"https://{}\"]",
        upstream.url(""),
        upstream.address
    );
    let config = super::config(&format!("allow = {list}\nallow_private = true"), &format!("http = {list}"));
    // No proxy of the environment is used.
    let env = [("HTTP_PROXY", "http://127.0.0.1:1"), ("http_proxy", "http://127.0.0.1:1")];
    let app = crate::support::App::start_in(tempfile::tempdir()?, &config, &[], &env).await?;
    let mut wrong = Wrong::default();
    for (url, expected) in [
        (upstream.url("/ok"), "200 GET"),
        (format!("http://{closed}/"), "ErrorCode::ConnectionRefused"),
        (format!("http://{rude_address}/"), "ErrorCode::HttpResponseIncomplete"),
        ("http://no-such-name.invalid/".to_owned(), "ErrorCode::DnsError("),
        (format!("https://{}/", upstream.address), "ErrorCode::TlsProtocolError"),
    ] {
        for body in ["", " body=300000"] {
            let said = plain(&app, &format!("GET {url}{body}")).await?;
            check!(wrong, said.starts_with(expected), "{url}{body}: {said}");
        }
    }
    Ok(())
}
