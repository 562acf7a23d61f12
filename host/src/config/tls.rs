//! Certificates of listeners.

use std::path::PathBuf;

use super::{
    section::{Section, TableKey},
    value::path,
};

/// Certificate and key of a TLS listener, as PEM files.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// The certificate chain, the listener's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[[server.certificate]]`
const CERTIFICATE: TableKey =
    TableKey { name: "certificate", doc: "further certificates, for clients that request their names" };

/// Reads the certificates of the application's listener. The first one is the default.
pub(super) fn certificates(section: &mut Section<'_>) -> Vec<Tls> {
    let folder = section.context().folder;
    let cert = section
        .key(
            "tls_cert",
            path(folder),
            "PEM file with the certificate of `listen` and its chain; see [TLS](../guides/tls.md)",
        )
        .required_with("tls_key");
    let key = section.key("tls_key", path(folder), "PEM file with the private key").required_with("tls_cert");
    let further = section.each(CERTIFICATE, |section| Tls {
        cert: section
            .key("cert", path(folder), "PEM file with the certificate and its chain")
            .required()
            .unwrap_or_default(),
        key: section.key("key", path(folder), "PEM file with the private key").required().unwrap_or_default(),
    });
    let has_default = section.is_set("tls_cert") || section.is_set("tls_key");
    if !further.is_empty() && !section.context().describes && !has_default {
        section.report("tls_cert", "is missing; `certificate` requires it for clients that request no name");
    }
    cert.zip(key).map(|(cert, key)| Tls { cert, key }).into_iter().chain(further).collect()
}
