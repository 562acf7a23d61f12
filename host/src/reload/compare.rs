//! What would differ if a deployed generation took over: it is assembled beside the requests, compared, and dropped. No
//! database is opened for it, and nothing of it is served.

use anyhow::Context;

use super::{Reloader, read_deployed};
use crate::{
    deploy::Id,
    diff::{self, Difference, Outline, Refused},
    generation::Generation,
};

/// From one generation to another.
#[derive(Debug)]
pub struct Comparison {
    /// What differs in what is served and in what it may do.
    pub differences: Vec<Difference>,
    /// Why the rules forbid the step, if they do.
    pub refused: Option<Refused>,
}

impl Reloader {
    /// Compares two generations. The first may be what is served, whether or not it was deployed.
    pub async fn compare(&self, from: &Id, to: &Id) -> anyhow::Result<Comparison> {
        let served = self.live.generation();
        let old =
            if served.id == from.to_string() { Outline::of(&served) } else { Outline::of(&self.deployed(from).await?) };
        let new = Outline::of(&self.deployed(to).await?);
        let differences = diff::between(&old, &new);
        let refused = diff::refuse(&differences, &old, &new).err();
        Ok(Comparison { differences, refused })
    }

    /// A deployed generation as this host would serve it, without its databases.
    pub async fn deployed(&self, id: &Id) -> anyhow::Result<Generation> {
        let store = self.store.clone().context("there is no [deploy] section")?;
        let (file, id) = (self.file.clone(), id.clone());
        let config = tokio::task::spawn_blocking(move || read_deployed(&file, &store, &id)).await??;
        self.assemble(config, &self.live.generation()).await
    }
}
