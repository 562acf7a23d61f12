//! A future whose work runs to completion: if the future is dropped, the work becomes a task of its own. Work that has
//! used much processor time moves to the threads of `heavy`.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::heavy::{self, InTurn, Pace, SHARE};

/// Whether the future that ran the work was dropped, and the task that waits for this.
#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    waiting: AtomicWaker,
}

/// Future that resolves once the [`DetachOnDrop`] that runs the work has been dropped.
#[derive(Debug)]
pub(super) struct Abandoned(Arc<Flag>);

impl Future for Abandoned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.waiting.register(context.waker());
        if self.0.is_set.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Future that runs work on the caller's task, which saves a switch to another task and back. If the future is dropped
/// before the work has finished, the work continues as a task of its own.
pub(super) struct DetachOnDrop<F: Future<Output: Send> + Send + 'static> {
    work: Work<F>,
    /// Time that the polls of the work have taken.
    used: Duration,
    /// The pace of the work's route, if it has a route.
    pace: Option<Arc<Pace>>,
    abandoned: Arc<Flag>,
    tasks: TaskTracker,
}

enum Work<F: Future> {
    Here(Pin<Box<F>>),
    /// On a thread of [`heavy`].
    Moved(JoinHandle<F::Output>),
    Ended,
}

/// Runs `work` to completion. If the returned future is dropped, [`Abandoned`] resolves and the work continues as one
/// of `tasks`. `pace` belongs to the work's route. The output is `None` if the work panics.
pub(super) fn detach_on_drop<F: Future<Output: Send> + Send + 'static>(
    tasks: &TaskTracker,
    pace: Option<Arc<Pace>>,
    work: impl FnOnce(Abandoned) -> F,
) -> DetachOnDrop<F> {
    let abandoned = Arc::new(Flag::default());
    let is_slow = pace.as_ref().is_some_and(|pace| pace.is_slow());
    let work = Work::Here(Box::pin(work(Abandoned(abandoned.clone()))));
    let mut detaching = DetachOnDrop { work, used: Duration::ZERO, pace, abandoned, tasks: tasks.clone() };
    if is_slow {
        detaching.move_away();
    }
    detaching
}

impl<F: Future<Output: Send> + Send + 'static> Future for DetachOnDrop<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let output = match &mut self.work {
            Work::Here(work) => {
                let begun = Instant::now();
                let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
                self.used += begun.elapsed();
                match polled {
                    Ok(Poll::Pending) if self.used < SHARE => return Poll::Pending,
                    Ok(Poll::Pending) => {
                        self.move_away();
                        return if matches!(self.work, Work::Moved(_)) { self.poll(context) } else { Poll::Pending };
                    }
                    Ok(Poll::Ready(output)) => {
                        if let Some(pace) = &self.pace {
                            pace.record(self.used);
                        }
                        Some(output)
                    }
                    Err(_) => None,
                }
            }
            // tokio has caught a panic of the work.
            Work::Moved(task) => ready!(Pin::new(task).poll(context)).ok(),
            Work::Ended => None,
        };
        self.work = Work::Ended;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> DetachOnDrop<F> {
    /// Moves pending work to a thread of [`heavy`], unless these could not be started.
    fn move_away(&mut self) {
        let Some(runtime) = heavy::runtime() else { return };
        if let Work::Here(work) = std::mem::replace(&mut self.work, Work::Ended) {
            self.work = Work::Moved(match self.pace.take() {
                Some(pace) => self.tasks.spawn_on(InTurn::new(work, pace, self.used), runtime),
                None => self.tasks.spawn_on(work, runtime),
            });
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for DetachOnDrop<F> {
    fn drop(&mut self) {
        // Set the flag before the spawn, so that the first poll of the spawned task sees the flag.
        self.abandoned.is_set.store(true, Relaxed);
        match std::mem::replace(&mut self.work, Work::Ended) {
            Work::Here(work) => drop(self.tasks.spawn(work)),
            Work::Moved(_) => self.abandoned.waiting.wake(),
            Work::Ended => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    #[tokio::test]
    async fn returns_the_output_of_finished_work() {
        let tasks = TaskTracker::new();
        assert_eq!(detach_on_drop(&tasks, None, |_| async { 7 }).await, Some(7));
        assert_eq!(detach_on_drop(&tasks, None, |_| async { panic!("no") }).await, None::<()>);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn detached_work_is_notified_and_runs_to_its_end() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        let mut work = Box::pin(detach_on_drop(&tasks, None, |abandoned| async {
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
        drop(detach_on_drop(&tasks, None, |_| async { sender.send("ended") }));
        assert_eq!(ended.await?, "ended");
        Ok(())
    }

    /// Uses more than a share of processor time. Returns the name of the thread that it continues on.
    async fn spin() -> Option<String> {
        let begun = Instant::now();
        while begun.elapsed() < 2 * SHARE {}
        tokio::task::yield_now().await;
        std::thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn long_work_moves_to_threads_with_a_lower_priority() {
        let tasks = TaskTracker::new();
        assert_eq!(detach_on_drop(&tasks, None, |_| spin()).await.flatten().as_deref(), Some("carya-heavy"));
        let panics = async {
            spin().await;
            panic!("no");
        };
        assert_eq!(detach_on_drop(&tasks, None, |_| panics).await, None::<()>);
    }

    #[tokio::test]
    async fn work_of_a_slow_route_begins_there() {
        let (tasks, pace) = (TaskTracker::new(), Arc::new(Pace::new(Arc::new(Semaphore::new(1)))));
        let thread = async || {
            let name = |_| async { std::thread::current().name().map(str::to_owned) };
            detach_on_drop(&tasks, Some(pace.clone()), name).await.flatten()
        };
        assert_ne!(thread().await.as_deref(), Some("carya-heavy"));
        pace.record(100 * SHARE);
        assert_eq!(thread().await.as_deref(), Some("carya-heavy"));
    }

    #[tokio::test]
    async fn moved_work_is_notified_if_the_future_is_dropped() -> Result<(), oneshot::error::RecvError> {
        let (tasks, (sender, ended)) = (TaskTracker::new(), oneshot::channel());
        let mut work = Box::pin(detach_on_drop(&tasks, None, |abandoned| async {
            let thread = spin().await;
            abandoned.await;
            let _ = sender.send(thread);
        }));
        assert!(futures_util::poll!(&mut work).is_pending());
        tokio::time::sleep(SHARE).await;
        drop(work);
        assert_eq!(ended.await?.as_deref(), Some("carya-heavy"));
        Ok(())
    }
}
