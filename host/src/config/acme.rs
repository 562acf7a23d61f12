//! `[server.acme]`: the certificate that the host obtains by itself.

use std::{net::IpAddr, path::PathBuf};

use http::{Uri, uri::Scheme};

use super::{
    section::{Section, TableKey},
    types::Type,
    value::{boolean, path, read_text, string_like},
};

/// `[server.acme]`
#[derive(Debug, Clone, PartialEq)]
pub struct Acme {
    /// Names of the certificate.
    pub domains: Vec<String>,
    /// Address to which the authority may write, such as `mailto:ops@example.org`.
    pub contact: Option<String>,
    /// Folder of the account's key and of the certificate.
    pub folder: PathBuf,
    /// URL of the authority's directory.
    pub directory: String,
    /// PEM file with an authority that is trusted for connections to `directory`, besides those of the system.
    pub ca: Option<PathBuf>,
}

pub(super) const ACME: TableKey =
    TableKey { name: "acme", doc: "a certificate that the host obtains and renews; see [TLS](../guides/tls.md#acme)" };

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const MAILTO: &str = "mailto:";

impl Acme {
    /// Returns the path of the certificate with its key.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Returns the path of the account.
    pub fn account(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

pub(super) fn acme(section: &mut Section<'_>) -> Acme {
    let folder = section.context().folder;
    let acme = Acme {
        domains: section
            .key("domains", Type::list(domain()), "names of the certificate")
            .required()
            .unwrap_or_default(),
        folder: section
            .key(
                "folder",
                path(folder),
                "folder for the account's key and the certificate; no other user may change it",
            )
            .required()
            .unwrap_or_default(),
        contact: section
            .key("contact", contact(), "address to which the authority may write, such as `\"mailto:ops@example.org\"`")
            .or_none("none"),
        directory: section.key("directory", directory(), "URL of the authority's directory").or(LETS_ENCRYPT),
        ca: section
            .key("ca", path(folder), "PEM file with an authority that is trusted for `directory`")
            .or_none("those of the system"),
    };
    let agrees =
        section.key("accept_terms", boolean(), "you agree to the terms of service of the authority").required();
    if agrees == Some(false) {
        section.report_at("accept_terms", "must be true: without an agreement, the authority issues no certificate");
    }
    if acme.domains.is_empty() && section.is_set("domains") {
        section.report_at("domains", "is empty");
    }
    acme
}

fn domain() -> Type<'static, String> {
    Type::new("domain name", string_like("^[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$"), |value| {
        let text = read_text(value)?.to_ascii_lowercase();
        if text.starts_with("*.") {
            return Err(
                "has a wildcard, which requires a challenge by DNS; use certbot for it, and `tls_cert`".to_owned()
            );
        }
        let is_label = |label: &str| {
            let is_in_form = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..64).contains(&label.len())
                && label.bytes().all(is_in_form)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_domain = text.contains('.') && text.split('.').all(is_label) && text.parse::<IpAddr>().is_err();
        if is_domain { Ok(text) } else { Err(r#"is no domain name; write it as "shop.example.org""#.to_owned()) }
    })
}

fn contact() -> Type<'static, String> {
    Type::new("mailto: URL", string_like("^mailto:.+@.+$"), |value| {
        let text = read_text(value)?;
        let is_address = text.strip_prefix(MAILTO).is_some_and(|address| {
            address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        });
        if is_address { Ok(text) } else { Err(r#"is no address; write it as "mailto:ops@example.org""#.to_owned()) }
    })
}

fn directory() -> Type<'static, String> {
    Type::new("https URL", string_like("^https://.+$"), |value| {
        let text = read_text(value)?;
        let is_https = text.parse::<Uri>().is_ok_and(|url| url.scheme() == Some(&Scheme::HTTPS));
        if is_https { Ok(text) } else { Err("is no https URL".to_owned()) }
    })
}
