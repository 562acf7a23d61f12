//! The files that an application is made of. Detects changes to them, and derives the id of a generation.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    config::Config,
    content::{Digest, Hasher},
    oci::Images,
};

/// Minimum time between the modification of a file and its reading after which an equal modification time proves that
/// the file is unchanged. If a file is read earlier, a later write may set the same modification time.
const TRUST: Duration = Duration::from_secs(2);

/// Files by path, with the digests of their contents. Files that cannot be read are left out.
#[derive(Debug, Clone, Default)]
pub struct Files(BTreeMap<PathBuf, File>);

#[derive(Debug, Clone, Copy)]
struct File {
    /// Digest of the content.
    digest: Digest,
    /// Inode number, size and modification time. While these values are the same, the file is not read again. `None`
    /// for a file that was read less than [`TRUST`] after it was written.
    stamp: Option<(u64, u64, SystemTime)>,
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.changed(other).is_empty()
    }
}

impl Files {
    /// Reads the configuration, the local components, and all files in the folders of templates and migrations. Static
    /// files are not included: the server reads them for each request.
    pub fn of(config: &Config) -> Self {
        Self::default().now(config)
    }

    /// Returns the files of a configuration with their current contents. Does not read files again that have the same
    /// stamp as in this set.
    pub fn now(&self, config: &Config) -> Self {
        let mut files = BTreeMap::new();
        let local = config.components.values().filter(|component| component.image.is_none());
        let components = local.map(|component| &component.path);
        let host = config.deployed.iter().map(|deployed| &deployed.host);
        for file in std::iter::once(&config.file).chain(host).chain(components) {
            self.add(&mut files, file);
        }
        let migrations = config.all_databases().filter_map(|(_, database)| database.migrations.as_ref());
        for folder in config.templates.iter().chain(migrations) {
            self.add_all(&mut files, folder, |_| true);
        }
        Self(files)
    }

    /// Returns the files of this set with their current contents. Does not look for new files.
    pub fn again(&self) -> Self {
        let mut files = BTreeMap::new();
        self.0.keys().for_each(|file| self.add(&mut files, file));
        Self(files)
    }

    /// Returns the sources in a folder and its subfolders with their current contents. Does not read files again that
    /// have the same stamp as in this set.
    pub fn sources(&self, folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        self.add_all(&mut files, folder, is_source);
        Self(files)
    }

    /// Adds the files of another set.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Removes a file from the set.
    pub fn without(mut self, path: &Path) -> Self {
        self.0.remove(path);
        self
    }

    /// Returns the latest modification time of the files.
    pub fn youngest(&self) -> Option<SystemTime> {
        self.0.keys().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max()
    }

    fn add(&self, files: &mut BTreeMap<PathBuf, File>, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else { return };
        let stamp = Some((metadata.ino(), metadata.len(), written(&metadata)));
        let known = self.0.get(path).filter(|known| known.stamp == stamp).copied();
        let read = || {
            let digest = Digest::of_file(path).ok()?;
            let is_old = written(&metadata).elapsed().is_ok_and(|age| age > TRUST);
            Some(File { digest, stamp: stamp.filter(|_| is_old) })
        };
        if let Some(file) = known.or_else(read) {
            files.insert(path.to_owned(), file);
        }
    }

    fn add_all(&self, files: &mut BTreeMap<PathBuf, File>, folder: &Path, passes: fn(&Path) -> bool) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| passes(path)) {
            if path.is_dir() { self.add_all(files, &path, passes) } else { self.add(files, &path) }
        }
    }

    /// Returns twelve hexadecimal digits that are derived from paths, contents and pulled images. Paths are relative to
    /// the configuration's folder, so that the id does not depend on the location of this folder.
    pub fn id(&self, config: &Config, images: &Images) -> String {
        let mut hasher = Hasher::default();
        let mut add = |name: &[u8]| {
            hasher.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(name);
        };
        for (path, file) in &self.0 {
            add(path.strip_prefix(config.folder()).unwrap_or(path).as_os_str().as_encoded_bytes());
            add(file.digest.as_bytes());
        }
        // The file of a pulled component is named after its digest.
        for (name, image) in images {
            add(name.as_bytes());
            add(image.component.path.file_name().unwrap_or_default().as_encoded_bytes());
        }
        hasher.digest().to_string()[..12].to_owned()
    }

    /// Returns the files in a folder with the digests of their contents. The keys are paths relative to the folder.
    pub fn within<'a>(&'a self, folder: &Path) -> BTreeMap<&'a Path, Digest> {
        self.0.iter().filter_map(|(path, file)| Some((path.strip_prefix(folder).ok()?, file.digest))).collect()
    }

    /// Returns the paths of files that were added, removed or changed in `other`.
    pub fn changed<'a>(&'a self, other: &'a Self) -> Vec<&'a Path> {
        let is_same = |path: &Path, file: &File| other.0.get(path).is_some_and(|other| other.digest == file.digest);
        let here = self.0.iter().filter(|(path, file)| !is_same(path, file));
        let there = other.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        here.chain(there).map(|(path, _)| path.as_path()).collect()
    }
}

/// Returns whether a path looks like a source that is written by hand. Excludes the output of compilers and package
/// managers, hidden files, and temporary files of editors.
pub fn is_source(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    !(["target", "node_modules", "__pycache__"].contains(&&*name)
        || name.starts_with(['.', '#'])
        || name.ends_with('~'))
}

fn written(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn ids_follow_from_names_and_contents() {
        let files = |pairs: &[(&str, u8)]| {
            let file = |byte: &u8| File { digest: Digest::of(&[*byte]), stamp: None };
            Files(pairs.iter().map(|(path, byte)| (PathBuf::from(path), file(byte))).collect())
        };
        let config = |file: &str| config::parse("", Path::new(file), &BTreeMap::new()).expect("no key is required");
        let folder = &config("/a/carya.toml");
        let id = |files: &Files, config: &Config| files.id(config, &Images::new());
        let one = files(&[("/a/x", 1), ("/a/y", 2)]);
        let elsewhere = files(&[("/b/x", 1), ("/b/y", 2)]);
        assert_eq!(id(&one, folder), id(&elsewhere, &config("/b/carya.toml")));
        for other in [files(&[("/a/x", 1)]), files(&[("/a/x", 2), ("/a/y", 2)]), files(&[("/a/z", 1), ("/a/y", 2)])] {
            assert_ne!(id(&one, folder), id(&other, folder));
        }
        let changed = one.changed(&files(&[("/a/x", 1), ("/a/y", 3), ("/a/z", 1)])).len();
        assert_eq!((changed, one.changed(&one).len()), (2, 0));
    }
}
