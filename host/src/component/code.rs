//! Compiled code on disk, so that only the first start compiles. An entry is named after the component's digest and
//! the engine's settings, and ends with a checksum, so it is either right or not used.
//!
//! The one file of this room that needs `unsafe`: machine code is mapped as it was written. Whoever can write to the
//! cache can run code in this process, so a folder or a file that others may change is neither read nor written; see
//! [`private`].

#![allow(unsafe_code)]

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::core_module;
use crate::private;

/// Length of the checksum at the end of an entry, in bytes. CRC-32 detects damage; no other user can write an entry, so the
/// checksum need not be hard to forge.
const CHECKSUM: usize = 4;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub struct CodeCache {
    folder: PathBuf,
    settings: u64,
    /// Held while a component compiles, which takes all processors and much memory by itself.
    compiling: Arc<Mutex<()>>,
    /// Whether the log says already why the folder is not used.
    is_reported: Arc<AtomicBool>,
}

/// A component's code, and where it came from.
pub(super) struct Code {
    pub(super) component: Component,
    /// Whether it was in the cache.
    pub(super) cached: bool,
}

/// Why an entry is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    NotPrivate(#[from] private::NotPrivate),
    #[error("its checksum is wrong: it is damaged, cut off, or of another version")]
    Damaged,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0:#}")]
    Refused(wasmtime::Error),
}

/// SHA-256 of a component's bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CodeCache {
    pub(super) fn new(folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, settings: hasher.finish(), compiling: Arc::default(), is_reported: Arc::default() }
    }

    /// The code of a component, from the cache or compiled now; a core module becomes a component only then. A cache that
    /// cannot be used costs time, not success.
    pub(super) fn load(&self, engine: &Engine, bytes: &[u8], digest: &str) -> wasmtime::Result<Code> {
        let entry = self.folder().map(|folder| folder.join(format!("{digest}-{:016x}.cwasm", self.settings)));
        let cached = |component| Code { component, cached: true };
        let found = entry.as_deref().and_then(|entry| read(engine, entry).ok()?);
        if let Some(component) = found {
            return Ok(cached(component));
        }
        let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // The same component under another name may have been compiled meanwhile.
        let found = entry.as_deref().and_then(|entry| find(engine, entry));
        if let Some(component) = found {
            return Ok(cached(component));
        }
        tracing::info!(digest = &digest[..12], kib = bytes.len() / 1024, "compiling a component, which is done once");
        let component = core_module::to_component(bytes).map_err(wasmtime::Error::msg)?;
        let component = Component::from_binary(engine, &component)?;
        if let Some(entry) = entry
            && let Err(error) = keep(&entry, &component.serialize()?)
        {
            self.report(&error);
        }
        Ok(Code { component, cached: false })
    }

    /// The folder, if it may be used.
    fn folder(&self) -> Option<PathBuf> {
        private::folder(&self.folder).inspect_err(|error| self.report(error)).ok()
    }

    /// Logs once why code is not kept.
    fn report(&self, error: &dyn std::error::Error) {
        if !self.is_reported.swap(true, Relaxed) {
            let folder = self.folder.display();
            tracing::warn!(%folder, "compiled code is not kept, so that every start compiles: {error}; or set server.cache");
        }
    }
}

/// The code of an entry. One that cannot be used is logged, and replaced once it is compiled again.
fn find(engine: &Engine, entry: &Path) -> Option<Component> {
    let found = read(engine, entry).transpose()?;
    let warn = |error: &Unusable| tracing::warn!(entry = %entry.display(), "compiling again: {error}");
    found.inspect_err(warn).ok()
}

fn read(engine: &Engine, entry: &Path) -> Result<Option<Component>, Unusable> {
    let Some(mut file) = private::open(entry)? else { return Ok(None) };
    if !is_whole(&mut file)? {
        return Err(Unusable::Damaged);
    }
    // SAFETY: the file is what this program has written for this very engine configuration: no other user may write to
    // it, to its folder, or to a folder above, and its checksum is right. It does not change while it is mapped, because
    // entries are replaced by renaming another file over them.
    let component = unsafe { Component::deserialize_file(engine, entry) };
    component.map(Some).map_err(Unusable::Refused)
}

/// Whether a file ends with the checksum of what is before it.
fn is_whole(file: &mut File) -> io::Result<bool> {
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

fn keep(entry: &Path, code: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let draft = entry.with_extension(format!("{}.{number}.draft", std::process::id()));
    // An earlier process with the same number may have left one.
    let _ = fs::remove_file(&draft);
    let mut file = private::create_file(&draft)?;
    let written = file.write_all(code).and_then(|()| file.write_all(&crc32fast::hash(code).to_le_bytes()));
    // Renamed only when it is whole on disk: a power cut must not leave half a program.
    let kept = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, entry));
    kept.inspect_err(|_| drop(fs::remove_file(&draft)))
}
