//! Runs actions after the commit or rollback of the transaction in which guests registered them. Each action runs in a
//! new instance, in a transaction of its own on the database of its request.
//!
//! The request waits for its actions with [`Delivery::AtMostOnce`](crate::transaction::Delivery) and those for the
//! rollback ([`run_actions`]). Workers run the actions in the outbox, a table of the database, and repeat each of them
//! until it succeeds ([`work`]).

mod run;
mod worker;

use std::{sync::Arc, time::Instant};

use self::run::{Failure, Run};
pub(crate) use self::worker::{measure, work};
use crate::{
    database::Database,
    generation::Generation,
    message::Request,
    transaction::{Action, Trace},
};

/// Runs the actions of a request, in order of registration. An action that fails is logged, and the rest still run. All
/// of them together run for at most `server.action_timeout`; the rest is logged and lost.
pub(crate) async fn run_actions(
    generation: &Generation,
    database: Option<&Arc<Database>>,
    actions: Vec<Action>,
    request: &Arc<Request>,
    trace: &mut Trace,
) {
    let deadline = Instant::now() + generation.config.server.action_timeout;
    let mut left = actions.iter();
    for action in left.by_ref() {
        let open = trace.open(action.event(), Some(action.name.clone()));
        let run = Run { generation, database, action, request, attempt: 1 };
        let result = run.until(deadline).await;
        trace.close(open);
        let (id, name) = (&*action.id, &*action.name);
        if let Err(error) = &result {
            tracing::error!(request = &*request.id, id, name, attempt = 1, %error, "an action failed");
        }
        if matches!(result, Err(Failure::OutOfTime)) || Instant::now() >= deadline {
            break;
        }
    }
    let names: Vec<_> = left.map(|action| &*action.name).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        tracing::error!(request = &*request.id, names, "actions did not run: server.action_timeout was over");
    }
}
