//! The log of a carya process, line by line, as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    sync::watch,
};

use super::{PATIENCE, Result};

/// Log lines read so far, with methods that wait for further lines.
pub struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    /// Number of lines read. The sender is dropped at the end of the log.
    news: watch::Receiver<usize>,
}

impl Log {
    /// Starts a task that reads a log to its end.
    pub fn follow(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (tell, news) = watch::channel(0);
        let written = lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                // Lines that are not JSON are messages for people, e.g. the error that ends the process.
                let line = serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "message": line }));
                let mut lines = written.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(line);
                tell.send_replace(lines.len());
            }
        });
        Self { lines, news }
    }

    /// Returns the lines read so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first line whose message contains `text`. Fails with the whole log if the line does not appear
    /// within [`PATIENCE`] or before the end of the log.
    pub async fn wait_for(&self, text: &str) -> Result<Value> {
        self.wait_until(text, |line| line["message"].as_str().is_some_and(|message| message.contains(text))).await
    }

    /// Waits for the next line, from index `seen` on, whose message contains one of `texts`. Then sets `seen` to the
    /// index after that line.
    pub async fn next(&self, seen: &mut usize, texts: &[&str]) -> Result<Value> {
        let mut news = self.news.clone();
        let find = |seen: usize| {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let says = |line: &&Value| {
                line["message"].as_str().is_some_and(|message| texts.iter().any(|text| message.contains(text)))
            };
            let found = lines[seen..].iter().enumerate().find(|(_, line)| says(line));
            found.map(|(at, line)| (seen + at + 1, line.clone())).ok_or(lines.len())
        };
        let waiting = async {
            let mut from = *seen;
            loop {
                news.mark_unchanged();
                match find(from) {
                    Ok(found) => return Some(found),
                    Err(end) => from = end,
                }
                news.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_default();
        let (past, line) =
            found.ok_or_else(|| format!("none of {texts:?} was logged, but {:#?}", &self.lines()[*seen..]))?;
        *seen = past;
        Ok(line)
    }

    /// Waits for the first line that `matches` accepts. `what` describes the line in the error message.
    pub async fn wait_until(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut news = self.news.clone();
        let find = || self.lines().into_iter().find(|line| matches(line));
        let waiting = async {
            loop {
                news.mark_unchanged();
                if let Some(line) = find() {
                    return Some(line);
                }
                if news.changed().await.is_err() {
                    return find();
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_default();
        found.ok_or_else(|| format!("{what:?} was not logged, but {:#?}", self.lines()).into())
    }
}
