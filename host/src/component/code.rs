//! Compiled code on disk, so that only the first start compiles. An entry is named after the component's digest and
//! the engine's settings, so it is either right or not there.
//!
//! The one file of this room that needs `unsafe`: machine code is mapped as it was written. That is as safe as the
//! folder: it is made for its owner alone.

#![allow(unsafe_code)]

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::core_module;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub struct CodeCache {
    folder: PathBuf,
    settings: u64,
    /// Held while a component compiles, which takes all processors and much memory by itself.
    compiling: Arc<Mutex<()>>,
}

/// A component's code, and where it came from.
pub(super) struct Code {
    pub(super) component: Component,
    /// Whether it was in the cache.
    pub(super) cached: bool,
}

/// SHA-256 of a component's bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CodeCache {
    pub(super) fn new(folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, settings: hasher.finish(), compiling: Arc::default() }
    }

    /// The code of a component, from the cache or compiled now; a core module becomes a component only then. A cache that cannot be written costs time, not success.
    pub(super) fn load(&self, engine: &Engine, bytes: &[u8], digest: &str) -> wasmtime::Result<Code> {
        let entry = self.folder.join(format!("{digest}-{:016x}.cwasm", self.settings));
        if let Some(component) = self.find(engine, &entry) {
            return Ok(Code { component, cached: true });
        }
        let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // The same component under another name may have been compiled meanwhile.
        if let Some(component) = self.find(engine, &entry) {
            return Ok(Code { component, cached: true });
        }
        tracing::info!(digest = &digest[..12], kib = bytes.len() / 1024, "compiling a component, which is done once");
        let component = core_module::to_component(bytes).map_err(wasmtime::Error::msg)?;
        let component = Component::from_binary(engine, &component)?;
        if let Err(error) = self.keep(&entry, &component.serialize()?) {
            tracing::warn!(folder = %self.folder.display(), %error, "compiled code cannot be kept; set server.cache");
        }
        Ok(Code { component, cached: false })
    }

    fn find(&self, engine: &Engine, entry: &Path) -> Option<Component> {
        if is_ours(entry) {
            // SAFETY: the file was written by this program for this very engine configuration, is complete because it
            // was renamed into place, and belongs to this user alone.
            match unsafe { Component::deserialize_file(engine, entry) } {
                Ok(component) => return Some(component),
                Err(error) => tracing::warn!(entry = %entry.display(), %error, "compiling again: unusable cache entry"),
            }
        }
        None
    }

    fn keep(&self, entry: &Path, code: &[u8]) -> io::Result<()> {
        make_private(&self.folder)?;
        let draft = entry.with_extension(format!("{}.draft", std::process::id()));
        let mut file = fs::File::create(&draft)?;
        file.write_all(code)?;
        // Renamed only when it is whole on disk: a power cut must not leave half a program.
        file.sync_all()?;
        fs::rename(&draft, entry)
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether the file is there, belongs to whoever runs this program, and nobody else may write it.
#[cfg(unix)]
fn is_ours(entry: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(own) = fs::metadata("/proc/self").map(|process| process.uid()) else { return false };
    let mine =
        |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == own && found.mode() & 0o022 == 0);
    mine(entry) && entry.parent().is_some_and(mine)
}
