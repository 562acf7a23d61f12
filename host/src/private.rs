//! Checks that only this user or root can change a folder or file. This module does not interpret their contents.
//!
//! A folder is private if it belongs to the user of this process or to root, and if only its owner may write to it. The
//! folders above must be private too, or have the sticky bit, as `/tmp` has: a user who can rename a folder can replace
//! it. [`folder`] resolves symbolic links first and returns the result, so that a later change of a link has no effect.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};

/// Write permission for the group and for all other users.
const OTHERS_WRITE: u32 = 0o022;
/// The sticky bit: only owners may rename and remove the entries of a folder.
const STICKY: u32 = 0o1000;

/// Reason why a folder or file is not private, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPrivate {
    /// Other users may write to it.
    #[error("{path} has mode {mode:04o}, by which other users may write to it; run `chmod {fix} {path}`", path = path.display())]
    Writable {
        /// The folder or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The argument of `chmod`.
        fix: &'static str,
    },
    /// It belongs to another user.
    #[error("{path} belongs to user {owner}, but this process runs as user {own}; run `chown {own} {path}`", path = path.display())]
    Foreign {
        /// The folder or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        own: u32,
    },
    /// A private file must be a regular file, and the path is something else.
    #[error("{} must be a regular file", .0.display())]
    Odd(PathBuf),
    /// An operation of the file system failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Returns the path of a private folder without symbolic links. Creates the folder if it does not exist.
pub(crate) fn folder(path: &Path) -> Result<PathBuf, NotPrivate> {
    let failed = |source| NotPrivate::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let real = fs::canonicalize(path).map_err(failed)?;
    for (above, folder) in real.ancestors().enumerate() {
        let found = fs::symlink_metadata(folder).map_err(failed)?;
        let place = if above > 0 { Place::Above } else { Place::Folder };
        check(folder, place, entry(&found), geteuid().as_raw())?;
    }
    Ok(real)
}

/// Opens a private file for reading. Returns `None` if it does not exist.
pub(crate) fn open(path: &Path) -> Result<Option<File>, NotPrivate> {
    let failed = |source| NotPrivate::Io { path: path.to_owned(), source };
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(NotPrivate::Odd(path.to_owned()));
    }
    check(path, Place::File, entry(&found), geteuid().as_raw())?;
    Ok(Some(file))
}

/// Relation of a folder or file to the private folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Above,
    Folder,
    File,
}

fn check(path: &Path, place: Place, (owner, mode): (u32, u32), own: u32) -> Result<(), NotPrivate> {
    let path = path.to_owned();
    if owner != own && owner != 0 {
        return Err(NotPrivate::Foreign { path, owner, own });
    }
    let is_protected = place == Place::Above && mode & STICKY != 0;
    if mode & OTHERS_WRITE != 0 && !is_protected {
        let fix = match place {
            Place::Folder if owner == own => "0700",
            Place::File if owner == own => "0600",
            // Other users may need to read the folder or file.
            _ => "go-w",
        };
        return Err(NotPrivate::Writable { path, mode, fix });
    }
    Ok(())
}

/// Returns the owner and the mode.
fn entry(found: &Metadata) -> (u32, u32) {
    (found.uid(), found.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_owner_and_the_write_bits_decide() {
        use Place::{Above, File, Folder};
        let table = [
            (1000, 0o0700, Folder, true),
            (1000, 0o0755, Folder, true),
            (1000, 0o2755, Folder, true),
            (0, 0o0755, Folder, true),
            (1000, 0o2775, Folder, false),
            (1000, 0o0770, Folder, false),
            (1000, 0o0702, Folder, false),
            (0, 0o0777, Folder, false),
            // All users may create files in it.
            (0, 0o1777, Folder, false),
            (1001, 0o0700, Folder, false),
            (0, 0o1777, Above, true),
            (0, 0o0777, Above, false),
            (1000, 0o2775, Above, false),
            (1001, 0o0755, Above, false),
            (1000, 0o0600, File, true),
            (0, 0o0644, File, true),
            (1000, 0o0664, File, false),
            (1000, 0o1666, File, false),
            (1001, 0o0600, File, false),
        ];
        for (owner, mode, place, expected) in table {
            let found = check(Path::new("/it"), place, (owner, mode), 1000);
            assert_eq!(found.is_ok(), expected, "{place:?} {owner} {mode:o}: {found:?}");
        }
    }

    #[test]
    fn errors_contain_the_fix() {
        let trust = |place, owner, mode| {
            let found = check(Path::new("/it"), place, (owner, mode), 1000);
            found.err().map_or_else(String::new, |error| error.to_string())
        };
        let group = "/it has mode 2775, by which other users may write to it; run `chmod 0700 /it`";
        let all = "/it has mode 0777, by which other users may write to it; run `chmod go-w /it`";
        let foreign = "/it belongs to user 7, but this process runs as user 1000; run `chown 1000 /it`";
        assert_eq!(trust(Place::Folder, 1000, 0o2775), group);
        assert_eq!([trust(Place::Folder, 0, 0o777), trust(Place::Above, 1000, 0o777)], [all, all]);
        assert_eq!(trust(Place::Folder, 7, 0o700), foreign);
    }

    #[test]
    fn folders_are_resolved_and_checked_up_to_the_root() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let (above, own) = (root.path().join("above"), root.path().join("above/own"));
        assert_eq!(folder(&own).ok(), Some(fs::canonicalize(&own)?), "it is made");
        assert_eq!(fs::metadata(&own)?.mode() & 0o7777, 0o700);
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        for (mode, expected) in [(0o777, false), (0o775, false), (0o1777, true), (0o2755, true)] {
            set(&above, mode)?;
            assert_eq!(folder(&own).is_ok(), expected, "{mode:o} above it");
        }
        let link = root.path().join("link");
        symlink(&own, &link)?;
        assert_eq!(folder(&link).ok(), Some(fs::canonicalize(&own)?));
        set(&own, 0o770)?;
        assert!(matches!(folder(&link), Err(NotPrivate::Writable { mode: 0o770, .. })), "behind the link");
        Ok(())
    }

    #[test]
    fn files_are_opened_only_if_they_are_private() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("file");
        assert!(matches!(open(&path), Ok(None)));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        assert!(matches!(open(&path), Ok(Some(_))));
        symlink(&path, root.path().join("link"))?;
        assert!(open(&root.path().join("link")).is_err(), "a link");
        assert!(matches!(open(root.path()), Err(NotPrivate::Odd(_))), "a folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        assert!(matches!(open(&path), Err(NotPrivate::Writable { fix: "0600", .. })));
        Ok(())
    }
}
