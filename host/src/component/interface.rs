//! Names of the contract's interfaces, such as `carya:host/before@0.2.0`, and the check of their versions.

/// Package of the contract in `wit/`.
pub const PACKAGE: &str = "carya:host";
/// Version of the contract in `wit/`.
pub const VERSION: &str = "0.2.0";

/// Interface through which a guest requests a handle to the database, without its version.
pub const CURRENT: &str = "carya:host/current";

/// Returns the full name of an interface of the contract.
pub(super) fn full_name(interface: &str) -> String {
    format!("{PACKAGE}/{interface}@{VERSION}")
}

/// Splits a full name into interface and version. Returns `None` for interfaces of other packages.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    Some((interface.strip_prefix(PACKAGE)?.strip_prefix('/')?, version))
}

/// Returns whether wasmtime links this version of an interface with the host's: `0.2.7` with `0.2.0`, but not `0.3.0`.
pub(super) fn is_compatible(version: &str) -> bool {
    let track = |version: &str| version.rsplit_once('.').map(|(track, _)| track.to_owned());
    track(version) == track(VERSION)
}

/// Returns the reason why the host cannot serve a component with these imports and exports, if one of them is an
/// interface of the contract in a version that is not [compatible](is_compatible).
pub(super) fn another_version<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let versions = names.into_iter().filter_map(split).map(|(_, version)| version);
    let other = versions.into_iter().find(|version| !is_compatible(version))?;
    let built_for = if other.is_empty() { "without a version" } else { other };
    Some(format!(
        "was built for {PACKAGE} {built_for}; this host offers {VERSION}; build it with the `wit/` of this host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_names_and_compares_versions() {
        assert_eq!(split("carya:host/before@0.2.0"), Some(("before", "0.2.0")));
        assert_eq!(split("carya:host/before"), Some(("before", "")));
        assert_eq!(split("carya:hosts/before@0.2.0"), None);
        assert_eq!(split("wasi:cli/run@0.2.0"), None);
        for (version, expected) in [("0.2.0", true), ("0.2.7", true), ("0.1.0", false), ("1.2.0", false), ("", false)] {
            assert_eq!(is_compatible(version), expected, "{version}");
        }
    }

    #[test]
    fn a_component_for_another_version_is_refused_with_both_versions() {
        let same = ["wasi:cli/run@0.1.0", "carya:host/log@0.2.3", "carya:host/before@0.2.0"];
        assert_eq!(another_version(same), None);
        for (name, expected) in [
            ("carya:host/before@0.1.0", "was built for carya:host 0.1.0; this host offers 0.2.0; "),
            ("carya:host/before", "was built for carya:host without a version; this host offers 0.2.0; "),
        ] {
            let reason = another_version(same.into_iter().chain([name])).unwrap_or_default();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
