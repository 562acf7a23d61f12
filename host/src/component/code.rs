//! Compiled code on disk, so that only the first start compiles. An entry is named after the component's digest and
//! the engine's settings, and ends with a checksum: it is either correct or not used.
//!
//! This is the only file of this room with `unsafe` code: it maps machine code from the cache. Any user who can write to
//! the cache can run code in this process. The host neither reads nor writes a folder or file that other users may
//! change; see [`private`].

#![allow(unsafe_code)]

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use wasmtime::{Engine, component::Component};

use super::core_module;
use crate::{
    content::{Digest, Folder},
    private,
};

/// Length of the checksum at the end of an entry, in bytes. CRC-32 detects damage. It need not be hard to forge, because
/// no other user can write an entry.
const CHECKSUM: usize = 4;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(super) struct CodeCache {
    folder: PathBuf,
    settings: u64,
    /// Held while a component compiles, because one compilation takes all processors and much memory.
    compiling: Arc<Mutex<()>>,
    /// Set once the log contains the reason why the folder is not used.
    is_reported: Arc<AtomicBool>,
}

/// The compiled code of a component.
pub(super) struct Code {
    pub(super) component: Component,
    /// Whether the code was in the cache.
    pub(super) cached: bool,
}

/// Reason why an entry is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    NotPrivate(#[from] private::NotPrivate),
    #[error("its checksum is wrong: it is damaged, truncated, or from another version")]
    Damaged,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0:#}")]
    Refused(wasmtime::Error),
}

impl CodeCache {
    pub(super) fn new(folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, settings: hasher.finish(), compiling: Arc::default(), is_reported: Arc::default() }
    }

    /// Returns the code of a component, from the cache or compiled now. A core module is converted to a component only
    /// before compilation. A cache that cannot be used costs time, and is no error.
    pub(super) fn load(&self, engine: &Engine, bytes: &[u8], digest: Digest) -> wasmtime::Result<Code> {
        let folder = self.trusted_folder();
        let name = format!("{digest}-{:016x}.cwasm", self.settings);
        let entry = folder.as_ref().map(|folder| folder.entry(&name));
        let cached = |component| Code { component, cached: true };
        let found = entry.as_deref().and_then(|entry| read(engine, entry).ok()?);
        if let Some(component) = found {
            return Ok(cached(component));
        }
        let _guard = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have compiled the same component meanwhile, under another name.
        let found = entry.as_deref().and_then(|entry| find(engine, entry));
        if let Some(component) = found {
            return Ok(cached(component));
        }
        let (digest, kib) = (&digest.to_string()[..12], bytes.len() / 1024);
        tracing::info!(digest, kib, "compiling a component; later starts take it from the cache");
        let component = core_module::to_component(bytes).map_err(wasmtime::Error::msg)?;
        let component = Component::from_binary(engine, &component)?;
        if let Some(folder) = folder
            && let Err(error) = write(&folder, &name, &component.serialize()?)
        {
            self.report(&error);
        }
        Ok(Code { component, cached: false })
    }

    /// Returns the folder if no other user may change it.
    fn trusted_folder(&self) -> Option<Folder> {
        private::folder(&self.folder).map(Folder::private).inspect_err(|error| self.report(error)).ok()
    }

    /// Logs once why the cache is not used.
    fn report(&self, error: &dyn std::error::Error) {
        if !self.is_reported.swap(true, Relaxed) {
            let folder = self.folder.display();
            tracing::warn!(%folder, "compiled code is not kept, so that every start compiles: {error}; or set server.cache");
        }
    }
}

/// Returns the code of an entry. Logs why an entry cannot be used; the next compilation replaces it.
fn find(engine: &Engine, entry: &Path) -> Option<Component> {
    let found = read(engine, entry).transpose()?;
    let warn = |error: &Unusable| tracing::warn!(entry = %entry.display(), "compiling again: {error}");
    found.inspect_err(warn).ok()
}

fn read(engine: &Engine, entry: &Path) -> Result<Option<Component>, Unusable> {
    let Some(mut file) = private::open(entry)? else { return Ok(None) };
    if !has_checksum(&mut file)? {
        return Err(Unusable::Damaged);
    }
    // SAFETY: this program has written the file for this engine configuration: no other user may write to the file, to
    // its folder, or to a folder above, and its checksum is correct. The file does not change while it is mapped,
    // because the cache replaces an entry by renaming another file over it.
    let component = unsafe { Component::deserialize_file(engine, entry) };
    component.map(Some).map_err(Unusable::Refused)
}

/// Returns whether a file ends with the checksum of the bytes before the checksum.
fn has_checksum(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(length) = length.checked_sub(CHECKSUM as u64).filter(|length| *length > 0) else { return Ok(false) };
    let (mut hasher, mut found) = (crc32fast::Hasher::new(), [0; CHECKSUM]);
    file.seek(SeekFrom::Start(0))?;
    let (mut code, mut buffer) = (Read::by_ref(file).take(length), vec![0; 64 << 10]);
    loop {
        match code.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    file.read_exact(&mut found)?;
    Ok(hasher.finalize() == u32::from_le_bytes(found))
}

fn write(folder: &Folder, name: &str, code: &[u8]) -> io::Result<()> {
    let mut draft = folder.draft(name)?;
    draft.write_all(code)?;
    draft.write_all(&crc32fast::hash(code).to_le_bytes())?;
    draft.keep()
}
