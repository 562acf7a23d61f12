//! Runs `guest-examples/curl.txt`: sends the request of every line and compares the status with the line's comment.

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::super::support::{Engine, Result, Wrong, check, check_eq};

/// A `curl` command, with the options that the examples use.
#[derive(Debug)]
struct Line {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Line {
    fn read(line: &str) -> Result<Self> {
        let mut words = words(line).into_iter();
        if words.next().as_deref() != Some("curl") {
            return Err("not a line of curl".into());
        }
        let (mut method, mut path, mut headers, mut body) = (None, String::new(), HeaderMap::new(), String::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or("a value is missing");
            match word.as_str() {
                "-i" => {}
                "-I" => method = Some(Method::HEAD),
                "-X" => method = Some(value()?.parse()?),
                "-d" => body = value()?,
                "-H" => {
                    let header = value()?;
                    let (name, value) = header.split_once(": ").ok_or("not a header")?;
                    headers.insert(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
                }
                url => {
                    let (_, rest) = url.split_once("127.0.0.1:8080/").ok_or_else(|| format!("what is {url}?"))?;
                    path = format!("/{rest}");
                }
            }
        }
        let default = if body.is_empty() { Method::GET } else { Method::POST };
        Ok(Self { method: method.unwrap_or(default), path, headers, body })
    }
}

/// Splits a line into words like a shell. Only supports single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

/// Returns the statuses in a comment, in order, e.g. 201 and 409 for `: 201, and 409 when done again`.
fn statuses(comment: &str) -> Vec<u16> {
    let end = comment.rsplit_once(": ").map_or("", |(_, end)| end);
    end.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
}

#[tokio::test]
async fn every_line_returns_the_status_of_its_comment() -> Result {
    for engine in Engine::all() {
        let app = super::open_on(engine).await?;
        let text = std::fs::read_to_string(super::folder().join("curl.txt"))?;
        let lines: Vec<&str> = text.lines().collect();
        let mut wrong = Wrong::default();
        for pair in lines.chunks(2) {
            let [comment, line] = pair else { return Err("a comment has no line".into()) };
            let Line { method, path, headers, body } = Line::read(line).map_err(|error| format!("{line}: {error}"))?;
            let statuses = statuses(comment);
            check!(wrong, comment.starts_with("# ") && !statuses.is_empty(), "{comment}");
            for status in statuses {
                let answer = app.send(method.as_str(), &path, headers.clone(), body.clone()).await?;
                check_eq!(wrong, answer.status, status, "{engine}: {comment}\n{line}\n{}", answer.text());
            }
        }
        assert!(lines.len() >= 24, "curl.txt lost some lines");
    }
    Ok(())
}
