//! `carya new`.

/// Makes a project.
pub(super) fn new(name: &str) -> anyhow::Result<()> {
    anyhow::bail!("{name}")
}
