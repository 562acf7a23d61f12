//! OCI registry for a test: Debian's `docker-registry` on a free port and a temporary folder. If the program is
//! missing, the tests report this once on standard error and skip; with `CI` in the environment they panic.

use std::{io::Write, process::Stdio, sync::Once};

use oci_client::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer},
    manifest::OciImageManifest,
    secrets::RegistryAuth,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Log, Result};

/// User `ann` with the password `hickory`, as `htpasswd -B` writes it.
const ANN: &str = "ann:$2b$04$4JdrgAOQ6KZEMiUSATwQgu8zAYDrj50ykpikKUYm3MwJ8tVrVgG32\n";

/// A running registry. Dropping the value ends the process.
pub struct Registry {
    /// Address of the registry, as `127.0.0.1:PORT`.
    pub host: String,
    auth: RegistryAuth,
    /// PEM certificate of the authority that signed the registry's certificate. `None` without TLS.
    ca: Option<String>,
    more: &'static str,
    folder: TempDir,
    process: Child,
}

impl Registry {
    /// Starts a registry that accepts anonymous clients.
    pub async fn start() -> Result<Option<Self>> {
        Self::start_with("", RegistryAuth::Anonymous, None).await
    }

    /// Starts a registry that only accepts the user `ann` with the password `hickory`.
    pub async fn start_for_ann() -> Result<Option<Self>> {
        let auth = RegistryAuth::Basic("ann".to_owned(), "hickory".to_owned());
        Self::start_with("auth: { htpasswd: { realm: carya, path: users } }", auth, None).await
    }

    /// Starts a registry with TLS. Also returns the PEM certificate of the authority that signed its certificate.
    pub async fn start_with_tls() -> Result<Option<(Self, String)>> {
        let mut of_ca = CertificateParams::new([])?;
        of_ca.distinguished_name.push(DnType::CommonName, "the authority of the tests");
        of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(of_ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &ca)?;
        let tls = (own.pem(), key.serialize_pem(), ca.pem());
        let started = Self::start_with("", RegistryAuth::Anonymous, Some(tls)).await?;
        Ok(started.map(|registry| (registry, ca.pem())))
    }

    /// Starts a registry. `tls` holds its certificate, its key, and the certificate of its authority.
    async fn start_with(
        more: &'static str,
        auth: RegistryAuth,
        tls: Option<(String, String, String)>,
    ) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("users"), ANN)?;
        let ca = match tls {
            Some((cert, key, ca)) => {
                std::fs::write(folder.path().join("cert.pem"), cert)?;
                std::fs::write(folder.path().join("key.pem"), key)?;
                Some(ca)
            }
            None => None,
        };
        let started = run(&folder, "127.0.0.1:0", more, ca.is_some()).await?;
        Ok(started.map(|(host, process)| Self { host, auth, ca, more, folder, process }))
    }

    /// Stops the registry. Its data stays.
    pub async fn stop(&mut self) -> Result {
        Ok(self.process.kill().await?)
    }

    /// Starts the stopped registry again, at the same address and with the same data.
    pub async fn start_again(&mut self) -> Result {
        let started = run(&self.folder, &self.host, self.more, self.ca.is_some()).await?;
        (_, self.process) = started.ok_or("it is gone")?;
        Ok(())
    }

    /// Pushes a layer under a tag, and returns the digest of its manifest.
    pub async fn push(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Result<String> {
        // The clients use the process-wide `rustls` provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if self.ca.is_some() { ClientProtocol::Https } else { ClientProtocol::Http };
        let certificate =
            |ca: &String| Certificate { encoding: CertificateEncoding::Pem, data: ca.clone().into_bytes() };
        let extra_root_certificates = self.ca.iter().map(certificate).collect();
        let client = Client::try_from(ClientConfig { protocol, extra_root_certificates, ..ClientConfig::default() })?;
        let image = Reference::with_tag(self.host.clone(), repository.to_owned(), tag.to_owned());
        let layers = [ImageLayer::new(bytes.to_vec(), media_type.to_owned(), None)];
        let config = Config::new(b"{}".to_vec(), "application/vnd.wasm.config.v0+json".to_owned(), None);
        let manifest = OciImageManifest::build(&layers, &config, None);
        client.push(&image, &layers, config, &self.auth, Some(manifest)).await?;
        Ok(client.fetch_manifest_digest(&image, &self.auth).await?)
    }
}

/// Runs a registry on a folder. Returns its address and process, or `None` if `docker-registry` is not installed.
async fn run(folder: &TempDir, address: &str, more: &str, has_tls: bool) -> Result<Option<(String, Child)>> {
    let tls = if has_tls { ", tls: { certificate: cert.pem, key: key.pem }" } else { "" };
    let config = format!(
        "version: 0.1\nlog: {{ formatter: json }}\nstorage: {{ filesystem: {{ rootdirectory: data }} }}\n\
         http: {{ addr: '{address}'{tls} }}\n{more}\n"
    );
    std::fs::write(folder.path().join("config.yml"), config)?;
    let mut command = Command::new("docker-registry");
    command.args(["serve", "config.yml"]).current_dir(folder.path()).kill_on_drop(true);
    let mut process = match command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(process) => process,
        Err(error) => {
            report_skipped(&error);
            return Ok(None);
        }
    };
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    let address = |line: &serde_json::Value| {
        let address = line["msg"].as_str()?.strip_prefix("listening on ")?;
        Some(address.trim_end_matches(", tls").to_owned())
    };
    let line = log.wait_until("listening on", |line| address(line).is_some()).await?;
    Ok(Some((address(&line).ok_or("no address")?, process)))
}

/// Reports the skipped tests once. Writes to standard error directly, because the test runner captures the output of
/// tests that pass.
fn report_skipped(error: &std::io::Error) {
    static ONCE: Once = Once::new();
    assert!(std::env::var_os("CI").is_none(), "no docker-registry for the tests ({error}): run `make servers`");
    ONCE.call_once(|| {
        let text = format!(
            "\n*** SKIPPED all tests on registries: docker-registry: {error}. Install it with `make servers` ***\n\n"
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}
