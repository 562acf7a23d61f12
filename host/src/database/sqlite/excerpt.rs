//! `highlight()` and `snippet()` of FTS5, in linear time and with the same results. The functions of FTS5 take
//! quadratic time in the number of matches and cannot be interrupted: a snippet of a document of 1.5 MB took more than
//! 30 s. This file handles tokens and matches, not connections.

use std::ops::Range;

use super::functions::TooBig;

/// Maximum length of a snippet, in tokens.
const MAX_TOKENS: usize = 64;

/// A match of a phrase of the query in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) phrase: u32,
    /// Index of the first token.
    pub(super) start: usize,
    /// Index after the last token.
    pub(super) end: usize,
}

/// Byte range of a token in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A column of a row.
pub(super) struct Column<'a> {
    pub(super) text: &'a [u8],
    pub(super) tokens: Vec<Token>,
    /// Number of tokens in the index: 0 for a column that is not indexed.
    pub(super) size: usize,
    /// Numbers of the matches.
    pub(super) matches: Range<usize>,
    /// Returns the match with a number. Matches are ordered by their first tokens.
    pub(super) find: &'a dyn Fn(usize) -> Match,
}

/// Texts around matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks<'a> {
    pub(super) open: &'a [u8],
    pub(super) close: &'a [u8],
    /// Replaces text that a snippet leaves out.
    pub(super) ellipsis: &'a [u8],
}

/// Returns the text with marks around its matches.
pub(super) fn highlight(column: &Column<'_>, marks: Marks<'_>, max: usize) -> Result<Vec<u8>, TooBig> {
    let mut output = Output { bytes: Vec::with_capacity(column.text.len().min(max)), max };
    let copied = mark(column, None, marks, &mut output)?;
    output.add(column.text.get(copied..))?;
    Ok(output.bytes)
}

/// Returns the part of a column, of at most `count` tokens, that contains the most different phrases of the query.
pub(super) fn snippet(columns: &[Column<'_>], count: usize, marks: Marks<'_>, max: usize) -> Result<Vec<u8>, TooBig> {
    let count = count.min(MAX_TOKENS);
    let mut best = (0, 0, 0);
    for (index, column) in columns.iter().enumerate() {
        let sentences = column.sentences();
        let (mut at_match, mut at_sentence) = (Window::new(column, count), Window::new(column, count));
        for number in column.matches.clone() {
            let start = (column.find)(number).start;
            let (score, end) = at_match.move_to(start);
            if score > best.0 {
                best = (score, index, column.center(start, end, count));
            }
            let behind = sentences.partition_point(|sentence| *sentence <= start);
            let sentence = behind.checked_sub(1).map(|at| sentences[at]).filter(|sentence| *sentence < start);
            if let Some(sentence) = sentence.filter(|_| column.size > count) {
                let score = at_sentence.move_to(sentence).0 + if sentence == 0 { 120 } else { 100 };
                if score > best.0 {
                    best = (score, index, sentence);
                }
            }
        }
    }
    let (_, index, start) = best;
    let Some(column) = columns.get(index) else { return Ok(Vec::new()) };
    let mut output = Output { bytes: Vec::new(), max };
    if start > 0 {
        output.add(Some(marks.ellipsis))?;
    }
    let copied = mark(column, Some(start..start + count), marks, &mut output)?;
    let is_end = start + count >= column.size;
    output.add(if is_end { column.text.get(copied..) } else { Some(marks.ellipsis) })?;
    Ok(output.bytes)
}

/// Writes the text of a column, or only the tokens in `window`, with marks. Returns the index after the last byte that
/// was handled.
fn mark(
    column: &Column<'_>,
    window: Option<Range<usize>>,
    marks: Marks<'_>,
    output: &mut Output,
) -> Result<usize, TooBig> {
    let text = column.text;
    let all = window.clone().unwrap_or(0..column.tokens.len());
    let mut matches = column.merged().skip_while(|found| window.is_some() && found.start < all.start);
    let mut current = matches.next();
    let (mut copied, mut is_open) = (0, false);
    for (position, token) in column.tokens.iter().enumerate().take(all.end).skip(all.start) {
        let token = token.start as usize..token.end as usize;
        if position == all.start && position > 0 {
            copied = token.start;
        }
        if is_open && current.as_ref().is_none_or(|found| position <= found.start) && token.start > copied {
            output.add(Some(marks.close))?;
            is_open = false;
        }
        if current.as_ref().is_some_and(|found| position == found.start) && !is_open {
            output.add(text.get(copied..token.start))?;
            output.add(Some(marks.open))?;
            copied = token.start;
            is_open = true;
        }
        if current.as_ref().is_some_and(|found| position + 1 == found.end) {
            if !is_open {
                output.add(Some(marks.open))?;
                is_open = true;
            }
            output.add(text.get(copied..token.end))?;
            copied = token.end;
            current = matches.next();
        }
        if window.is_some() && position + 1 == all.end {
            if is_open {
                if current.as_ref().is_some_and(|found| position >= found.start) {
                    output.add(text.get(copied..token.end))?;
                    copied = token.end;
                }
                output.add(Some(marks.close))?;
                is_open = false;
            }
            output.add(text.get(copied..token.end))?;
            copied = token.end;
        }
    }
    if is_open {
        output.add(Some(marks.close))?;
    }
    Ok(copied)
}

impl Column<'_> {
    /// Returns the matches. Matches that overlap are merged.
    fn merged(&self) -> impl Iterator<Item = Range<usize>> {
        let mut rest = self.matches.clone().map(self.find).peekable();
        std::iter::from_fn(move || {
            let Match { start, end, .. } = rest.next()?;
            let mut merged = start..end;
            while let Some(next) = rest.next_if(|next| next.start < merged.end) {
                merged.end = merged.end.max(next.end);
            }
            Some(merged)
        })
    }

    /// Returns the tokens that begin a sentence.
    fn sentences(&self) -> Vec<usize> {
        let begins = |(position, token): (usize, &Token)| {
            let before = self.text.get(..token.start as usize).unwrap_or_default();
            let trimmed = before.trim_ascii_end();
            let ends = trimmed.len() < before.len() && trimmed.last().is_some_and(|byte| matches!(byte, b'.' | b':'));
            (position == 0 || ends).then_some(position)
        };
        self.tokens.iter().enumerate().filter_map(begins).collect()
    }

    /// Returns the first token of a snippet of `count` tokens that has the tokens from `start` to `end` in its middle.
    fn center(&self, start: usize, end: usize, count: usize) -> usize {
        let margin = (count as i64 - (end as i64 - start as i64)) / 2;
        let adjusted = (start as i64 - margin).min(self.size as i64 - count as i64);
        usize::try_from(adjusted).unwrap_or(0)
    }
}

