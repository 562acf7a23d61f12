//! Cache of compiled components on disk, so that only the first start compiles a component. The file name of an entry
//! contains the component's digest and a hash of the engine's settings. An entry ends with a checksum, and the cache
//! ignores entries with a wrong checksum.
//!
//! This is the only file of the module `component` with `unsafe` code: it maps machine code from the cache into memory.
//! Any user who can write to the cache can run code in this process. The cache therefore neither reads nor writes a
//! folder or file that users other than the host's user and root can change; see [`private`].

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

/// Length of the CRC-32 checksum at the end of an entry, in bytes. The checksum detects accidental damage. It need not
/// resist forgery, because no other user can write an entry.
const CHECKSUM: usize = 4;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(super) struct CodeCache {
    folder: PathBuf,
    settings: u64,
    /// Held while a component compiles, because a single compilation uses all processors and much memory.
    compiling: Arc<Mutex<()>>,
    /// Whether `report` has logged a problem of the cache. It logs only the first one.
    is_reported: Arc<AtomicBool>,
}

/// The compiled code of a component.
pub(super) struct Code {
    pub(super) component: Component,
    /// Whether the code was loaded from the cache.
    pub(super) cached: bool,
}

/// Reason why an entry of the cache cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    NotPrivate(#[from] private::NotPrivate),
    #[error("its checksum is wrong: the file is damaged, truncated, or from another version of the host")]
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

    /// Returns the compiled code of a component: from the cache, or else by compiling `bytes` and adding an entry to
    /// the cache. If `bytes` are a core module, they are converted to a component before the compilation.
    ///
    /// A cache that cannot be read or written is not an error. It is logged, and the component is compiled.
    pub(super) fn load(&self, engine: &Engine, bytes: &[u8], digest: Digest) -> wasmtime::Result<Code> {
        let folder = self.trusted_folder();
        let name = format!("{digest}-{:016x}.cwasm", self.settings);
        let entry = folder.as_ref().map(|folder| folder.entry(&name));
        let cached = |component| Code { component, cached: true };
        let found = entry.as_deref().and_then(|entry| read_compiled(engine, entry).ok()?);
        if let Some(component) = found {
            return Ok(cached(component));
        }
        let _guard = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // While this task waited for the lock, another task may have compiled the same component: a configuration can
        // list one file under several names.
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

    /// Returns the folder of the cache, or `None` if other users can change it. Logs the reason in that case.
    fn trusted_folder(&self) -> Option<Folder> {
        private::folder(&self.folder).map(Folder::private).inspect_err(|error| self.report(error)).ok()
    }

    /// Logs a problem of the cache, unless an earlier one has been logged.
    fn report(&self, error: &dyn std::error::Error) {
        if !self.is_reported.swap(true, Relaxed) {
            let folder = self.folder.display();
            tracing::warn!(
                %folder,
                "compiled code is not kept, so that every start compiles: {error}; or set another server.cache"
            );
        }
    }
}

/// Returns the component of an entry, or `None` if the entry does not exist or cannot be used. Logs why an entry cannot
/// be used. The caller then compiles the component, which replaces the entry.
fn find(engine: &Engine, entry: &Path) -> Option<Component> {
    let found = read_compiled(engine, entry).transpose()?;
    let warn = |error: &Unusable| tracing::warn!(entry = %entry.display(), "compiling again: {error}");
    found.inspect_err(warn).ok()
}

fn read_compiled(engine: &Engine, entry: &Path) -> Result<Option<Component>, Unusable> {
    let Some(mut file) = private::open(entry)? else { return Ok(None) };
    if !has_checksum(&mut file)? {
        return Err(Unusable::Damaged);
    }
    // SAFETY: the file contains the output of `Component::serialize` for this engine configuration. Only the host
    // writes entries, because no other user can write to the file, to its folder, or to a folder above. The checksum
    // detects damage. The file does not change while it is mapped, because the cache replaces an entry by renaming
    // another file over it.
    let component = unsafe { Component::deserialize_file(engine, entry) };
    component.map(Some).map_err(Unusable::Refused)
}

/// Returns whether the last [`CHECKSUM`] bytes of a file are the checksum of all bytes before them. A file without
/// bytes before the checksum is invalid.
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
