//! The packs of a folder: finds functions in them, adds a pack with the functions of a compilation, and removes packs
//! that no compilation has used for a while.

#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use super::pack::{Key, NewPack, Pack, Row, Unusable};
use crate::content::Folder;

/// Suffix of the names of packs. A name is `NUMBER-SETTINGS.functions`, with a random number: the second compilation of
/// a component adds a pack beside that of the first.
const SUFFIX: &str = ".functions";
/// Maximum number of packs that a folder keeps.
const MAX_PACKS: usize = 64;
/// Maximum size of all packs that a folder keeps, in bytes.
const MAX_TOTAL: u64 = 512 << 20;
/// Maximum size of the code that one compilation adds, in bytes.
const MAX_ADDED: u64 = 256 << 20;

/// The packs that a compilation reads, and the one that it writes.
#[derive(Debug)]
pub(super) struct Packs {
    folder: Folder,
    opened: Vec<OpenPack>,
    /// The functions of all packs. The number is the place of the pack in `opened`.
    known: HashMap<Key, (usize, Row)>,
    /// `None` after the end of the compilation, and if the pack cannot be written.
    new: Mutex<Option<NewPack>>,
}

#[derive(Debug)]
struct OpenPack {
    name: String,
    path: PathBuf,
    pack: Pack,
    is_used: AtomicBool,
    is_damaged: AtomicBool,
}

impl Packs {
    /// Opens the packs of a private folder that were written with these settings, and begins a new one. Removes packs
    /// that cannot be used.
    pub(super) fn open(folder: Folder, settings: &str) -> Self {
        let suffix = format!("-{settings}{SUFFIX}");
        let (mut opened, mut known) = (Vec::new(), HashMap::new());
        for path in folder.entries().unwrap_or_default() {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !name.ends_with(&suffix) {
                continue;
            }
            match Pack::open(&path) {
                Ok(None) => {}
                Ok(Some((pack, rows))) => {
                    let at = opened.len();
                    known.extend(rows.into_iter().map(|(key, row)| (key, (at, row))));
                    let (is_used, is_damaged) = Default::default();
                    opened.push(OpenPack { name: name.to_owned(), path, pack, is_used, is_damaged });
                }
                Err(error) => discard(&path, &error),
            }
        }
        let new = NewPack::create(&folder, &format!("{:016x}{suffix}", rand::random::<u64>()));
        let new = Mutex::new(new.inspect_err(|error| warn_of_new(&folder, error)).ok());
        Self { folder, opened, known, new }
    }

    /// Returns the code of a function. If the code is damaged, removes the pack, and no longer uses it.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let (pack, row) = self.known.get(key)?;
        let pack = &self.opened[*pack];
        if pack.is_damaged.load(Relaxed) {
            return None;
        }
        match pack.pack.read(*row) {
            Ok(code) => {
                pack.is_used.store(true, Relaxed);
                Some(code)
            }
            Err(error) => {
                if !pack.is_damaged.swap(true, Relaxed) {
                    discard(&pack.path, &error);
                }
                None
            }
        }
    }

    /// Adds the code of a function to the new pack. Returns whether the pack has it.
    pub(super) fn insert(&self, key: Key, code: &[u8]) -> bool {
        let mut slot = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(new) = slot.as_mut() else { return false };
        if new.bytes() + code.len() as u64 > MAX_ADDED {
            return false;
        }
        match new.add(key, code) {
            Ok(()) => true,
            Err(error) => {
                // The pack may contain a part of the code. Dropping it removes the file.
                *slot = None;
                warn_of_new(&self.folder, &error);
                false
            }
        }
    }

    /// Completes the new pack, and removes packs beyond the limits of the folder.
    pub(super) fn keep(&self) {
        let new = self.new.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = new.map(NewPack::keep) {
            warn_of_new(&self.folder, &error);
        }
        let used = self.opened.iter().filter(|pack| pack.is_used.load(Relaxed) && !pack.is_damaged.load(Relaxed));
        used.for_each(|pack| self.folder.touch(&pack.name));
        if let Err(error) = collect(&self.folder) {
            tracing::debug!(folder = %self.folder.path().display(), "cannot remove old compiled functions: {error}");
        }
    }
}

