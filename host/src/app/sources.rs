//! The first two steps of making a generation: read the configuration, then pull the images that it names. A start, a
//! check and a reload all use them.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use crate::{
    config::{self, Config},
    content::{Digest, PinnedFile},
    deploy::{self, Id, Store, Unpacked},
    oci::{self, Images, PullError},
};

/// A configuration that was read. [`pull`](Self::pull) is the next step.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// The configuration.
    pub config: Config,
    /// The files of the deployed generation with this configuration.
    unpacked: Option<Unpacked>,
}

/// An application whose files are all on this machine. `app::assemble` is the next step.
#[derive(Debug)]
pub struct Sources {
    /// The configuration.
    pub config: Config,
    /// The images that were pulled for it.
    pub(super) images: Images,
    /// The file of each component, by its name.
    pub(super) components: BTreeMap<String, PinnedFile>,
}

impl Application {
    /// Reads the configuration of the active generation in `store`, or `file` if none is active.
    pub fn read(file: &Path, store: Option<&Store>) -> anyhow::Result<Self> {
        match store.map(|store| Ok::<_, deploy::Error>((store, store.active()?))).transpose()? {
            Some((store, Some(id))) => Self::deployed(file, store, &id),
            _ => Ok(Self { config: config::load(file)?, unpacked: None }),
        }
    }

    /// Reads the configuration of a deployed generation, with the host settings of `file`.
    pub fn deployed(file: &Path, store: &Store, id: &Id) -> anyhow::Result<Self> {
        let host = config::load_host(file)?;
        let unpacked = store.unpack(id)?;
        let config = config::load_deployed(&unpacked.folder.join(deploy::NAME), &host, &id.to_string())?;
        Ok(Self { config, unpacked: Some(unpacked) })
    }

    /// Pulls the images that the configuration names.
    pub async fn pull(self) -> Result<Sources, PullError> {
        let Self { config, unpacked } = self;
        let images = oci::pull(&config).await?;
        let file = |(name, component): (&String, &config::ComponentConfig)| {
            let file = images.get(name).map_or_else(
                || PinnedFile {
                    path: component.path.clone(),
                    digest: unpacked.as_ref().and_then(|unpacked| digest(unpacked, &component.path)),
                },
                |image| image.component.clone(),
            );
            (name.clone(), file)
        };
        let components = config.components.iter().map(file).collect();
        Ok(Sources { config, images, components })
    }
}

/// Returns the digest that a file of a deployed generation was unpacked with.
fn digest(unpacked: &Unpacked, path: &Path) -> Option<Digest> {
    let steps = path.strip_prefix(&unpacked.folder).ok()?.components();
    let names = steps.filter(|step| *step != Component::CurDir).map(|step| step.as_os_str().to_str());
    let name = names.collect::<Option<Vec<_>>>()?.join("/");
    unpacked.files.get(&name).copied()
}
