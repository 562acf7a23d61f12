//! How far a database has come, so that a read can ask for nothing older than a write before it: an LSN on PostgreSQL,
//! a GTID on MariaDB, a moment where a server tells neither.

use std::{fmt, str::FromStr};

/// A point in the history of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// A byte in PostgreSQL's log.
    Lsn(u64),
    /// For each of MariaDB's domains the last sequence number, by domain.
    Gtid(Vec<(u32, u64)>),
    /// Milliseconds since 1970; a replica counts as further when it was written longer ago than replicas may lag.
    Time(u64),
}

impl Position {
    /// Whether a database that has come this far has everything that one at `other` has.
    pub fn covers(&self, other: &Position) -> bool {
        match (self, other) {
            (Position::Lsn(mine), Position::Lsn(theirs)) => mine >= theirs,
            (Position::Gtid(mine), Position::Gtid(theirs)) => theirs
                .iter()
                .all(|(domain, number)| mine.iter().any(|(own, reached)| own == domain && reached >= number)),
            (Position::Time(mine), Position::Time(theirs)) => mine >= theirs,
            // Another server than the one that gave it out: nobody can say.
            _ => false,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Lsn(lsn) => write!(f, "{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff),
            Position::Gtid(domains) => {
                for (index, (domain, number)) in domains.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{domain}-0-{number}")?;
                }
                Ok(())
            }
            Position::Time(millis) => write!(f, "t{millis}"),
        }
    }
}

impl FromStr for Position {
    type Err = ();

    /// Reads `16/B374D848`, `0-1-42,1-1-7` or `t1700000000000`. The server's number in the middle of a GTID does not
    /// count.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(millis) = text.strip_prefix('t') {
            return millis.parse().map(Position::Time).map_err(drop);
        }
        if let Some((high, low)) = text.split_once('/') {
            let half = |text: &str| u32::from_str_radix(text, 16).map(u64::from).map_err(drop);
            return Ok(Position::Lsn(half(high)? << 32 | half(low)?));
        }
        let gtid = |text: &str| {
            let mut numbers = text.trim().split('-');
            let (domain, _server, number) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some((domain.parse().ok()?, number.parse().ok()?))
        };
        let mut domains: Vec<(u32, u64)> = text.split(',').map(gtid).collect::<Option<_>>().ok_or(())?;
        domains.sort_unstable();
        Ok(Position::Gtid(domains))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_and_read() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0-0-42", "0-0-42,7-0-1", "t1700000000000"] {
            assert_eq!(text.parse::<Position>().map(|position| position.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "/", "1/2/3", "G/1", "100000000/0", "1-2", "x-1-2", "t", "t-1", "0-1-2,"] {
            assert_eq!(text.parse::<Position>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_position_covers_those_before_it() {
        let table = [
            ("0/10", "0/10", true),
            ("1/0", "0/FFFFFFFF", true),
            ("0/F", "0/10", false),
            ("0-1-5", "0-2-5", true),
            ("0-1-4", "0-1-5", false),
            ("0-1-9", "0-1-5,1-1-1", false),
            ("0-1-9,1-1-1,2-1-1", "0-1-5,1-1-1", true),
            ("t5", "t4", true),
            ("t5", "0/1", false),
        ];
        for (mine, theirs, expected) in table {
            let covers = mine.parse::<Position>().and_then(|mine| Ok(mine.covers(&theirs.parse()?)));
            assert_eq!(covers, Ok(expected), "{mine} {theirs}");
        }
    }
}