fn discard(path: &Path, error: &Unusable) {
    tracing::warn!(file = %path.display(), "removing compiled functions: {error}");
    // If this fails, the next compilation finds the same error.
    let _ = fs::remove_file(path);
}

fn warn_of_new(folder: &Folder, error: &io::Error) {
    let folder = folder.path().display();
    tracing::warn!(%folder, "functions of this component are compiled again when it changes: {error}");
}

/// Removes packs beyond the limits, and abandoned drafts of packs.
fn collect(folder: &Folder) -> io::Result<()> {
    let mut packs = Vec::new();
    for path in folder.entries()? {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(SUFFIX));
        // Another process may have removed the file.
        let (Some(name), Ok(metadata)) = (name, fs::symlink_metadata(&path)) else { continue };
        packs.push(Kept { name: name.to_owned(), used: metadata.modified()?, bytes: metadata.len() });
    }
    let excess = excess(packs);
    // A draft has the name of its pack, and a suffix. `Folder::collect` spares drafts that may be in use.
    let is_draft = |name: &str| name.contains(SUFFIX) && !name.ends_with(SUFFIX);
    folder.collect(Duration::ZERO, |name| !excess.contains(name) && !is_draft(name)).map(drop)
}

/// A pack of the folder, in its present size.
struct Kept {
    name: String,
    used: SystemTime,
    bytes: u64,
}

