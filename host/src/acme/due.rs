//! When the next certificate is due.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::Acme;

/// Returns the time until a new certificate is to be obtained: zero if there is none for these names from this authority.
pub(super) fn after(settings: &Acme) -> Duration {
    let is_same_authority = fs::read(settings.account()).is_ok_and(|account| is_at(&account, &settings.directory));
    let certificate = CertificateDer::from_pem_file(settings.certificate()).ok();
    let due = certificate.filter(|_| is_same_authority).and_then(|found| due_at(&found, &settings.domains));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    due.unwrap_or_default().saturating_sub(now)
}

/// Returns whether an account in a file is one at this authority.
pub(super) fn is_at(account: &[u8], directory: &str) -> bool {
    serde_json::from_slice(account).is_ok_and(|account: serde_json::Value| account["directory"] == directory)
}

/// Returns the time since 1970 at which two thirds of a certificate's time are over, as authorities recommend. `None` if
/// it is not for all of these names.
fn due_at(certificate: &[u8], domains: &[String]) -> Option<Duration> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let has = |domain: &String| {
        names.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(domain)))
    };
    let validity = certificate.validity();
    let [begin, end] = [validity.not_before, validity.not_after].map(|time| time.timestamp());
    let due = u64::try_from(begin + (end - begin) / 3 * 2).ok()?;
    domains.iter().all(has).then_some(Duration::from_secs(due))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_due_after_two_thirds_of_its_time() -> Result<(), rcgen::Error> {
        let mut params = CertificateParams::new(["a.test".to_owned(), "b.test".to_owned()])?;
        // Three days.
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 1, 4));
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        let third_of_january = Duration::from_secs(1_767_398_400);
        let table = [
            (&["a.test"][..], Some(third_of_january)),
            (&["b.test", "a.test"], Some(third_of_january)),
            (&["A.Test"], Some(third_of_january)),
            (&["a.test", "c.test"], None),
        ];
        for (domains, expected) in table {
            let domains: Vec<_> = domains.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(due_at(certificate.der(), &domains), expected, "{domains:?}");
        }
        assert_eq!(due_at(b"nonsense", &[]), None);
        Ok(())
    }
}
