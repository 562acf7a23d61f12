//! Names of migration files. The migrator skips every file with another name without an error, so that a migration with a
//! misspelt name would never run.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Extensions of files beside migrations: notes, and copies that editors and tools leave.
const BESIDE: [&str; 7] = ["bak", "md", "orig", "rej", "swp", "tmp", "toml"];

/// Returns the entries of a folder that look like migrations, and that the migrator skips.
pub(super) fn skipped(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut skipped = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_skipped = if path.is_dir() {
            let mut inside = fs::read_dir(&path)?.flatten();
            inside.any(|entry| is_sql(&entry.path()))
        } else {
            is_misspelt(&name)
        };
        if is_skipped {
            skipped.push(path);
        }
    }
    skipped.sort_unstable();
    Ok(skipped)
}

/// Returns the files of a version, without down migrations.
pub(super) fn of_version(folder: &Path, version: i64) -> Vec<PathBuf> {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.split('_').next().and_then(|number| number.parse().ok());
        number == Some(version) && name.ends_with(".sql") && !name.ends_with(".down.sql")
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_it).collect();
    files.sort_unstable();
    files
}

/// Returns whether the name of a file is almost that of a migration.
fn is_misspelt(name: &str) -> bool {
    let path = Path::new(name);
    let is_beside = name.starts_with('.')
        || name.ends_with('~')
        || path.extension().is_some_and(|extension| BESIDE.iter().any(|beside| extension.eq_ignore_ascii_case(beside)));
    let is_migration = name.contains('_') && name.ends_with(".sql");
    !is_migration && !is_beside && (is_sql(path) || name.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_sql(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
}

#[cfg(test)]
mod tests {
    use super::is_misspelt;

    #[test]
    fn names_that_are_almost_migrations() {
        for (name, expected) in [
            ("0001_a.sql", false),
            ("1_a.up.sql", false),
            ("1_a.down.sql", false),
            ("0001_a.SQL", true),
            ("0001_a.Sql", true),
            ("0001.sql", true),
            ("0001-a.sql", true),
            ("schema.sql", true),
            ("0001_a", true),
            ("0001_a.txt", true),
            ("0001_a.sql.bak", false),
            ("0001_a.sql~", false),
            (".0001_a.sql.swp", false),
            ("README.md", false),
            ("Makefile", false),
        ] {
            assert_eq!(is_misspelt(name), expected, "{name}");
        }
    }
}
