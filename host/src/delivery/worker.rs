//! Workers that deliver the actions in the outbox of a database. A commit that records actions wakes a worker. Workers
//! also poll the outbox, for actions that failed earlier and for actions of other hosts.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::run::{Failure, Run};
use crate::{
    database::Database,
    generation::Generation,
    message::Request,
    outbox::{self, Delivery},
    telemetry::metrics::Delivered,
    transaction::Action,
};

/// Interval between two polls of an outbox in which no action is due.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between two counts of the actions in an outbox, for the metrics.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Delivers the actions that are due, one after the other, until `stop` is cancelled.
pub(crate) async fn work(generation: Arc<Generation>, database: Arc<Database>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        // `stop` does not interrupt `take_due` or the run of the action, because a taken action that does not run would
        // stay hidden until its lease ends.
        match outbox::take_due(&database).await {
            Ok(Some(delivery)) => {
                // There may be another action for another worker.
                database.outbox().wake();
                deliver(&generation, &database, delivery).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the outbox cannot be read; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = database.outbox().woken() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
    // The signal may have been for this worker. Pass it on to the workers of the next generation.
    database.outbox().wake();
}

/// Runs an action. Its transaction deletes it from the outbox. After a failure, postpones the next delivery.
async fn deliver(generation: &Generation, database: &Arc<Database>, delivery: Delivery) {
    let Delivery { entry, attempt, mut lease } = delivery;
    // The request has ended, and other hosts never had it. Its id is kept for the log.
    let request = Arc::new(Request { id: entry.request.as_str().into(), ..Request::default() });
    let action = Action::from(entry);
    let outbox = database.outbox();
    let run = Run { generation, database: Some(database), action: &action, request: &request, attempt };
    // A host that is killed during a delivery does not postpone the next one, so `attempt` may exceed the maximum.
    let result = match attempt > outbox.max_attempts {
        true => Err(Failure::Unfinished),
        false => run.with_lease(&mut lease).await,
    };
    let Err(error) = result else {
        outbox.tally.count(Delivered::Succeeded);
        return;
    };
    let (id, name, request) = (&*action.id, &*action.name, &*request.id);
    if matches!(error, Failure::LeaseLost) {
        tracing::warn!(request, id, name, attempt, "another delivery of an action has begun; this one was rolled back");
        return;
    }
    outbox.tally.count(Delivered::Failed);
    match outbox::put_off(database, &lease, attempt).await {
        Ok(false) => tracing::error!(request, id, name, attempt, %error, "an action failed; it will be run again"),
        Ok(true) => tracing::error!(
            request, id, name, attempt, %error,
            "an action failed too often (max_attempts) and is dead; run it again by `carya outbox retry`"
        ),
        Err(unwritten) => {
            tracing::error!(request, id, name, attempt, %error, "an action failed; it will be run again");
            tracing::error!(id, name, error = %unwritten, "the outbox could not be updated; the action will be run again");
        }
    }
}

/// Counts the actions in an outbox for the metrics, until `stop` is cancelled.
pub(crate) async fn measure(database: Arc<Database>, stop: CancellationToken) {
    let _shown = database.outbox().tally.show();
    while !stop.is_cancelled() {
        // An outbox that cannot be read keeps its last counts. The workers log the error.
        if let Ok(counts) = outbox::count(&database).await {
            database.outbox().tally.observe(counts.pending, counts.dead, counts.oldest);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(COUNT_INTERVAL) => {}
        }
    }
}
