//! Positions in the history of a database. A read can require a server that has reached the position of an earlier
//! write. PostgreSQL reports an LSN and MariaDB a GTID; for MySQL the position is a time.

use std::{fmt, str::FromStr};

/// A position in the history of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Byte offset in PostgreSQL's write-ahead log (LSN).
    Lsn(u64),
    /// MariaDB's GTID: pairs of a domain and its last sequence number, sorted by domain.
    Gtid(Vec<(u32, u64)>),
    /// Milliseconds since 1970, for MySQL. A replica reports a time in the past, and is assumed to have every older
    /// write.
    Time(u64),
}

impl Position {
    /// Returns whether a server at this position has everything that a server at `other` has.
    pub fn covers(&self, other: &Position) -> bool {
        match (self, other) {
            (Position::Lsn(mine), Position::Lsn(theirs)) => mine >= theirs,
            (Position::Gtid(mine), Position::Gtid(theirs)) => theirs
                .iter()
                .all(|(domain, number)| mine.iter().any(|(own, reached)| own == domain && reached >= number)),
            (Position::Time(mine), Position::Time(theirs)) => mine >= theirs,
            // Positions of different kinds come from different servers and cannot be compared.
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

    /// Parses `16/B374D848`, `0-1-42,1-1-7` or `t1700000000000`. The server id in the middle of a GTID is ignored.
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
    fn a_position_covers_earlier_positions() {
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
