//! Cache of compiled components on disk, so that only the first start compiles a component. The file name of an entry
//! contains the component's digest and a hash of the engine's settings. An entry ends with a checksum, and the cache
//! ignores entries with a wrong checksum.
//!
//! The folder also has packs of compiled functions. If a large component changes in a few functions or only in its data,
//! the next compilation takes the code of all other functions from there; see [`functions`].
//!
//! This is the only file of the module `component` with `unsafe` code: it maps machine code from the cache into memory.
//! Any user who can write to the cache can run code in this process. The cache therefore neither reads nor writes a
//! folder or file that users other than the host's user and root can change; see [`private`].

mod count;
mod functions;
mod pack;
mod packs;

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use wasmtime::{Config, Engine, component::Component};

use self::{functions::Functions, packs::Packs};
use super::{core_module, normalize};
use crate::{
    content::{Digest, Folder},
    private,
};

/// Length of the CRC-32 checksum at the end of an entry, in bytes. The checksum detects accidental damage. It need not
/// resist forgery, because no other user can write an entry.
const CHECKSUM: usize = 4;

/// Minimum size of a large component and of large code, in bytes. A smaller component compiles in a second or two, and
/// leaves little memory in the allocator.
const LARGE: usize = 1 << 20;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(super) struct CodeCache {
    folder: PathBuf,
    /// Hash of wasmtime's version, of all settings that affect compiled code, and of [`normalize::VERSION`].
    settings: String,
    /// Settings of the engines that compile.
    compiler: Config,
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
    /// Whether the compilation needed much memory, which the allocator retains.
    pub(super) left_memory: bool,
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
    /// Describes a cache for an engine. `compiler` has the settings of the engine, except for those of its pool.
    pub(super) fn new(folder: PathBuf, engine: &Engine, compiler: Config) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        normalize::VERSION.hash(&mut hasher);
        let settings = format!("{:016x}", hasher.finish());
        Self { folder, settings, compiler, compiling: Arc::default(), is_reported: Arc::default() }
    }

    /// Returns the compiled code of a file: from the cache, or else by compiling `bytes` and adding an entry to the
    /// cache. If `bytes` are a core module, they are converted to a component before the compilation.
    ///
    /// A cache that cannot be read or written is not an error. It is logged, and the component is compiled.
    pub(super) fn load(&self, engine: &Engine, bytes: &[u8], digest: Digest) -> wasmtime::Result<Code> {
        self.load_or_compile(engine, digest, |folder| {
            let component = core_module::to_component(bytes).map_err(wasmtime::Error::msg)?;
            let compile = |component: &[u8]| self.compile(engine, component, digest, folder);
            match normalize::normalize(&component) {
                // If wasmtime rejects the merged component, the error must describe the original.
                Ok(merged) => compile(&merged).or_else(|_| compile(&component)),
                Err(reason) => {
                    tracing::debug!(%digest, "core modules are not merged: {reason}");
                    compile(&component)
                }
            }
        })
    }

    /// Like [`load`](Self::load), for a component that the host has made. `key` is the digest of all its sources.
    pub(super) fn load_made(&self, engine: &Engine, component: &[u8], key: Digest) -> wasmtime::Result<Code> {
        self.load_or_compile(engine, key, |folder| self.compile(engine, component, key, folder))
    }

    /// Compiles a component that the host has made and that no later start uses. The cache gets no entry for it.
    pub(super) fn compile_once(&self, engine: &Engine, component: &[u8]) -> wasmtime::Result<Code> {
        let _guard = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.trusted_folder();
        let (component, code) = self.compile(engine, component, Digest::of(component), folder.as_ref())?;
        Ok(Code { component, cached: false, left_memory: code.len() >= LARGE })
    }

    /// Returns the code in the cache, or `None` if it is not there.
    pub(super) fn find(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let entry = self.trusted_folder()?.entry(&self.name(digest));
        find(engine, &entry).map(|component| Code { component, cached: true, left_memory: false })
    }

    fn name(&self, digest: Digest) -> String {
        format!("{digest}-{}.cwasm", self.settings)
    }

    fn load_or_compile(
        &self,
        engine: &Engine,
        digest: Digest,
        compile: impl FnOnce(Option<&Folder>) -> wasmtime::Result<(Component, Vec<u8>)>,
    ) -> wasmtime::Result<Code> {
        let folder = self.trusted_folder();
        let name = self.name(digest);
        let entry = folder.as_ref().map(|folder| folder.entry(&name));
        let cached = |component| Code { component, cached: true, left_memory: false };
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
        let (mut component, code) = compile(folder.as_ref())?;
        if let Some(folder) = folder {
            match write(&folder, &name, &code) {
                // A mapped component needs less memory.
                Ok(()) => component = read_compiled(engine, &folder.entry(&name)).ok().flatten().unwrap_or(component),
                Err(error) => self.report(&error),
            }
        }
        Ok(Code { component, cached: false, left_memory: code.len() >= LARGE })
    }

    /// Compiles a component. Returns it, and its code. The code of functions that a pack of the folder has is taken from
    /// there.
    fn compile(
        &self,
        engine: &Engine,
        component: &[u8],
        digest: Digest,
        folder: Option<&Folder>,
    ) -> wasmtime::Result<(Component, Vec<u8>)> {
        let (short, kib, started) = (&digest.to_string()[..12], component.len() / 1024, Instant::now());
        tracing::info!(digest = short, kib, "compiling a component; later starts take its code from the cache");
        let folder = folder.filter(|_| component.len() >= LARGE).cloned();
        let packs = folder.map(|folder| Packs::open(folder, &self.settings));
        let functions = Arc::new(Functions::new(packs, short, count::functions(component)));
        // A compiler retains the memory for its largest functions. An engine for each compilation releases it.
        let mut config = self.compiler.clone();
        config.enable_incremental_compilation(functions.clone())?;
        let code = Engine::new(&config)?.precompile_component(component)?;
        let counts = functions.keep();
        let (functions, reused, seconds) = (counts.functions, counts.reused, started.elapsed().as_secs_f32());
        tracing::debug!(digest = short, kib, functions, reused, seconds, "compilation finished");
        Ok((of_this_process(engine, &code)?, code))
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

/// Returns the component of code that this process has compiled.
#[allow(unsafe_code)]
fn of_this_process(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is the output of `Engine::precompile_component` for the settings of this engine, and was not stored
    // in between.
    unsafe { Component::deserialize(engine, code) }
}

#[allow(unsafe_code)]
fn read_compiled(engine: &Engine, entry: &Path) -> Result<Option<Component>, Unusable> {
    let Some(mut file) = private::open(entry)? else { return Ok(None) };
    if !has_checksum(&mut file)? {
        return Err(Unusable::Damaged);
    }
    // SAFETY: the file contains the output of `Engine::precompile_component` for this engine configuration. Only the host
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
