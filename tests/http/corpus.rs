//! Corpus of requests as bytes, with the sections of the RFCs that decide about them: `http1.txt` and `http2.txt`.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    script::config,
    support::{App, PATIENCE, Result, Wrong, check, check_eq},
};

const HTTP1: &str = include_str!("http1.txt");
const HTTP2: &str = include_str!("http2.txt");
/// Minimum number of cases in each file.
const MIN_CASES: (usize, usize) = (150, 60);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const TYPES: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];
const CODES: [&str; 10] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
];
/// Beginnings of header blocks with the field `:status`: fields of the static table, or Huffman-coded digits.
const STATUSES: [(&[u8], &str); 10] = [
    (b"\x88", "200"),
    (b"\x89", "204"),
    (b"\x8a", "206"),
    (b"\x8b", "304"),
    (b"\x8c", "400"),
    (b"\x8d", "404"),
    (b"\x8e", "500"),
    (b"\x48\x83\x68\x0d\xff", "405"),
    (b"\x48\x83\x68\x2c\xff", "413"),
    (b"\x48\x82\x6c\x01", "501"),
];

const TABLE: (&str, &str) = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");

async fn start() -> Result<App> {
    let files = "[[static]]\npath = \"/files\"\nfolder = \"files\"\n";
    App::start_in(tempfile::tempdir()?, &format!("{}{files}", config()), &[TABLE, ("files/a", "0123456789")], &[]).await
}

/// Returns the section, the answer and the rest of each case of a file.
fn cases(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| {
        let (section, line) = line.split_once(' ')?;
        let line = line.trim_start();
        // An answer may be of two words: `RST CODE`.
        let words = if line.starts_with(['R', 'G']) && !line.starts_with("GET ") { 2 } else { 1 };
        let end = line.match_indices(' ').nth(words - 1)?.0;
        Some((section, &line[..end], line[end..].trim_start_matches(' ')))
    })
}

/// Returns the bytes that a text with the escapes `\r`, `\n`, `\t`, `\\` and `\xHH` stands for.
fn bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut letters) = (Vec::new(), text.bytes());
    while let Some(letter) = letters.next() {
        bytes.push(match (letter, (letter == b'\\').then(|| letters.next()).flatten()) {
            (_, Some(b'r')) => b'\r',
            (_, Some(b'n')) => b'\n',
            (_, Some(b't')) => b'\t',
            (_, Some(b'x')) => {
                let mut digit = || char::from(letters.next().unwrap_or_default()).to_digit(16).expect("two digits");
                u8::try_from(16 * digit() + digit()).expect("a byte")
            }
            (_, Some(other)) => other,
            (letter, None) => letter,
        });
    }
    bytes
}

