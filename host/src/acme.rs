//! Obtains the certificate of the listener from a certificate authority by ACME (RFC 8555), and renews it. The authority
//! connects to the listener to check that this host serves the names (TLS-ALPN-01, RFC 8737).

mod due;
mod proof;

use std::{convert::Infallible, fs, io, path::PathBuf, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rustls::RootCertStore;
use tokio::time::{error::Elapsed, sleep, timeout};

use self::proof::proof;
use crate::{
    config, content,
    private::{self, NotPrivate},
    telemetry::millis,
    tls::{self, CaError, Certificates, Proofs, causes},
    watch,
};

/// Interval at which the age of the certificate is compared with the clock, which may be set.
const CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// Pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause after a failure. Authorities limit the failures of an account in an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Maximum time for an authority to check the names, and again to issue the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
/// Maximum time for all of it. A connection to the authority has no limit of its own.
const LIMIT: Duration = Duration::from_secs(600);

/// Reason why no certificate was obtained.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The authority cannot be reached, or has refused a request.
    #[error(transparent)]
    Authority(#[from] instant_acme::Error),
    /// The authority has checked a name without success.
    #[error("the authority did not accept {name}: {reason}; it must reach `server.listen` at {name}, port 443")]
    NotProved { name: String, reason: String },
    #[error("a proof for the authority cannot be made")]
    Proof(#[from] proof::Error),
    #[error("the authority did not respond in time")]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The account of the host at an authority, and the certificates that it replaces.
pub(crate) struct Acme {
    settings: config::Acme,
    certificates: Arc<Certificates>,
}

impl Acme {
    /// Checks the folder of the account.
    ///
    /// # Errors
    ///
    /// Returns an error if other users can change the folder.
    pub(crate) fn new(settings: config::Acme, certificates: Arc<Certificates>) -> Result<Self, NotPrivate> {
        private::folder(&settings.folder)?;
        Ok(Self { settings, certificates })
    }

    /// Obtains the certificate when it is missing or due, for as long as the process runs.
    pub(crate) async fn run(&self) -> Infallible {
        let (domains, mut pause) = (self.settings.domains.join(", "), FIRST_PAUSE);
        loop {
            let due = due::after(&self.settings);
            if !due.is_zero() {
                sleep(due.min(CHECK_INTERVAL)).await;
                continue;
            }
            tracing::info!(domains, directory = self.settings.directory, "obtaining a certificate");
            let result = timeout(LIMIT, self.obtain()).await;
            self.certificates.prove(Proofs::new());
            match result.map_err(Error::from).flatten() {
                Ok(()) => {
                    watch::reload_certificates(self.certificates.clone()).await;
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    let error = causes(&error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
                    let next_attempt_ms = millis(pause);
                    tracing::error!(domains, error, next_attempt_ms, "no certificate was obtained");
                    sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Obtains a certificate and writes it to its file.
    async fn obtain(&self) -> Result<(), Error> {
        let account = self.account().await?;
        let names: Vec<_> = self.settings.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        self.prove(&mut order).await?;
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            Ok(status) => return Err(refusal(&mut order, format!("the order is {status:?}")).await?),
            Err(instant_acme::Error::Api(problem)) => return Err(refusal(&mut order, problem.to_string()).await?),
            Err(error) => return Err(error.into()),
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        let path = self.settings.certificate();
        content::write_secret(&path, format!("{key}{chain}").as_bytes()).map_err(|source| Error::File { path, source })
    }

    /// Presents a proof for each name that the authority has not checked yet, and lets the authority check them.
    async fn prove(&self, order: &mut Order) -> Result<(), Error> {
        let (mut proofs, mut authorizations) = (Proofs::new(), order.authorizations());
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(Error::NotProved {
                    name,
                    reason: "it does not offer the challenge tls-alpn-01".to_owned(),
                });
            };
            proofs.insert(name.clone(), proof(name, challenge.key_authorization().digest().as_ref())?);
            self.certificates.prove(proofs.clone());
            challenge.set_ready().await?;
        }
        Ok(())
    }

    /// Returns the account in the folder, or else makes one.
    async fn account(&self) -> Result<Account, Error> {
        let path = self.settings.account();
        let failed = |source| Error::File { path: path.clone(), source };
        match fs::read(&path) {
            Ok(account) if due::is_at(&account, &self.settings.directory) => {
                let account = serde_json::from_slice(&account).map_err(|error| failed(error.into()))?;
                return Ok(self.client()?.from_credentials(account).await?);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let contact: Vec<_> = self.settings.contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, secret) = self.client()?.create(&new, self.settings.directory.clone(), None).await?;
        let secret = serde_json::to_vec(&secret).map_err(|error| failed(error.into()))?;
        content::write_secret(&path, &secret).map_err(failed)?;
        Ok(account)
    }

    fn client(&self) -> Result<AccountBuilder, Error> {
        let roots = match &self.settings.ca {
            Some(path) => tls::read_authorities(path)?,
            None => RootCertStore::empty(),
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls::client(roots, "ACME")).https_only();
        let client = Client::builder(TokioExecutor::new()).build(connector.enable_all_versions().build());
        Ok(Account::builder_with_http(Box::new(client)))
    }
}

/// Returns the first name that an authority has not accepted, with the reason. `otherwise` is the reason if the authority
/// names none.
async fn refusal(order: &mut Order, otherwise: String) -> Result<Error, Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        let state = authorization.refresh().await?;
        if let Some(reason) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Ok(Error::NotProved { name, reason: reason.to_string() });
        }
    }
    Ok(Error::NotProved { name: "the names".to_owned(), reason: otherwise })
}
