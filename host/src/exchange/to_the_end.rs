//! Work that comes to its end whether or not somebody waits for it. It does not know what the work is.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio_util::task::TaskTracker;

/// Is ready when nobody waits for the work any more.
#[derive(Debug)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Future for Abandoned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Nobody need be woken: the work is polled afresh when it goes on without them.
        if self.0.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Runs on the task of those who wait, which saves handing it over and back. Dropped before its end, it goes on as a
/// task of its own.
pub(super) struct ToTheEnd<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    abandoned: Arc<AtomicBool>,
    tasks: TaskTracker,
}

/// Begins work that is told when it is abandoned, and then is one of the `tasks`. None comes of work that panics.
pub(super) fn to_the_end<F: Future<Output: Send> + Send + 'static>(
    tasks: &TaskTracker,
    work: impl FnOnce(Abandoned) -> F,
) -> ToTheEnd<F> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let work = work(Abandoned(abandoned.clone()));
    ToTheEnd { work: Some(Box::pin(work)), abandoned, tasks: tasks.clone() }
}

impl<F: Future<Output: Send> + Send + 'static> Future for ToTheEnd<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let polled = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Some(output),
            Err(_) => None,
        };
        self.work = None;
        Poll::Ready(polled)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for ToTheEnd<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.abandoned.store(true, Relaxed);
            self.tasks.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_is_given_back() {
        let tasks = TaskTracker::new();
        assert_eq!(to_the_end(&tasks, |_| async { 7 }).await, Some(7));
        assert_eq!(to_the_end(&tasks, |_| async { panic!("no") }).await, None::<()>);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_waited_for_is_told_so_and_ends() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        let mut work = Box::pin(to_the_end(&tasks, |abandoned| async {
            abandoned.await;
            tokio::task::yield_now().await;
            let _ = sender.send("ended");
        }));
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(ended.await?, "ended");
        Ok(())
    }

    #[tokio::test]
    async fn what_never_began_ends_too() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        drop(to_the_end(&tasks, |_| async { sender.send("ended") }));
        assert_eq!(ended.await?, "ended");
        Ok(())
    }
}
