//! The program's log, line by line, as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    sync::watch,
};

use super::{PATIENCE, Result};

/// What was logged so far, and what comes.
pub struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    /// Changes with every line; closed at the end of the log.
    news: watch::Receiver<usize>,
}

impl Log {
    /// Reads a log to its end, in the background.
    pub fn follow(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (tell, news) = watch::channel(0);
        let written = lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                // What is not JSON is a message for people, as the error at the end.
                let line = serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "message": line }));
                let mut lines = written.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(line);
                tell.send_replace(lines.len());
            }
        });
        Self { lines, news }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line whose message contains a text, waiting for it. Fails with the whole log if it does not come.
    pub async fn wait_for(&self, text: &str) -> Result<Value> {
        self.wait_until(text, |line| line["message"].as_str().is_some_and(|message| message.contains(text))).await
    }

    /// The next line from `seen` on whose message contains one of these texts, waiting for it. `seen` goes past it.
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

    /// The first line that is as asked for. `what` says in words what that is.
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
