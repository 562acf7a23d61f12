//! Names of the contract's interfaces, such as `carya:host/before@0.1.0`, and the check of their versions.

/// Package of the contract in `wit/`.
pub const PACKAGE: &str = "carya:host";
/// Version of the contract in `wit/`.
pub const VERSION: &str = "0.1.0";

/// Returns the full name of an interface of the contract.
pub(super) fn full_name(interface: &str) -> String {
    format!("{PACKAGE}/{interface}@{VERSION}")
}

/// Splits a full name into interface and version. Returns `None` for interfaces of other packages.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    Some((interface.strip_prefix(PACKAGE)?.strip_prefix('/')?, version))
}

/// Returns whether wasmtime links this version of an interface with the host's: `0.1.7` with `0.1.0`, but not `0.2.0`.
pub(super) fn is_compatible(version: &str) -> bool {
    let track = |version: &str| version.rsplit_once('.').map(|(track, _)| track.to_owned());
    track(version) == track(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_names_and_compares_versions() {
        assert_eq!(split("carya:host/before@0.1.0"), Some(("before", "0.1.0")));
        assert_eq!(split("carya:host/before"), Some(("before", "")));
        assert_eq!(split("carya:hosts/before@0.1.0"), None);
        assert_eq!(split("wasi:cli/run@0.2.0"), None);
        for (version, expected) in [("0.1.0", true), ("0.1.7", true), ("0.2.0", false), ("1.1.0", false), ("", false)] {
            assert_eq!(is_compatible(version), expected, "{version}");
        }
    }
}
