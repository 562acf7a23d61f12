//! A future whose work runs to completion: if the future is dropped, the work becomes a task of its own.

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

/// Future that resolves once the [`DetachOnDrop`] that runs the work has been dropped.
#[derive(Debug)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Future for Abandoned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // No waker is needed: dropping `DetachOnDrop` spawns the work as a task, which polls this future again.
        if self.0.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Future that runs work on the caller's task, which saves a switch to another task and back. If the future is dropped
/// before the work has finished, the work continues as a task of its own.
pub(super) struct DetachOnDrop<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    abandoned: Arc<AtomicBool>,
    tasks: TaskTracker,
}

/// Runs `work` to completion. If the returned future is dropped, [`Abandoned`] resolves and the work continues as one
/// of `tasks`. The output is `None` if the work panics.
pub(super) fn detach_on_drop<F: Future<Output: Send> + Send + 'static>(
    tasks: &TaskTracker,
    work: impl FnOnce(Abandoned) -> F,
) -> DetachOnDrop<F> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let work = work(Abandoned(abandoned.clone()));
    DetachOnDrop { work: Some(Box::pin(work)), abandoned, tasks: tasks.clone() }
}

impl<F: Future<Output: Send> + Send + 'static> Future for DetachOnDrop<F> {
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

impl<F: Future<Output: Send> + Send + 'static> Drop for DetachOnDrop<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // Set the flag before the spawn, so that the first poll of the spawned task sees the flag.
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
    async fn returns_the_output_of_finished_work() {
        let tasks = TaskTracker::new();
        assert_eq!(detach_on_drop(&tasks, |_| async { 7 }).await, Some(7));
        assert_eq!(detach_on_drop(&tasks, |_| async { panic!("no") }).await, None::<()>);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn detached_work_is_notified_and_runs_to_its_end() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        let mut work = Box::pin(detach_on_drop(&tasks, |abandoned| async {
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
    async fn work_that_is_dropped_before_its_first_poll_runs() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        drop(detach_on_drop(&tasks, |_| async { sender.send("ended") }));
        assert_eq!(ended.await?, "ended");
        Ok(())
    }
}
