//! Runs actions after the commit or rollback of the transaction in which guests registered them. Each action runs in a
//! new instance without access to a database. The host keeps an action with [`Delivery::AtLeastOnce`] in the outbox, a
//! table of the database, and repeats the action until it succeeds.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    component::{Guests, RequestState},
    database::Database,
    generation::Generation,
    message::Request,
    outbox::{self, Entry},
    transaction::{Action, Delivery, Trace},
};

/// Interval between two polls of an empty outbox.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs the actions of a request, in order of registration. An action that fails is logged, and the rest still run.
pub(crate) async fn run_actions(
    generation: &Generation,
    database: Option<&Arc<Database>>,
    actions: Vec<Action>,
    request: &Arc<Request>,
    trace: &mut Trace,
) {
    for action in actions {
        let open = trace.open(action.event(), Some(action.name.clone()));
        attempt(generation, database, &action, request, 1).await;
        trace.close(open);
    }
}

/// Runs the actions that earlier attempts left in the outbox, until `stop` is cancelled.
pub(crate) async fn deliver_outbox(generation: Arc<Generation>, database: Arc<Database>, stop: CancellationToken) {
    loop {
        if stop.is_cancelled() {
            return;
        }
        // `stop` does not interrupt `take_due` or the run of the action, because a taken action that does not run would
        // stay hidden for `outbox::LEASE`.
        match outbox::take_due(&database).await {
            Ok(Some(entry)) => {
                redeliver(&generation, &database, entry).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the outbox cannot be read; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn redeliver(generation: &Generation, database: &Arc<Database>, entry: Entry) {
    let attempts = entry.attempts;
    let request = Arc::new(Request { id: entry.id.as_str().into(), ..Request::default() });
    let action = Action {
        component: entry.component.into(),
        name: entry.name.into(),
        payload: entry.payload,
        on_commit: true,
        delivery: Delivery::AtLeastOnce,
        id: entry.id,
    };
    attempt(generation, Some(database), &action, &request, attempts).await;
}

/// Runs an action once. If the action is in the outbox, deletes its row after a success, and postpones the next attempt
/// after a failure.
async fn attempt(
    generation: &Generation,
    database: Option<&Arc<Database>>,
    action: &Action,
    request: &Arc<Request>,
    attempt: u32,
) {
    let Some(component) = generation.component(&action.component) else {
        let (component, action) = (&*action.component, &*action.name);
        tracing::error!(
            component,
            action,
            "an action's component is no longer configured; the action stays in the outbox"
        );
        return;
    };
    let mut state = RequestState::new(request.clone());
    let result = Guests::default().run_action(&mut state, component, action, attempt).await;
    let recorded = action.delivery == Delivery::AtLeastOnce;
    let database = database.filter(|_| recorded);
    let kept = match (&result, database) {
        (Ok(()), Some(database)) => outbox::done(database, &action.id).await,
        (Err(_), Some(database)) => outbox::put_off(database, &action.id, attempt).await,
        (_, None) => Ok(()),
    };
    let (id, name) = (&*action.id, &*action.name);
    if let Err(error) = result {
        let again = if recorded { "; it will be run again" } else { "" };
        tracing::error!(request = &*request.id, id, name, attempt, %error, "an action failed{again}");
    }
    if let Err(error) = kept {
        tracing::error!(id, name, %error, "the outbox could not be updated; the action will be run again");
    }
}