/// Returns the names of the packs beyond the limits: those that were not used for the longest time.
fn excess(mut packs: Vec<Kept>) -> HashSet<String> {
    packs.sort_by_key(|pack| std::cmp::Reverse(pack.used));
    let mut total = 0;
    let beyond = packs.into_iter().enumerate().filter(|(at, pack)| {
        total += pack.bytes;
        *at >= MAX_PACKS || total > MAX_TOTAL
    });
    beyond.map(|(_, pack)| pack.name).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    const SETTINGS: &str = "0123";

    fn key(number: u8) -> Key {
        [number; 32]
    }

    /// Writes a pack with functions. The code of each is its number, 100 times.
    fn write(folder: &Folder, numbers: &[u8]) -> Result<PathBuf> {
        let before = folder.entries()?;
        let packs = Packs::open(folder.clone(), SETTINGS);
        assert!(numbers.iter().all(|number| packs.insert(key(*number), &[*number; 100])));
        packs.keep();
        Ok(folder.entries()?.into_iter().find(|path| !before.contains(path)).ok_or("no pack")?)
    }

    fn found(packs: &Packs) -> Vec<u8> {
        (0..10).filter(|number| packs.get(&key(*number)).is_some_and(|code| code == [*number; 100])).collect()
    }

    #[test]
    fn functions_are_found_in_all_packs_with_the_same_settings() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::private(root.path().to_owned());
        let paths = [write(&folder, &[1, 2, 3])?, write(&folder, &[3, 4, 4])?];
        let mut entries = folder.entries()?;
        entries.sort();
        assert_eq!(entries.len(), 2, "{entries:?}");
        for path in paths {
            assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        }
        let packs = Packs::open(folder.clone(), SETTINGS);
        assert_eq!(found(&packs), [1, 2, 3, 4]);
        assert_eq!(packs.get(&key(11)), None);
        packs.keep();
        assert_eq!(folder.entries()?.len(), 2, "a compilation without new functions adds no pack");
        assert_eq!(found(&Packs::open(folder, "0124")), Vec::<u8>::new());
        Ok(())
    }

    #[test]
    fn damaged_packs_are_removed() -> Result {
        type Damage = fn(&mut Vec<u8>);
        let table: [(&str, Damage, &[u8]); 9] = [
            ("none", |_| {}, &[1, 2, 3]),
            ("empty", Vec::clear, &[]),
            ("cut off", |bytes| bytes.truncate(200), &[]),
            ("cut off in front", |bytes| *bytes = bytes[1..].to_vec(), &[]),
            ("a byte more", |bytes| bytes.push(0), &[]),
            ("a bit of the index", |bytes| bytes[310] ^= 1, &[]),
            ("a bit of the format", |bytes| bytes[300 + 3 * 48] ^= 1, &[]),
            ("a bit of the number", |bytes| bytes[300 + 3 * 48 + 11] ^= 0x40, &[]),
            // The last function that was added. The pack is used until a compilation reads this function.
            ("a bit of the code", |bytes| bytes[299] ^= 1, &[1, 2]),
        ];
        for (what, damage, expected) in table {
            let root = tempfile::tempdir()?;
            let folder = Folder::private(root.path().to_owned());
            let path = write(&folder, &[1, 2, 3])?;
            let mut bytes = fs::read(&path)?;
            damage(&mut bytes);
            fs::write(&path, &bytes)?;
            let packs = Packs::open(folder, SETTINGS);
            assert_eq!(found(&packs), expected, "{what}");
            assert_eq!(path.exists(), what == "none", "{what}");
            if what == "a bit of the code" {
                assert_eq!(found(&packs), Vec::<u8>::new(), "{what}: the pack is no longer used");
                assert!(packs.insert(key(1), b"new"), "{what}: its functions are added again");
            }
        }
        Ok(())
    }

    #[test]
    fn packs_that_other_users_could_have_written_are_removed() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::private(root.path().to_owned());
        let path = write(&folder, &[1])?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620))?;
        assert_eq!(found(&Packs::open(folder, SETTINGS)), Vec::<u8>::new());
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn the_packs_that_were_used_last_are_kept() {
        let pack = |age: u64, bytes| Kept {
            name: age.to_string(),
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age),
            bytes,
        };
        let most = MAX_TOTAL;
        let table = [
            ("nothing", vec![], vec![]),
            ("few", vec![pack(3, 1), pack(1, most - 2), pack(2, 1)], vec![]),
            ("too many bytes", vec![pack(3, 1), pack(1, most - 1), pack(2, 1)], vec![3]),
            ("an old one is too large", vec![pack(1, 1), pack(2, most), pack(3, 1)], vec![2, 3]),
            ("64", (0..64).map(|age| pack(age, 1)).collect(), vec![]),
            ("66", (0..66).rev().map(|age| pack(age, 1)).collect(), vec![64, 65]),
        ];
        for (what, packs, expected) in table {
            let expected: HashSet<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(excess(packs), expected, "{what}");
        }
    }

    #[test]
    fn a_used_pack_outlives_younger_packs() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::private(root.path().to_owned());
        let age = |path: &PathBuf, hours: u32| {
            let file = fs::File::options().append(true).open(path)?;
            file.set_modified(SystemTime::now() - Duration::from_secs(3600) * hours)
        };
        let used = write(&folder, &[1])?;
        let unused = (1..MAX_PACKS).map(|_| write(&folder, &[2])).collect::<Result<Vec<_>>>()?;
        for (at, path) in unused.iter().enumerate() {
            age(path, u32::try_from(at)? + 30)?;
        }
        age(&used, 100)?;
        let (draft, entry) = (folder.entry("a-1.functions.1.part"), folder.entry("a-1.cwasm"));
        for path in [&draft, &entry] {
            fs::write(path, "")?;
            age(path, 25)?;
        }
        let packs = Packs::open(folder, SETTINGS);
        assert_eq!(packs.get(&key(1)).map(|code| code.len()), Some(100));
        assert!(packs.insert(key(3), b"new"));
        packs.keep();
        assert!(used.exists());
        let left: Vec<_> = unused.iter().filter(|path| path.exists()).collect();
        assert_eq!(left, unused[..MAX_PACKS - 2].iter().collect::<Vec<_>>());
        assert_eq!((draft.exists(), entry.exists()), (false, true), "an abandoned draft; another file");
        Ok(())
    }
}