/// Window of `count` consecutive tokens that moves towards the end of a column, and the matches that begin in it.
struct Window<'a> {
    column: &'a Column<'a>,
    count: usize,
    matches: Range<usize>,
    /// Number of matches of each phrase.
    phrases: Vec<usize>,
    /// Number of different phrases that match.
    different: usize,
    /// Index of the token after the last match.
    end: usize,
}

impl<'a> Window<'a> {
    fn new(column: &'a Column<'a>, count: usize) -> Self {
        let first = column.matches.start;
        Self { column, count, matches: first..first, phrases: Vec::new(), different: 0, end: 0 }
    }

    /// Moves the window to `start`. Returns its score and the index of the token after the last match. The score is
    /// 1000 for each phrase, and 1 for each further match of the phrase.
    fn move_to(&mut self, start: usize) -> (usize, usize) {
        while self.matches.end < self.column.matches.end {
            let Match { phrase, start: token, end } = (self.column.find)(self.matches.end);
            if token >= start + self.count {
                break;
            }
            let phrase = phrase as usize;
            self.phrases.resize(self.phrases.len().max(phrase + 1), 0);
            self.different += usize::from(self.phrases[phrase] == 0);
            self.phrases[phrase] += 1;
            self.end = end;
            self.matches.end += 1;
        }
        while self.matches.start < self.matches.end {
            let Match { phrase, start: token, .. } = (self.column.find)(self.matches.start);
            if token >= start {
                break;
            }
            self.phrases[phrase as usize] -= 1;
            self.different -= usize::from(self.phrases[phrase as usize] == 0);
            self.matches.start += 1;
        }
        (self.matches.len() + 999 * self.different, self.end)
    }
}

/// Returns the first number of a range for which `has` is false. `has` must be true for all numbers before it and false
/// after it.
pub(super) fn partition(Range { mut start, mut end }: Range<usize>, has: impl Fn(usize) -> bool) -> usize {
    while start < end {
        let middle = start.midpoint(end);
        match has(middle) {
            true => start = middle + 1,
            false => end = middle,
        }
    }
    start
}

/// Text with a maximum length.
#[derive(Debug)]
struct Output {
    bytes: Vec<u8>,
    max: usize,
}

impl Output {
    fn add(&mut self, part: Option<&[u8]>) -> Result<(), TooBig> {
        let part = part.unwrap_or_default();
        if self.bytes.len() + part.len() > self.max {
            return Err(TooBig);
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }
}
