//! The identity of the client, which a hook determines.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Maximum length of subject and claims in total, in bytes.
const MAX_LENGTH: usize = 64 << 10;

/// Identity of the client of a request.
#[derive(Debug)]
pub(crate) struct ClientIdentity {
    /// Name of the client, such as the number of a user.
    pub(crate) subject: String,
    /// Claims about the client, a JSON object.
    pub(crate) claims: String,
    /// JSON text of each claim.
    by_name: BTreeMap<String, Box<RawValue>>,
}

impl ClientIdentity {
    /// Creates an identity.
    ///
    /// # Errors
    ///
    /// Returns a message if `claims` is not a JSON object, or if subject and claims are too long.
    pub(crate) fn new(subject: String, claims: String) -> Result<Self, String> {
        let length = subject.len() + claims.len();
        if length > MAX_LENGTH {
            return Err(format!("the identity has {length} bytes; at most {MAX_LENGTH} bytes are allowed"));
        }
        let by_name =
            serde_json::from_str(&claims).map_err(|error| format!("the claims are not a JSON object: {error}"))?;
        Ok(Self { subject, claims, by_name })
    }

    /// Returns the JSON text of a claim.
    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(|claim| claim.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_keep_their_text() -> Result<(), String> {
        let identity = ClientIdentity::new("7".to_owned(), r#"{"n": 1.50, "roles": ["a", "b"]}"#.to_owned())?;
        assert_eq!(identity.claim("n"), Some("1.50"));
        assert_eq!(identity.claim("roles"), Some(r#"["a", "b"]"#));
        assert_eq!(identity.claim("other"), None);
        Ok(())
    }

    #[test]
    fn claims_must_be_a_short_object() {
        for claims in ["", "[]", "7", "{\"a\"}", "{} {}", "null"] {
            assert!(ClientIdentity::new(String::new(), claims.to_owned()).is_err(), "{claims}");
        }
        for (length, good) in [(MAX_LENGTH - 2, true), (MAX_LENGTH - 1, false)] {
            assert_eq!(ClientIdentity::new("s".repeat(length), "{}".to_owned()).is_ok(), good, "{length}");
        }
    }
}
