//! A future whose work runs to completion even if the future is dropped.

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

/// Future that resolves once the [`ToTheEnd`] that runs the work has been dropped.
#[derive(Debug)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Future for Abandoned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // No waker is needed: dropping `ToTheEnd` spawns the work as a task, which polls this future again.
        if self.0.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Future that runs work on the caller's task, which saves the hop to another task and back. If the future is dropped
/// before the work has finished, the work continues as a task of its own.
pub(super) struct ToTheEnd<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    abandoned: Arc<AtomicBool>,
    tasks: TaskTracker,
}

/// Runs `work` to completion. If the returned future is dropped, [`Abandoned`] resolves and the work continues as one
/// of `tasks`. The output is `None` if the work panics.
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
            // Stored before the spawn, so that the first poll of the task finds it.
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
