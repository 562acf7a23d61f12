//! Pack: a file with compiled functions, found by their keys. It has three parts:
//!
//! | part | content |
//! |---|---|
//! | code | the functions, one after the other |
//! | index | for each function 48 bytes: its key, its offset, its length and a CRC-32 of its code |
//! | end | 16 bytes: [`FORMAT`], the number of functions, and a CRC-32 of the index and of the end before it |
//!
//! The checksums detect accidental damage. They need not resist forgery: like the entries of the code cache, a pack is
//! only used if no other user can write to it; see [`private`].

#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    content::{Draft, Folder},
    private,
};

/// First bytes of the end of a pack. A change of the format changes them.
const FORMAT: [u8; 8] = *b"carya-f1";
/// Length of a row of the index, in bytes.
const ROW: usize = 48;
/// Length of the end, in bytes.
const END: usize = 16;

/// SHA-256 digest that identifies a function: cranelift computes it from everything that the compilation reads.
pub(super) type Key = [u8; 32];

/// The functions of a pack, each with its place.
pub(super) type Index = Vec<(Key, Row)>;

/// Place and checksum of a function's code in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    offset: u64,
    length: u32,
    checksum: u32,
}

/// Reason why a pack, or a function in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    NotPrivate(#[from] private::NotPrivate),
    #[error("its checksum is wrong: the file is damaged, truncated, or from another version of the host")]
    Damaged,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A pack that is open for reading.
#[derive(Debug)]
pub(super) struct Pack(File);

impl Pack {
    /// Opens a pack, and returns it with its index. Returns `None` if the file does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if other users can write to the file, or if its index is damaged.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Index)>, Unusable> {
        let Some(file) = private::open(path)? else { return Ok(None) };
        let rows = index(&file)?;
        Ok(Some((Self(file), rows)))
    }

    /// Reads the code of a function.
    ///
    /// # Errors
    ///
    /// Returns an error if the code is damaged.
    pub(super) fn read(&self, row: Row) -> Result<Vec<u8>, Unusable> {
        let mut code = vec![0; row.length as usize];
        self.0.read_exact_at(&mut code, row.offset)?;
        if crc32fast::hash(&code) == row.checksum { Ok(code) } else { Err(Unusable::Damaged) }
    }
}

/// Reads the index of a pack.
fn index(file: &File) -> Result<Index, Unusable> {
    let length = file.metadata()?.len();
    let end_at = length.checked_sub(END as u64).ok_or(Unusable::Damaged)?;
    let mut end = [0; END];
    file.read_exact_at(&mut end, end_at)?;
    let [format @ .., _, _, _, _, _, _, _, _] = &end;
    let [.., c0, c1, c2, c3, s0, s1, s2, s3] = end;
    let (count, checksum) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([s0, s1, s2, s3]));
    // Check the number before it determines the size of an allocation.
    let bytes = u64::from(count) * ROW as u64;
    let index_at = end_at.checked_sub(bytes).filter(|_| *format == FORMAT).ok_or(Unusable::Damaged)?;
    let mut index = vec![0; usize::try_from(bytes).map_err(|_| Unusable::Damaged)?];
    file.read_exact_at(&mut index, index_at)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index);
    hasher.update(&end[..END - 4]);
    let (rows, []) = index.as_chunks::<ROW>() else { return Err(Unusable::Damaged) };
    let rows: Vec<_> = rows.iter().map(decode).collect();
    let is_inside =
        |(_, row): &(Key, Row)| row.offset.checked_add(u64::from(row.length)).is_some_and(|until| until <= index_at);
    if hasher.finalize() != checksum || !rows.iter().all(is_inside) {
        return Err(Unusable::Damaged);
    }
    Ok(rows)
}

fn encode(key: &Key, row: Row) -> [u8; ROW] {
    let mut bytes = [0; ROW];
    bytes[..32].copy_from_slice(key);
    bytes[32..40].copy_from_slice(&row.offset.to_le_bytes());
    bytes[40..44].copy_from_slice(&row.length.to_le_bytes());
    bytes[44..].copy_from_slice(&row.checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; ROW]) -> (Key, Row) {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let mut key = [0; 32];
    key.copy_from_slice(&bytes[..32]);
    let offset = u64::from(number(36)) << 32 | u64::from(number(32));
    (key, Row { offset, length: number(40), checksum: number(44) })
}

/// A pack that is being written. Dropping it before [`keep`](Self::keep) removes the file.
#[derive(Debug)]
pub(super) struct NewPack {
    file: BufWriter<Draft>,
    rows: HashMap<Key, Row>,
    bytes: u64,
}

impl NewPack {
    /// Begins to write a pack.
    pub(super) fn create(folder: &Folder, name: &str) -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(256 << 10, folder.draft(name)?), rows: HashMap::new(), bytes: 0 })
    }

    /// Adds a function, unless the pack has it already.
    pub(super) fn add(&mut self, key: Key, code: &[u8]) -> io::Result<()> {
        if self.rows.contains_key(&key) {
            return Ok(());
        }
        let length = u32::try_from(code.len()).map_err(io::Error::other)?;
        self.file.write_all(code)?;
        self.rows.insert(key, Row { offset: self.bytes, length, checksum: crc32fast::hash(code) });
        self.bytes += u64::from(length);
        Ok(())
    }

    /// Returns the size of all code that was added, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Completes the pack. A pack without functions is dropped.
    pub(super) fn keep(mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(self.rows.len()).map_err(io::Error::other)?;
        let mut index = Vec::with_capacity(self.rows.len() * ROW + END);
        index.extend(self.rows.iter().flat_map(|(key, row)| encode(key, *row)));
        index.extend(FORMAT);
        index.extend(count.to_le_bytes());
        index.extend(crc32fast::hash(&index).to_le_bytes());
        self.file.write_all(&index)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.keep()
    }
}
