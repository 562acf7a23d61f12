//! References to components in OCI registries. `oci.rs` pulls the components.

use std::{fmt, str::FromStr};

/// Prefix of a reference.
pub(super) const SCHEME: &str = "oci://";

/// Reference to a component: `oci://HOST/REPOSITORY:TAG`, or `oci://HOST/REPOSITORY@sha256:DIGEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The registry, with its port if it has one.
    pub host: String,
    /// The name in the registry.
    pub repository: String,
    /// The tag or digest.
    pub version: ImageVersion,
}

/// Version of an image in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageVersion {
    /// A tag, which the registry may move to another image.
    Tag(String),
    /// A digest, as `sha256:` and 64 lower-case hexadecimal digits.
    Digest(String),
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.repository)?;
        match &self.version {
            ImageVersion::Tag(tag) => write!(f, ":{tag}"),
            ImageVersion::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || r#"is not a reference; write it as "oci://HOST/REPOSITORY:TAG" or "...@sha256:DIGEST""#.to_owned();
        let (host, rest) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let (repository, version) = match rest.split_once('@') {
            Some((repository, digest)) => (repository, ImageVersion::Digest(digest.to_owned())),
            None => {
                let (repository, tag) = rest.split_once(':').ok_or_else(wrong)?;
                (repository, ImageVersion::Tag(tag.to_owned()))
            }
        };
        let is_word = |text: &str, more: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || more.contains(c) && c != '.' && c != '-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let is_repository = repository.split('/').all(|part| is_word(part, "._-") && part == part.to_lowercase());
        let is_version = match &version {
            ImageVersion::Tag(tag) => is_word(tag, "._-") && tag.len() <= 128,
            ImageVersion::Digest(digest) => digest.strip_prefix("sha256:").is_some_and(|digits| {
                digits.len() == 64 && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            }),
        };
        if !is_word(host, ".-:[]") || !is_repository || !is_version {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = "sha256:".to_owned() + &"0a".repeat(32);
        for (text, right) in [
            ("oci://registry.example/shop/items:1.2.0", true),
            ("oci://127.0.0.1:5000/items:latest", true),
            ("oci://[::1]:5000/items:latest", true),
            (&format!("oci://registry.example/shop/items@{digest}"), true),
            ("oci://registry.example/shop/items", false),
            ("oci://items:1", false),
            ("oci:///items:1", false),
            ("oci://registry.example/Shop/items:1", false),
            ("oci://registry.example//items:1", false),
            ("oci://registry.example/../items:1", false),
            ("oci://registry.example/items:", false),
            ("oci://registry.example/items:1 2", false),
            ("oci://user@registry.example/items:1", false),
            ("oci://registry.example/items@sha256:0a", false),
            ("oci://registry.example/items@sha512:0a", false),
            (&format!("oci://registry.example/items:1@{digest}"), false),
            ("https://registry.example/items:1", false),
        ] {
            let image: Result<Image, _> = text.parse();
            assert_eq!(image.map(|image| image.to_string()).ok(), right.then(|| text.to_owned()), "{text}");
        }
    }
}
