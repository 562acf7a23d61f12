//! The form of the access log, and its lines in the combined log format on standard output.

use std::{
    fmt::{self, Display},
    net::IpAddr,
    sync::OnceLock,
    time::SystemTime,
};

use super::lines::STDOUT;

/// Form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum AccessFormat {
    /// Records of the log, on standard error.
    #[default]
    Short,
    /// The same with all fields.
    Full,
    /// Lines in the combined log format, on standard output.
    Combined,
    /// No access log.
    Off,
}

static FORMAT: OnceLock<AccessFormat> = OnceLock::new();

/// Sets the form of the access log of this process. Only the first call has an effect.
pub(crate) fn log_access_as(format: AccessFormat) {
    let _ = FORMAT.set(format);
}

/// Returns the form of the access log of this process.
pub(crate) fn access_format() -> AccessFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// A line in the combined log format of Apache and nginx.
#[derive(Debug)]
pub(crate) struct Combined<'a> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) status: u16,
    /// Length of the response's body.
    pub(crate) bytes: u64,
    pub(crate) referer: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
}

impl Combined<'_> {
    /// Writes the line, with the current time.
    pub(crate) fn write(&self) {
        let line = self.line(SystemTime::now());
        STDOUT.add(line.as_bytes(), true);
    }

    fn line(&self, at: SystemTime) -> String {
        let Self { client, method, target, protocol, status, bytes, referer, user_agent } = self;
        let client = client.map_or_else(|| "-".to_owned(), |address| address.to_string());
        // "Sun, 29 Nov 2026 12:00:00 GMT" has the parts of the time in the same order.
        let at = httpdate::fmt_http_date(at);
        let (day, month, year, time) = (&at[5..7], &at[8..11], &at[12..16], &at[17..25]);
        let (target, referer, user_agent) =
            (Escaped(target), Escaped(or_dash(*referer)), Escaped(or_dash(*user_agent)));
        format!(
            "{client} - - [{day}/{month}/{year}:{time} +0000] \"{method} {target} {protocol}\" {status} {bytes} \
             \"{referer}\" \"{user_agent}\"\n"
        )
    }
}

fn or_dash(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("-")
}

/// Text in which all bytes but visible ASCII and spaces, and `"` and `\`, are written as `\xHH`, as nginx does.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.as_bytes().chunk_by(|one, other| is_plain(*one) && is_plain(*other)) {
            match str::from_utf8(part) {
                Ok(text) if is_plain(part[0]) => f.write_str(text)?,
                _ => part.iter().try_for_each(|byte| write!(f, "\\x{byte:02X}"))?,
            }
        }
        Ok(())
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn lines_have_the_combined_format() {
        let full = Combined {
            client: Some([192, 0, 2, 1].into()),
            method: "GET",
            target: "/a?b=\"c\"",
            protocol: "HTTP/1.1",
            status: 200,
            bytes: 12,
            referer: Some("http://x/\n"),
            user_agent: Some("curl/8 é\\"),
        };
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            full.line(at),
            "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=\\x22c\\x22 HTTP/1.1\" 200 12 \"http://x/\\x0A\" \
             \"curl/8 \\xC3\\xA9\\x5C\"\n"
        );
        let empty = Combined { client: None, target: "", referer: None, user_agent: Some(""), ..full };
        let line = empty.line(at);
        assert!(
            line.starts_with("- - - [06/Nov/1994") && line.ends_with("\"GET  HTTP/1.1\" 200 12 \"-\" \"-\"\n"),
            "{line}"
        );
    }
}
