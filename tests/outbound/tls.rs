//! Requests by TLS: the authority of the configuration, the name that the certificate is for, and HTTP/2.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{config, plain};
use crate::support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, write};

/// Starts a server for `localhost` that answers every request with its `Host` header. Returns its port and the PEM
/// certificate of its authority.
async fn serve() -> Result<(u16, String)> {
    let mut of_ca = CertificateParams::new([])?;
    of_ca.distinguished_name.push(DnType::CommonName, "the authority of the tests");
    of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(of_ca, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &ca)?;
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let settings = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)?;
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await?, TlsAcceptor::from(Arc::new(settings)));
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                let Ok(length) = stream.read(&mut buffer).await else { return };
                let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
                let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
                let body = format!("{name} {host}");
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    Ok((port, ca.pem()))
}

#[tokio::test]
async fn only_the_authorities_of_the_system_and_of_the_configuration_are_trusted() -> Result {
    let (port, ca) = serve().await?;
    let list = format!("[\"https://localhost:{port}\", \"https://127.0.0.1:{port}\"]");
    let mut wrong = Wrong::default();
    for (with_ca, host, expected) in [
        (true, "localhost", format!("200 localhost localhost:{port}")),
        (true, "127.0.0.1", "ErrorCode::TlsCertificateError".to_owned()),
        (false, "localhost", "ErrorCode::TlsCertificateError".to_owned()),
    ] {
        let host_keys =
            format!("allow = {list}\nallow_private = true\n{}", if with_ca { "ca = \"ca.pem\"" } else { "" });
        let app = App::start(&config(&host_keys, &format!("http = {list}")), &[("ca.pem", &ca)]).await?;
        check_eq!(wrong, plain(&app, &format!("GET https://{host}:{port}/")).await?, expected, "{with_ca} {host}");
    }
    Ok(())
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_a_problem() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("text.pem"), "text")?;
    let mut wrong = Wrong::default();
    for (file, words) in [("text.pem", "it contains none"), ("none.pem", "No such file")] {
        write(folder.path(), &config(&format!("ca = \"{file}\""), ""), &[])?;
        let running = carya().arg("check").current_dir(folder.path()).output();
        let told = String::from_utf8(tokio::time::timeout(PATIENCE, running).await??.stderr)?;
        let expected = format!("{file} is no PEM file with a certificate: {words}");
        check!(wrong, told.contains("carya.toml:3: outbound.ca: ") && told.contains(&expected), "{file}: {told}");
    }
    Ok(())
}
