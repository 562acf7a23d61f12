//! A registry that uses TLS.

use std::fs;

use super::{TYPE, check, config, serve};
use crate::support::{Result, Wrong, module, registry::Registry};

#[tokio::test]
async fn a_registry_is_trusted_by_the_configured_authority_alone() -> Result {
    let Some((registry, ca)) = Registry::start_with_tls().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let reference = format!("oci://{}/echo:1", registry.host);
    let section = format!("[registry.\"{}\"]\nca = \"ca.pem\"\n", registry.host);
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("ca.pem"), &ca)?;
    let app = serve(folder, &format!("{}{section}", config(&reference))).await?;
    assert_eq!(app.get("/x").await?.text(), "one /x");

    let place = tempfile::tempdir()?;
    let other = place.path().join("other.pem");
    fs::write(&other, rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?.cert.pem())?;
    let text = place.path().join("text.pem");
    fs::write(&text, "text")?;
    let mut wrong = Wrong::default();
    for (file, words) in [
        (
            &other,
            "invalid peer certificate: UnknownIssuer; if your own certificate authority has signed the certificate, set ca",
        ),
        (&text, "text.pem is no PEM file with a certificate: "),
        (&place.path().join("none.pem"), "none.pem is no PEM file with a certificate: No such file"),
    ] {
        let section = format!("[registry.\"{}\"]\nca = \"{}\"\n", registry.host, file.display());
        let (code, error) = check(&reference, &section).await?;
        check!(wrong, code == Some(1) && error.contains(&reference) && error.contains(words), "{words}: {error}");
    }
    Ok(())
}
