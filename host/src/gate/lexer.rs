//! Divides SQL text into tokens by the [`Syntax`] of a dialect, in one pass and without copies. The lexer does not
//! distinguish keywords from names. It refuses text that has different meanings on different servers, or with different
//! settings of a server.

use std::ops::Range;

use super::syntax::{Comments, Dollar, Numbers, Parameters, Sigils, Syntax};

/// Class of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A keyword or an unquoted name.
    Word,
    /// A name in quotes.
    QuotedName,
    /// A string literal of any kind.
    Literal,
    /// A parameter, with its number if it has one.
    Parameter(Option<usize>),
    /// A parameter that SQLite supports and the driver does not: one with a name, or with the number 0.
    UnsupportedParameter,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;`
    Semicolon,
    /// A number, in dialects with [`Numbers::Separate`].
    Number,
    /// Any other byte.
    Sign(u8),
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) shape: Shape,
    /// Byte range of the token, including its quotes.
    pub(super) range: Range<usize>,
}

/// Reason why a text is refused.
pub(super) type Refusal = &'static str;

/// Iterator over the tokens of a text.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    sql: &'a str,
    syntax: &'static Syntax,
    at: usize,
    /// Whether the last token was an `E''` literal.
    after_escaped: bool,
}

const NOT_CLOSED: Refusal = "a quoted text is not closed";

/// Table of the bytes that belong to words. All bytes of non-ASCII characters belong to words.
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
    /// Creates a lexer for a text without NUL bytes.
    pub(super) fn new(syntax: &'static Syntax, sql: &'a str) -> Self {
        Self { sql, syntax, at: 0, after_escaped: false }
    }

    /// Returns the next token, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Refusal> {
        self.skip()?;
        let (start, syntax) = (self.at, self.syntax);
        let byte = self.byte(start);
        let second = self.byte(start + 1);
        let after_escaped = std::mem::take(&mut self.after_escaped);
        let (shape, end) = match byte {
            0 => return Ok(None),
            // PostgreSQL joins literals that only whitespace separates. The versions of PostgreSQL differ in whether
            // the second literal has escapes.
            b'\'' if after_escaped => return Err("a string literal must not directly follow an E'' literal"),
            b'\'' => (Shape::Literal, self.quoted(start)?),
            b'"' => (Shape::QuotedName, self.quoted(start)?),
            b'`' if syntax.backtick_quotes => (Shape::QuotedName, self.quoted(start)?),
            b'[' if syntax.bracket_quotes => (Shape::QuotedName, self.after(start, "]").ok_or(NOT_CLOSED)?),
            b'(' => (Shape::Open, start + 1),
            b')' => (Shape::Close, start + 1),
            b';' => (Shape::Semicolon, start + 1),
            b'?' => self.parameter(start)?,
            b'$' if second.is_ascii_digit() => self.parameter(start)?,
            b'$' => self.dollar(start)?,
            b':' | b'@' | b'#' => self.sigil(start, byte, second)?,
            b'0'..=b'9' => self.number(start)?,
            b'E' | b'e' if second == b'\'' && syntax.escape_prefixes => {
                self.after_escaped = true;
                (Shape::Literal, self.escaped_literal(start + 1)?)
            }
            b'U' | b'u' if second == b'&' && self.byte(start + 2) == b'"' && syntax.escape_prefixes => {
                return Err("names must not be written as U&\"..\"");
            }
            b'\\' if syntax.ambiguous_backslash => return Err("backslashes must not be used outside string literals"),
            byte if is_word(byte) => (Shape::Word, self.while_word(start + 1)),
            byte => (Shape::Sign(byte), start + 1),
        };
        self.at = end;
        Ok(Some(Token { shape, range: start..end }))
    }

    /// Returns the byte at an index, or 0 after the end. The text contains no NUL.
    fn byte(&self, at: usize) -> u8 {
        self.sql.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// Returns the index after the first occurrence of `end` that begins after `start`.
    fn after(&self, start: usize, end: &str) -> Option<usize> {
        Some(start + 1 + self.sql.get(start + 1..)?.find(end)? + end.len())
    }

    /// Returns the index of the first byte at or after `at` that does not belong to a word.
    fn while_word(&self, mut at: usize) -> usize {
        while is_word(self.byte(at)) {
            at += 1;
        }
        at
    }

    /// Skips whitespace and comments.
    fn skip(&mut self) -> Result<(), Refusal> {
        loop {
            let second = self.byte(self.at + 1);
            match self.byte(self.at) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.at += 1,
                0x0b if self.syntax.vertical_tab_is_space => self.at += 1,
                b'#' if self.syntax.hash_comments => self.skip_line(),
                b'-' if second == b'-' && self.dashes_begin_comment() => self.skip_line(),
                b'/' if second == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn dashes_begin_comment(&self) -> bool {
        let third = self.byte(self.at + 2);
        !self.syntax.dashes_need_space || third <= b' ' || third == 0x7f
    }

    fn skip_line(&mut self) {
        let rest = &self.sql.as_bytes()[self.at..];
        let ends = |byte: &u8| *byte == b'\n' || *byte == b'\r' && self.syntax.carriage_return_ends_line;
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn skip_comment(&mut self) -> Result<(), Refusal> {
        const NOT_CLOSED: Refusal = "a comment is not closed";
        match self.syntax.comments {
            Comments::Nested => return self.skip_nested_comment().ok_or(NOT_CLOSED),
            Comments::Executable if self.is_executable_comment() => {
                return Err("comments that the server reads, /*! and /*+, must not be used");
            }
            Comments::Flat | Comments::Executable => {}
        }
        self.at = self.after(self.at + 1, "*/").ok_or(NOT_CLOSED)?;
        Ok(())
    }

    fn is_executable_comment(&self) -> bool {
        match self.byte(self.at + 2) {
            b'!' | b'+' => true,
            b'M' | b'm' => self.byte(self.at + 3) == b'!',
            _ => false,
        }
    }

    fn skip_nested_comment(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (0, _) => return None,
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Some(());
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// Returns the index after the literal or name whose opening quote is at `start`. A doubled quote stands for one
    /// quote.
    ///
    /// With [`Syntax::ambiguous_backslash`], the server's settings determine where the text ends if an odd number of
    /// backslashes precedes a quote. Such a text is refused.
    fn quoted(&self, start: usize) -> Result<usize, Refusal> {
        let bytes = self.sql.as_bytes();
        let quote = bytes[start];
        let mut at = start + 1;
        loop {
            at += bytes[at..].iter().position(|&byte| byte == quote).ok_or(NOT_CLOSED)?;
            if self.syntax.ambiguous_backslash && quote != b'`' && bytes[at - 1] == b'\\' {
                let backslashes = bytes[start..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                if backslashes % 2 == 1 {
                    return Err("a backslash must not precede a quote; send the text as a parameter");
                }
            }
            at += 1;
            if self.byte(at) != quote {
                return Ok(at);
            }
            at += 1;
        }
    }

    /// Returns the index after the `E'..'` literal whose opening quote is at `start`.
    fn escaped_literal(&self, start: usize) -> Result<usize, Refusal> {
        let mut at = start + 1;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (0, _) => return Err(NOT_CLOSED),
                (b'\\', _) | (b'\'', b'\'') => at += 2,
                (b'\'', _) => return Ok(at + 1),
                _ => at += 1,
            }
        }
    }

    /// Reads a token that begins with a `$` before a character other than a digit.
    fn dollar(&self, start: usize) -> Result<(Shape, usize), Refusal> {
        match self.syntax.dollar {
            Dollar::Parameter => Ok((Shape::UnsupportedParameter, self.while_word(start + 1))),
            Dollar::Quote => Ok((Shape::Literal, self.dollar_literal(start)?)),
            Dollar::Ambiguous => Err("a name that begins with `$` needs quotes"),
        }
    }

    /// Returns the index after `$tag$..$tag$`.
    fn dollar_literal(&self, start: usize) -> Result<usize, Refusal> {
        let mut end = start + 1;
        while is_word(self.byte(end)) && self.byte(end) != b'$' {
            end += 1;
        }
        let tag = self.sql.get(start..=end).filter(|tag| tag.ends_with('$')).ok_or("a `$` begins no quoted text")?;
        self.after(end, tag).ok_or(NOT_CLOSED)
    }

    /// Reads a token that begins with `:`, `@` or `#`.
    fn sigil(&self, start: usize, byte: u8, second: u8) -> Result<(Shape, usize), Refusal> {
        match (self.syntax.sigils, byte, second) {
            (Sigils::Parameter, _, _) => Ok((Shape::UnsupportedParameter, self.while_word(start + 1))),
            (Sigils::Variable, b'@', _) => Err("variables must not be used"),
            (Sigils::Variable, b':', b'=') => Err("variables must not be set"),
            (Sigils::Operator | Sigils::Variable, _, _) => Ok((Shape::Sign(byte), start + 1)),
        }
    }

    /// Reads a token that begins with a digit.
    fn number(&self, start: usize) -> Result<(Shape, usize), Refusal> {
        match self.syntax.numbers {
            Numbers::Words => return Ok((Shape::Word, self.while_word(start + 1))),
            Numbers::Separate => {}
        }
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
            // The word could be the `E` of an `E''` literal.
            true => Err("a space is missing after a number"),
            false => Ok((Shape::Number, at)),
        }
    }

    /// Reads `?`, `?7` or `$7`.
    fn parameter(&self, start: usize) -> Result<(Shape, usize), Refusal> {
        let mut end = start + 1;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        let number = match &self.sql[start + 1..end] {
            "" => None,
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        let next = self.byte(end);
        let joins = |byte: u8| is_word(byte) || byte == b'?';
        let is_joined = match self.syntax.parameters {
            Parameters::Unchanged => {
                let is_name = self.byte(start) == b'$' && (is_word(next) || next == b':');
                return match is_name || number == Some(0) {
                    true => Ok((Shape::UnsupportedParameter, self.while_word(end))),
                    false => Ok((Shape::Parameter(number), end)),
                };
            }
            Parameters::QuestionMark => joins(next),
            Parameters::DollarNumber => joins(next) || start > 0 && joins(self.byte(start - 1)),
        };
        match number {
            _ if is_joined => Err("a space is missing before or after a parameter"),
            Some(0) => Err("parameters are numbered from 1"),
            _ => Ok((Shape::Parameter(number), end)),
        }
    }
}
