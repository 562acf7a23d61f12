//! Handles panics in asynchronous work: restarts background loops, and turns a panic in a single step into an error.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

/// Pause before a loop restarts after a panic, so that a loop that panics at once does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Error for work that ended in a panic. The log has the location.
#[derive(Debug, thiserror::Error)]
#[error("the host panicked, which is a bug in carya: {0}")]
pub(crate) struct Panicked(String);

/// Runs `work`, and returns a panic in it as an error.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked(message(&*payload)))
}

/// Runs the background loop that `work` creates until it returns. After a panic, logs the panic and calls `work` again.
pub(crate) async fn persist<T, F: Future<Output = T>>(name: &'static str, mut work: impl FnMut() -> F) -> T {
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

/// Returns the message of a panic. The payload of `panic!` is a `&str` or a `String`, but a library may panic with
/// another type.
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
