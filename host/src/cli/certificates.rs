//! Reads the certificates of the listeners, and replaces them when their files change.

use std::{path::PathBuf, sync::Arc};

use anyhow::anyhow;

use crate::{
    acme,
    config::{Acme, Config, Deploy, Tls},
    task,
    tls::{self, CertificateError, Certificates},
    watch,
};

/// Certificates of the listeners that have TLS.
#[derive(Clone, Default)]
pub(super) struct AllCertificates {
    /// Those of `server.listen`.
    pub(super) server: Option<Arc<Certificates>>,
    /// That of `deploy.listen`.
    pub(super) deploy: Option<Arc<Certificates>>,
}

impl AllCertificates {
    /// Reads the files that a configuration names. `deploy` has the settings of the listener for deployments.
    pub(super) fn read(config: &Config, deploy: Option<&Deploy>) -> anyhow::Result<Self> {
        let deploy = deploy.iter().filter_map(|deploy| deploy.tls.as_ref());
        let acme = config.server.acme.as_ref();
        if let Some(path) = acme.and_then(|acme| acme.ca.as_ref()) {
            tls::read_authorities(path)
                .map_err(|error| anyhow!("{}", config.place("server.acme.ca").problem(error.to_string())))?;
        }
        Ok(Self {
            server: read(config, "server", config.server.tls.iter(), acme.map(Acme::certificate))?,
            deploy: read(config, "deploy", deploy, None)?,
        })
    }

    /// Returns the account by which the host obtains a certificate, if it does.
    pub(super) fn acme(&self, config: &Config) -> anyhow::Result<Option<acme::Acme>> {
        let settings = config.server.acme.clone().zip(self.server.clone());
        let account = settings.map(|(settings, certificates)| acme::Acme::new(settings, certificates)).transpose();
        account.map_err(|error| anyhow!("{}", config.place("server.acme.folder").problem(error.to_string())))
    }

    /// Starts the tasks that watch the files.
    pub(super) fn watch(&self) {
        for certificates in self.all() {
            let watching = move || watch::watch_certificates(certificates.clone());
            tokio::spawn(async move {
                let Err(error) = task::persist("certificates", watching).await;
                tracing::error!(%error, "the certificates cannot be watched any more; send SIGHUP to replace them");
            });
        }
    }

    /// Reads all files again.
    pub(super) async fn reload(&self) {
        for certificates in self.all() {
            watch::reload_certificates(certificates).await;
        }
    }

    fn all(&self) -> impl Iterator<Item = Arc<Certificates>> {
        self.server.iter().chain(&self.deploy).cloned()
    }
}

/// Reads the certificates of a section, and the one that the host has obtained into the file `obtained`. Returns `None` if
/// the section has neither.
fn read<'a>(
    config: &Config,
    section: &str,
    all: impl Iterator<Item = &'a Tls> + Clone,
    obtained: Option<PathBuf>,
) -> anyhow::Result<Option<Arc<Certificates>>> {
    if all.clone().next().is_none() && obtained.is_none() {
        return Ok(None);
    }
    let files = all.clone().map(|Tls { cert, key }| (&**cert, &**key));
    match Certificates::read(files, obtained.as_deref()) {
        Ok(certificates) => Ok(Some(certificates)),
        Err(error) => {
            let key = key_of(section, all, &error);
            Err(anyhow!("{}", config.place(&key).problem(error.to_string())))
        }
    }
}

/// Returns the key of the file that causes an error.
fn key_of<'a>(section: &str, all: impl Iterator<Item = &'a Tls>, error: &CertificateError) -> String {
    let (CertificateError::Unreadable { path, .. }
    | CertificateError::Empty(path)
    | CertificateError::Unusable { cert: path, .. }) = error;
    let found = all.enumerate().find(|(_, tls)| [&tls.cert, &tls.key].contains(&path));
    let part = |tls: &Tls| if tls.cert == *path { "cert" } else { "key" };
    match found {
        Some((index @ 1.., tls)) => format!("{section}.certificate[{}].{}", index - 1, part(tls)),
        Some((_, tls)) => format!("{section}.tls_{}", part(tls)),
        None => format!("{section}.acme.folder"),
    }
}
