//! Running the actions that guests registered: after the outcome, in fresh instances with no database, each apart from
//! the others. Those that must not be lost are run again from the outbox until they succeed.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    component::{Guest, Sandbox},
    database::{
        Database,
        outbox::{self, Entry},
    },
    generation::Generation,
    message::Request,
    transaction::{Action, Delivery, Trace},
};

/// How often the outbox is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs the actions of a request, in order of registration. One that fails is logged and the rest still run.
pub async fn run(
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

/// Delivers what earlier runs left in the outbox, until told to stop.
pub async fn deliver_outbox(generation: Arc<Generation>, database: Arc<Database>, stop: CancellationToken) {
    loop {
        if stop.is_cancelled() {
            return;
        }
        // To its end: what is taken and not run would stay hidden for a while.
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
    let request = Arc::new(Request { id: entry.id.clone(), ..Request::default() });
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

/// Runs an action once, and keeps the outbox's book.
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
    let result = Sandbox::new(Guest::new(request.clone())).run_action(component, action, attempt).await;
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
