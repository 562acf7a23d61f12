//! Lexical rules of the dialects, as data: which characters quote names and literals, begin comments, begin numbers and
//! separate tokens. The [`Lexer`] applies the rules.
//!
//! The rules hold for the settings with which the host opens connections: UTF-8, `standard_conforming_strings` on
//! PostgreSQL, `ANSI_QUOTES` on MySQL and MariaDB.
//!
//! [`Lexer`]: super::lexer::Lexer

use crate::config::Dialect;

/// Lexical rules of a dialect. The rules that have no field are the same in all dialects: `'` quotes literals and `"`
/// quotes names, a doubled quote inside quotes means one quote, `--` begins a comment up to the end of the line, and
/// `/*` a comment up to `*/`.
#[derive(Debug)]
pub(super) struct Syntax {
    /// `` ` `` quotes names.
    pub(super) backtick_quotes: bool,
    /// `[` and `]` quote names.
    pub(super) bracket_quotes: bool,
    /// `E'..'` is a literal in which a backslash escapes, and `U&".."` is a name with escapes.
    pub(super) escape_prefixes: bool,
    /// Whether a backslash in a literal escapes the next character depends on the server's settings. Outside literals,
    /// the meaning of a backslash is specific to the server.
    pub(super) ambiguous_backslash: bool,
    /// A vertical tab is whitespace.
    pub(super) vertical_tab_is_space: bool,
    /// `#` begins a comment up to the end of the line.
    pub(super) hash_comments: bool,
    /// `--` begins a comment only before whitespace or a control character. Elsewhere `--` is two operators: `5--1` is
    /// 6.
    pub(super) dashes_need_space: bool,
    /// A carriage return ends a line.
    pub(super) carriage_return_ends_line: bool,
    /// Rules for comments in `/*` and `*/`.
    pub(super) comments: Comments,
    /// Meaning of a `$` that begins a token, before a character other than a digit.
    pub(super) dollar: Dollar,
    /// Meaning of `:`, `@` and `#` outside comments.
    pub(super) sigils: Sigils,
    /// Meaning of a digit that begins a token.
    pub(super) numbers: Numbers,
    /// Notation in which parameters are sent to the engine.
    pub(super) parameters: Parameters,
}

/// Rules for comments in `/*` and `*/`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Comments {
    /// The first `*/` ends the comment.
    Flat,
    /// Comments nest.
    Nested,
    /// The first `*/` ends the comment. The server runs the text of `/*!` and `/*M!`, and takes hints from `/*+`.
    Executable,
}

/// Meaning of a `$` that begins a token, before a character other than a digit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dollar {
    /// Begins the name of a parameter.
    Parameter,
    /// Begins a literal: `$tag$..$tag$`.
    Quote,
    /// Begins a name in some versions of the server.
    Ambiguous,
}

/// Meaning of `:`, `@` and `#` outside comments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sigils {
    /// Each begins the name of a parameter.
    Parameter,
    /// Each is an operator or a part of one.
    Operator,
    /// `@` begins the name of a variable, and `:=` sets one.
    Variable,
}

/// Meaning of a digit that begins a token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers {
    /// Begins a number. If a word directly follows the number, some versions of the server read it as a separate word,
    /// and other versions report an error.
    Separate,
    /// Begins a word: names may begin with digits, or the gate need not distinguish a number from a word that directly
    /// follows it.
    Words,
}

/// Notation in which parameters are sent to the engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parameters {
    /// As the guest wrote them. `$1a` and `$1::a` are names of parameters.
    Unchanged,
    /// As `?`. A word must not directly follow a parameter.
    QuestionMark,
    /// As `$N`. A word must not directly precede or follow a parameter.
    DollarNumber,
}

impl Syntax {
    pub(super) fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Sqlite => &SQLITE,
            Dialect::Postgres => &POSTGRES,
            Dialect::MySql => &MYSQL,
        }
    }
}

pub(super) static SQLITE: Syntax = Syntax {
    backtick_quotes: true,
    bracket_quotes: true,
    escape_prefixes: false,
    ambiguous_backslash: false,
    vertical_tab_is_space: false,
    hash_comments: false,
    dashes_need_space: false,
    carriage_return_ends_line: false,
    comments: Comments::Flat,
    dollar: Dollar::Parameter,
    sigils: Sigils::Parameter,
    numbers: Numbers::Words,
    parameters: Parameters::Unchanged,
};

static POSTGRES: Syntax = Syntax {
    backtick_quotes: false,
    bracket_quotes: false,
    escape_prefixes: true,
    ambiguous_backslash: false,
    vertical_tab_is_space: true,
    hash_comments: false,
    dashes_need_space: false,
    carriage_return_ends_line: true,
    comments: Comments::Nested,
    dollar: Dollar::Quote,
    sigils: Sigils::Operator,
    numbers: Numbers::Separate,
    parameters: Parameters::DollarNumber,
};

static MYSQL: Syntax = Syntax {
    backtick_quotes: true,
    bracket_quotes: false,
    escape_prefixes: false,
    ambiguous_backslash: true,
    vertical_tab_is_space: true,
    hash_comments: true,
    dashes_need_space: true,
    carriage_return_ends_line: false,
    comments: Comments::Executable,
    dollar: Dollar::Ambiguous,
    sigils: Sigils::Variable,
    numbers: Numbers::Words,
    parameters: Parameters::QuestionMark,
};
