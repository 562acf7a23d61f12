//! SQL text to tokens, as each dialect quotes, comments and counts: one pass, nothing copied. Knows no word's meaning;
//! where two servers, or two settings of one, would read a text differently it refuses the text.
//!
//! It relies on what the connections are opened with: UTF-8, `standard_conforming_strings` on PostgreSQL, `ANSI_QUOTES`
//! on MySQL and MariaDB. Whether backslashes escape there does not matter: see [`Lexer::quoted`].

use std::ops::Range;

use super::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name,
    /// A text, of whatever kind.
    Text,
    /// A parameter with its number, or without one.
    Parameter(Option<usize>),
    /// A parameter as SQLite knows it and the driver does not: with a name, or with the number 0.
    OddParameter,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;`
    End,
    /// A number, where they are not lexed as words.
    Number,
    /// A byte of anything else.
    Sign(u8),
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub(super) shape: Shape,
    /// Its bytes, with its quotes.
    pub(super) range: Range<usize>,
}

/// Why a text is no statement of one reading only.
pub(super) type Refusal = &'static str;

/// Reads tokens off a text.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    sql: &'a str,
    dialect: Dialect,
    at: usize,
    /// The token before was an `E''` text.
    escaped: bool,
}

/// Bytes of words. Everything that is not ASCII is a letter.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize || byte >= 0x80;
        byte += 1;
    }
    table[b'$' as usize] = true;
    table
};

fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

impl<'a> Lexer<'a> {
    /// The text must not hold a NUL byte.
    pub(super) fn new(dialect: Dialect, sql: &'a str) -> Self {
        Self { sql, dialect, at: 0, escaped: false }
    }

    /// The next token; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Refusal> {
        use Dialect::{MySql, Postgres, Sqlite};
        self.skip()?;
        let start = self.at;
        let byte = self.byte(start);
        let second = self.byte(start + 1);
        let escaped = std::mem::take(&mut self.escaped);
        let (shape, end) = match byte {
            0 => return Ok(None),
            b'\'' if escaped => return Err("a text may not stand directly after an E'' text"),
            b'\'' => (Shape::Text, self.quoted(start)?),
            b'"' => (Shape::Name, self.quoted(start)?),
            b'`' if self.dialect != Postgres => (Shape::Name, self.quoted(start)?),
            b'[' if self.dialect == Sqlite => {
                (Shape::Name, self.after(start, "]").ok_or("a quoted name is not closed")?)
            }
            b'(' => (Shape::Open, start + 1),
            b')' => (Shape::Close, start + 1),
            b';' => (Shape::End, start + 1),
            b'?' => self.parameter(start)?,
            b'$' if second.is_ascii_digit() => self.parameter(start)?,
            b'$' | b':' | b'@' | b'#' if self.dialect == Sqlite => (Shape::OddParameter, self.while_word(start + 1)),
            b'$' if self.dialect == Postgres => (Shape::Text, self.dollar_text(start)?),
            b'$' if self.dialect == MySql => return Err("a name that begins with `$` needs quotes"),
            b'0'..=b'9' if self.dialect == Postgres => (Shape::Number, self.number(start)?),
            b'E' | b'e' if second == b'\'' && self.dialect == Postgres => {
                self.escaped = true;
                (Shape::Text, self.escaped_text(start + 1)?)
            }
            b'U' | b'u' if second == b'&' && self.byte(start + 2) == b'"' && self.dialect == Postgres => {
                return Err("a name may not be written as U&\"..\"");
            }
            byte if is_word(byte) => (Shape::Word, self.while_word(start + 1)),
            b'@' if self.dialect == MySql => return Err("variables may not be used"),
            b':' if second == b'=' && self.dialect == MySql => return Err("variables may not be set"),
            b'\\' if self.dialect == MySql => return Err("a backslash may stand in a text only"),
            byte => (Shape::Sign(byte), start + 1),
        };
        self.at = end;
        Ok(Some(Token { shape, range: start..end }))
    }

    /// The byte at an index; 0, which no text holds, after the end.
    fn byte(&self, at: usize) -> u8 {
        self.sql.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The index after the first occurrence of `what` behind `start`.
    fn after(&self, start: usize, what: &str) -> Option<usize> {
        Some(start + 1 + self.sql.get(start + 1..)?.find(what)? + what.len())
    }

    /// The index of the first byte from `at` on that is in no word.
    fn while_word(&self, mut at: usize) -> usize {
        while is_word(self.byte(at)) {
            at += 1;
        }
        at
    }

    /// Goes past spaces and comments.
    fn skip(&mut self) -> Result<(), Refusal> {
        loop {
            let second = self.byte(self.at + 1);
            match self.byte(self.at) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.at += 1,
                0x0b if self.dialect != Dialect::Sqlite => self.at += 1,
                b'#' if self.dialect == Dialect::MySql => self.skip_line(),
                b'-' if second == b'-' && self.dashes_comment() => self.skip_line(),
                b'/' if second == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// Whether `--` begins a comment: on MySQL `5--1` is 6.
    fn dashes_comment(&self) -> bool {
        let third = self.byte(self.at + 2);
        self.dialect != Dialect::MySql || third <= b' ' || third == 0x7f
    }

    /// On PostgreSQL a line ends at a carriage return too.
    fn skip_line(&mut self) {
        let rest = &self.sql.as_bytes()[self.at..];
        let ends = |byte: &u8| *byte == b'\n' || *byte == b'\r' && self.dialect == Dialect::Postgres;
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    /// PostgreSQL's comments nest; MySQL and MariaDB run some of theirs, and take hints from others.
    fn skip_comment(&mut self) -> Result<(), Refusal> {
        const OPEN: Refusal = "a comment is not closed";
        if self.dialect != Dialect::Postgres {
            let read = match self.byte(self.at + 2) {
                b'!' | b'+' => true,
                b'M' | b'm' => self.byte(self.at + 3) == b'!',
                _ => false,
            };
            if read && self.dialect == Dialect::MySql {
                return Err("comments that the server reads, /*! and /*+, may not be used");
            }
            self.at = self.after(self.at + 1, "*/").ok_or(OPEN)?;
            return Ok(());
        }
        let mut depth = 0usize;
        loop {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (0, _) => return Err(OPEN),
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// The index after a text or name whose quote, doubled, stands for itself.
    ///
    /// MySQL may be told that a backslash escapes and that it does not. A text differs in the two readings only where
    /// an odd number of them stands before the quote, so that is refused.
    fn quoted(&self, start: usize) -> Result<usize, Refusal> {
        let bytes = self.sql.as_bytes();
        let quote = bytes[start];
        let mut at = start + 1;
        loop {
            at += bytes[at..].iter().position(|&byte| byte == quote).ok_or("a quoted text is not closed")?;
            if self.dialect == Dialect::MySql && quote != b'`' && bytes[at - 1] == b'\\' {
                let backslashes = bytes[start..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                if backslashes % 2 == 1 {
                    return Err("a backslash may not stand before a quote; send the text as a parameter");
                }
            }
            at += 1;
            if self.byte(at) != quote {
                return Ok(at);
            }
            at += 1;
        }
    }

    /// The index after PostgreSQL's `E'..'`, where a backslash escapes; `start` is its quote.
    fn escaped_text(&self, start: usize) -> Result<usize, Refusal> {
        let mut at = start + 1;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (0, _) => return Err("a quoted text is not closed"),
                (b'\\', _) | (b'\'', b'\'') => at += 2,
                (b'\'', _) => return Ok(at + 1),
                _ => at += 1,
            }
        }
    }

    /// The index after PostgreSQL's `$tag$..$tag$`.
    fn dollar_text(&self, start: usize) -> Result<usize, Refusal> {
        let mut end = start + 1;
        while is_word(self.byte(end)) && self.byte(end) != b'$' {
            end += 1;
        }
        let tag = self.sql.get(start..=end).filter(|tag| tag.ends_with('$')).ok_or("a `$` stands alone")?;
        self.after(end, tag).ok_or("a quoted text is not closed")
    }

    /// The index after a number of PostgreSQL's. Some versions go on with a word directly behind it, and may see an
    /// `E''` text there, others do not.
    fn number(&self, start: usize) -> Result<usize, Refusal> {
        let digits = |mut at: usize| {
            while matches!(self.byte(at), b'0'..=b'9' | b'_') {
                at += 1;
            }
            at
        };
        let mut at = digits(start + 1);
        if self.byte(start) == b'0' && at == start + 1 && matches!(self.byte(at) | 0x20, b'x' | b'o' | b'b') {
            at += 1;
            while self.byte(at).is_ascii_hexdigit() || self.byte(at) == b'_' {
                at += 1;
            }
        } else {
            if self.byte(at) == b'.' {
                at = digits(at + 1);
            }
            if self.byte(at) | 0x20 == b'e' {
                let sign = usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
                if self.byte(at + 1 + sign).is_ascii_digit() {
                    at = digits(at + 2 + sign);
                }
            }
        }
        match is_word(self.byte(at)) {
            true => Err("a space is missing after a number"),
            false => Ok(at),
        }
    }

    /// `?`, `?7` or `$7`. Elsewhere than on SQLite it may be written differently when it is sent, so it must not touch
    /// what it would then be a part of.
    fn parameter(&self, start: usize) -> Result<(Shape, usize), Refusal> {
        let mut end = start + 1;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        let number = match &self.sql[start + 1..end] {
            "" => None,
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        if self.dialect != Dialect::Sqlite {
            let joins = |byte: u8| is_word(byte) || byte == b'?';
            let joined = start > 0 && self.dialect == Dialect::Postgres && joins(self.byte(start - 1));
            if joined || joins(self.byte(end)) {
                return Err("a space is missing before or after a parameter");
            }
            if number == Some(0) {
                return Err("parameters are numbered from 1");
            }
        } else if number == Some(0) || self.byte(start) == b'$' && (is_word(self.byte(end)) || self.byte(end) == b':') {
            // SQLite takes `$1a` and `$1::a` for names.
            return Ok((Shape::OddParameter, self.while_word(end)));
        }
        Ok((Shape::Parameter(number), end))
    }
}
