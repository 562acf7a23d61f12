//! Panics in work that must go on: background loops start again after one, and single steps turn it into an error. It
//! does not know what the work is.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

/// The pause before a loop that panicked starts again, so that one that panics at once does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Work ended in a panic. The panic hook has written its place to standard error.
#[derive(Debug, thiserror::Error)]
#[error("the host panicked, which is a bug in carya: {0}")]
pub struct Panicked(String);

/// Runs `work` and returns a panic in it as an error.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked(message(&*payload)))
}

/// Runs a loop until it returns. After a panic, which is logged, `work` makes it anew.
pub async fn persist<T, F: Future<Output = T>>(name: &'static str, mut work: impl FnMut() -> F) -> T {
    loop {
        match caught(async { work().await }).await {
            Ok(output) => return output,
            Err(error) => {
                tracing::error!(task = name, %error, "a background task panicked and is started again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The text of `panic!`, which is a `&str` or a `String` unless a library panics with a value of its own.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        let found = caught(async { panic!("number {}", 7) }).await;
        let found: Result<(), String> = found.map_err(|error| error.to_string());
        assert_eq!(found, Err("the host panicked, which is a bug in carya: number 7".to_owned()));
        assert!(matches!(caught(async { 1 }).await, Ok(1)));
    }

    #[tokio::test]
    async fn a_loop_starts_again_until_it_returns() {
        let mut started = 0;
        let ended = persist("test", || {
            started += 1;
            let turn = started;
            async move {
                tokio::task::yield_now().await;
                assert!(turn == 2, "turn {turn}");
                turn
            }
        });
        assert_eq!(ended.await, 2);
    }
}
