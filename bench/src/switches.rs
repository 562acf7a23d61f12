//! Measures the cost of each switch of the configuration for `hello`.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use tokio::process::Command;

use crate::{
    contestants::{self, Places},
    error::Result,
    measure::{Found, Series},
    process::{self, Process},
    rounds::Course,
    work,
    wrk::Expected,
};

/// A switch of the configuration.
#[derive(Debug, Clone, Copy)]
struct Switch {
    name: &'static str,
    /// Keys of `[server]`.
    server: &'static str,
    /// Further sections.
    sections: &'static str,
    /// Form of the access log.
    access_log: &'static str,
    /// Whether the listener has a certificate.
    tls: bool,
}

/// The host as it comes.
const NONE: Switch = Switch { name: OFF, server: "", sections: "", access_log: "short", tls: false };

const SWITCHES: [Switch; 15] = [
    NONE,
    Switch { name: "etag", server: "etag = true", ..NONE },
    Switch { name: "compression", server: "compress = [\"br\", \"gzip\"]", ..NONE },
    Switch {
        name: "headers",
        sections: "[[headers]]\nset = { x-frame-options = \"DENY\", cache-control = \"no-store\" }",
        ..NONE
    },
    Switch { name: "cors", sections: "[[cors]]\norigins = [\"https://app.example.org\"]", ..NONE },
    Switch {
        name: "rate limit",
        sections: "[[rate_limit]]\nname = \"all\"\npath = \"/\"\nrequests = 1000000\nper = \"1s\"",
        ..NONE
    },
    Switch { name: "connections_per_address", server: "connections_per_address = 1000", ..NONE },
    Switch { name: "requests_per_address", server: "requests_per_address = 1000", ..NONE },
    Switch { name: "trusted_proxies", server: "trusted_proxies = [\"127.0.0.1\"]", ..NONE },
    Switch { name: "metrics", server: "metrics = \"127.0.0.1:0\"", ..NONE },
    Switch { name: "public_health", server: "public_health = true", ..NONE },
    Switch { name: "access log off", access_log: "off", ..NONE },
    Switch { name: "access log full", access_log: "full", ..NONE },
    Switch { name: "access log combined", access_log: "combined", ..NONE },
    Switch { name: "TLS", tls: true, ..NONE },
];
/// Name of the row without switches, for comparison.
pub(crate) const OFF: &str = "none";

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    10.0 + (SWITCHES.len() * (1 + course.rounds * course.seconds as usize)) as f64
}

/// Returns the name of the row of a switch.
pub(crate) fn named(switch: &str) -> String {
    format!("hello, switch: {switch}")
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let hello = work::all().into_iter().find(|work| work.name == "hello").ok_or("there is no hello")?;
    let mut hosts = Vec::new();
    for switch in SWITCHES {
        let series = Series { work: named(switch.name), server: "carya".to_owned(), rounds: vec![] };
        hosts.push((serve(course.places, switch).await?, series));
    }
    let expected = Expected::Body(b"hello".to_vec());
    let series = course.alternate(&hello, &expected, hosts, async |_| Ok(())).await?;
    Ok(Found { series, ..Found::default() })
}

async fn serve(places: &Places, switch: Switch) -> Result<Process> {
    let hello = contestants::component("hello", &places.guest("hello")?, false);
    let certificate = if switch.tls { certificate(places).await? } else { String::new() };
    let text = format!(
        "{}{certificate}\n{hello}[[route]]\npath = \"/hello\"\ncomponent = \"hello\"\n{}\n",
        switch.server, switch.sections
    );
    let name = format!("switch-{}", switch.name.replace(' ', "-"));
    let mut process = contestants::start(places, &name, &text, &[("CARYA_ACCESS_LOG", switch.access_log)]).await?;
    if switch.tls {
        process.scheme = "https";
    }
    Ok(process)
}

/// Creates a certificate, and returns its keys of `[server]`.
async fn certificate(places: &Places) -> Result<String> {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| places.scratch.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost"]).arg("-keyout").arg(&key).arg("-out").arg(&cert);
    process::run(&mut openssl).await?;
    std::fs::set_permissions(&key, Permissions::from_mode(0o600))?;
    Ok(format!("tls_cert = {cert:?}\ntls_key = {key:?}\n"))
}
