//! Comparison of generations: assembles a deployed generation, compares it, and drops it without opening its databases
//! or serving it.

use super::reloader::Reloader;
use crate::{
    deploy::Id,
    diff::{self, Difference, Outline, Refused},
};

/// Differences between two generations.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The differences in routes, components, databases and capabilities.
    pub differences: Vec<Difference>,
    /// Error if the rules of `[reload] deny` forbid the change.
    pub refused: Option<Refused>,
}

impl Reloader {
    /// Compares two generations. `from` may be the served generation even if it was not deployed.
    ///
    /// # Errors
    ///
    /// Fails if one of them cannot be assembled.
    pub(crate) async fn compare(&self, from: &Id, to: &Id) -> anyhow::Result<Comparison> {
        let served = self.live().generation();
        let old =
            if served.id == from.to_string() { Outline::of(&served) } else { Outline::of(&self.deployed(from).await?) };
        let new = Outline::of(&self.deployed(to).await?);
        let differences = diff::between(&old, &new);
        let refused = diff::refuse(&differences, &old, &new).err();
        Ok(Comparison { differences, refused })
    }
}