/// Sends bytes. Returns the statuses of all responses until the host closes the connection.
async fn statuses(app: &App, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(app.address()).await?;
    // The host may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received)).await?;
    let received = String::from_utf8_lossy(&received);
    let status = |rest: &str| {
        rest.get(2..5).filter(|status| status.bytes().all(|digit| digit.is_ascii_digit())).map(str::to_owned)
    };
    Ok(received.split("HTTP/1.").skip(1).filter_map(status).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn requests_of_http_1_get_the_answers_of_the_rfcs() -> Result {
    let app = start().await?;
    let (mut wrong, mut count) = (Wrong::default(), 0);
    for (section, expected, text) in cases(HTTP1) {
        let end = b"GET /none/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let found = statuses(&app, &[&bytes(text), &end[..]].concat()).await?;
        check_eq!(wrong, found, expected, "RFC {section}: {text}");
        count += 1;
    }
    check!(wrong, count >= MIN_CASES.0, "{count} cases");
    check!(wrong, app.log.lines().iter().all(|line| line["level"] != "ERROR"), "no error of the host");
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns a header block of literal fields, which are not indexed.
fn block(fields: &str) -> Vec<u8> {
    let literal = |field: &str| {
        // The name may begin with a colon, and the value may contain an equals sign.
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let [name, value] = [name, value].map(bytes);
        let length = |text: &[u8]| u8::try_from(text.len()).unwrap_or_default();
        [&[0, length(&name)], &name[..], &[length(&value)], &value[..]].concat()
    };
    let field = |word: &str| match word {
        "GET" | "POST" => block(&format!(":method={word} :scheme=http :path=/x :authority=x")),
        _ => literal(word),
    };
    fields.split(' ').filter(|word| !word.is_empty()).flat_map(field).collect()
}

/// Returns the bytes of a step.
fn step(text: &str) -> Vec<u8> {
    if let Some(text) = text.strip_prefix("bytes ").or_else(|| text.strip_prefix("more ")) {
        return bytes(text);
    }
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (kind, flags, stream, payload) = (word(), word(), word(), word());
    let kind = TYPES.iter().position(|name| *name == kind).and_then(|kind| u8::try_from(kind).ok());
    let kind = kind.unwrap_or_else(|| text[4..].split(' ').next().and_then(|n| n.parse().ok()).expect("a type"));
    let payload = match (kind, payload.split_once(':')) {
        (1 | 9, Some(("raw", rest))) => bytes(rest),
        (1 | 9, Some(("pad", rest))) => [&[3], &block(rest)[..], &[0; 3]].concat(),
        (1 | 9, Some(("prio", rest))) => [&[0, 0, 0, 0, 16], &block(rest)[..]].concat(),
        (1 | 9, Some(("self", rest))) => [&[0, 0, 0, 1, 16], &block(rest)[..]].concat(),
        (1 | 9, _) => block(payload),
        _ => bytes(payload),
    };
    let flags = u8::from_str_radix(flags, 16).expect("flags");
    frame(kind, flags, stream.parse().expect("a stream"), &payload)
}

/// Reads a frame. Returns its type, flags and payload, or `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> Result<Option<(u8, u8, Vec<u8>)>> {
    let mut head = [0; 9];
    if timeout(PATIENCE, stream.read_exact(&mut head)).await?.is_err() {
        return Ok(None);
    }
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    // A response of HTTP/1 is no frame: the connection ends within its payload.
    match timeout(PATIENCE, stream.read_exact(&mut payload)).await? {
        Ok(_) => Ok(Some((head[3], head[4], payload))),
        Err(_) => Ok(None),
    }
}

fn code(payload: &[u8]) -> &'static str {
    let code = payload.first_chunk().map(|code| u32::from_be_bytes(*code) as usize);
    code.and_then(|code| CODES.get(code)).unwrap_or(&"?")
}

/// Sends the steps of a case. Returns the answer of the host.
async fn answer(app: &App, steps: &str, is_setting: bool) -> Result<String> {
    let mut stream = TcpStream::connect(app.address()).await?;
    let sent: Vec<u8> = steps.split("; ").flat_map(step).collect();
    let preface = if steps.starts_with("bytes ") { b"" } else { PREFACE };
    let _ = stream.write_all(&[preface, &sent].concat()).await;
    let mut settings = 0;
    loop {
        match read(&mut stream).await? {
            None => return Ok("CLOSE".to_owned()),
            Some((1, _, block)) => {
                // The block may begin with a new size of the dynamic table.
                let start = usize::from(block.first().is_some_and(|first| first & 0xe0 == 0x20));
                let status = STATUSES.iter().find(|(begin, _)| block[start..].starts_with(begin));
                return Ok(status.map_or_else(|| format!("{block:02x?}"), |(_, status)| (*status).to_owned()));
            }
            Some((3, _, payload)) => {
                stream.write_all(&frame(6, 0, 0, b"87654321")).await?;
                while let Some((kind, _, pong)) = read(&mut stream).await? {
                    if (kind, &pong[..]) == (6, b"87654321") {
                        return Ok(format!("RST {}", code(&payload)));
                    }
                }
                return Ok(format!("RST {}, and the connection ends", code(&payload)));
            }
            Some((7, _, payload)) => {
                while read(&mut stream).await?.is_some() {}
                return Ok(format!("GOAWAY {}", code(payload.get(4..).unwrap_or_default())));
            }
            Some((6, flags, _)) if flags & 1 == 1 => return Ok("ACK".to_owned()),
            Some((4, flags, _)) if flags & 1 == 1 => settings += 1,
            Some(_) => {}
        }
        if is_setting && settings == 2 {
            return Ok("ACK".to_owned());
        }
    }
}

#[tokio::test]
async fn frames_of_http_2_get_the_answers_of_the_rfcs() -> Result {
    let app = start().await?;
    let (mut wrong, mut count) = (Wrong::default(), 0);
    for (section, expected, steps) in cases(HTTP2) {
        // Behind the slash stands the answer of the RFC, if the libraries give another one.
        let expected = expected.split('/').next().unwrap_or_default();
        let is_setting = expected == "ACK" && steps.starts_with("SETTINGS");
        check_eq!(wrong, answer(&app, steps, is_setting).await?, expected, "RFC {section}: {steps}");
        count += 1;
    }
    check!(wrong, count >= MIN_CASES.1, "{count} cases");
    check!(wrong, app.log.lines().iter().all(|line| line["level"] != "ERROR"), "no error of the host");
    Ok(())
}
