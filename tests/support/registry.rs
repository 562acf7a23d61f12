//! A registry of one's own: Debian's `docker-registry` on a port of its choice, on a temporary folder. Where it is
//! missing it is said once, loudly, and there is none; with `CI` in the environment that is a panic.

use std::{io::Write, process::Stdio, sync::Once};

use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    manifest::OciImageManifest,
    secrets::RegistryAuth,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Log, Result};

/// The password `hickory`, as `htpasswd -B` writes it for the user `ann`.
const ANN: &str = "ann:$2b$04$4JdrgAOQ6KZEMiUSATwQgu8zAYDrj50ykpikKUYm3MwJ8tVrVgG32\n";

/// A running registry. It ends when this is dropped.
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub host: String,
    auth: RegistryAuth,
    _folder: TempDir,
    _process: Child,
}

impl Registry {
    /// One that everybody may use.
    pub async fn start() -> Result<Option<Self>> {
        Self::start_with("", RegistryAuth::Anonymous).await
    }

    /// One that only `ann` may use, with the password `hickory`.
    pub async fn start_for_ann() -> Result<Option<Self>> {
        let auth = RegistryAuth::Basic("ann".to_owned(), "hickory".to_owned());
        Self::start_with("auth: { htpasswd: { realm: carya, path: users } }", auth).await
    }

    async fn start_with(more: &str, auth: RegistryAuth) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let config = format!(
            "version: 0.1\nlog: {{ formatter: json }}\nstorage: {{ filesystem: {{ rootdirectory: data }} }}\n\
             http: {{ addr: '127.0.0.1:0' }}\n{more}\n"
        );
        std::fs::write(folder.path().join("config.yml"), config)?;
        std::fs::write(folder.path().join("users"), ANN)?;
        let mut command = Command::new("docker-registry");
        command.args(["serve", "config.yml"]).current_dir(folder.path()).kill_on_drop(true);
        let mut process = match command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
            Ok(process) => process,
            Err(error) => {
                tell(&error);
                return Ok(None);
            }
        };
        let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
        let address = |line: &serde_json::Value| Some(line["msg"].as_str()?.strip_prefix("listening on ")?.to_owned());
        let line = log.wait_until("listening on", |line| address(line).is_some()).await?;
        let host = address(&line).ok_or("no address")?;
        Ok(Some(Self { host, auth, _folder: folder, _process: process }))
    }

    /// Pushes a layer under a tag, and returns the digest of its manifest.
    pub async fn push(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Result<String> {
        let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
        let client = Client::try_from(config)?;
        let image = Reference::with_tag(self.host.clone(), repository.to_owned(), tag.to_owned());
        let layers = [ImageLayer::new(bytes.to_vec(), media_type.to_owned(), None)];
        let config = Config::new(b"{}".to_vec(), "application/vnd.wasm.config.v0+json".to_owned(), None);
        let manifest = OciImageManifest::build(&layers, &config, None);
        client.push(&image, &layers, config, &self.auth, Some(manifest)).await?;
        Ok(client.fetch_manifest_digest(&image, &self.auth).await?)
    }
}

/// Says what is skipped, past the test runner, which keeps the output of tests that pass.
fn tell(error: &std::io::Error) {
    static ONCE: Once = Once::new();
    assert!(std::env::var_os("CI").is_none(), "no docker-registry for the tests ({error}): run `make servers`");
    ONCE.call_once(|| {
        let text = format!(
            "\n*** SKIPPED all tests on registries: docker-registry: {error}. Install it with `make servers` ***\n\n"
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}
