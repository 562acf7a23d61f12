//! Ends an abandoned session, and watches it until the server has ended it; see [`runaway`](super::runaway).

use std::time::{Duration, Instant};

use deadpool::managed::Object;

use super::{
    opener::{Opener, SessionState},
    runaway::Sent,
};

/// Time that the server has to end an abandoned session. After that the session counts as running away.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after its abandonment at which a session stops counting towards `max_connections`.
const MAX_HOLD: Duration = Duration::from_secs(60);
/// Shortest and longest pause between two checks of an abandoned session.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// Maximum length of a statement in the log, in bytes.
const MAX_LOGGED_SQL: usize = 1000;

/// Closes the connection of an abandoned session, requests the end of the session, and watches it until it has ended.
/// Meanwhile the session keeps its place in the pool, as the documentation of [`runaway`](super::runaway) describes.
pub(super) async fn end(mut pooled: Object<Opener>, sent: Sent) {
    let (Some(session), Some(pool)) = (pooled.session.take(), Object::pool(&pooled)) else { return };
    let id = session.id();
    // PostgreSQL also notices that the client is gone (`client_connection_check_interval`).
    drop(session);
    let (entry, since) = (pooled.runaways.enter(sent.component.clone()), Instant::now());
    let (mut place, mut pause, mut is_runaway) = (Some(pooled), PAUSES.0, false);
    if let Err(error) = pool.manager().query_warden(id.kill()).await {
        tracing::debug!(%error, "an abandoned session could not be terminated; the server ends its statement after its timeout");
    }
    let (server, name) = (pool.manager().host(), id.to_string());
    let weak = pool.weak();
    drop(pool);
    // A closed pool opens no connections, so its abandoned sessions need not be counted any more.
    while let Some(pool) = weak.upgrade().filter(|pool| !pool.is_closed()) {
        let age = since.elapsed();
        match pool.manager().session_state(&id, age).await {
            SessionState::Ended => {
                if is_runaway {
                    let seconds = age.as_secs();
                    tracing::info!(
                        server,
                        session = name,
                        seconds,
                        "the database server has ended a session that ran away"
                    );
                }
                break;
            }
            SessionState::Listed if age >= KILL_TIMEOUT => {
                let has_too_many = entry.runs_away();
                if !is_runaway {
                    let sql = sent.sql.get(..sent.sql.floor_char_boundary(MAX_LOGGED_SQL)).unwrap_or_default();
                    let (session, component, request) = (&name, sent.component.as_deref(), sent.request.as_deref());
                    tracing::warn!(
                        server,
                        session,
                        component,
                        request,
                        sql,
                        "a statement runs away: the database server does not end it"
                    );
                }
                is_runaway = true;
                if (age >= MAX_HOLD || has_too_many) && place.is_some() && entry.release() {
                    place.take().map(Object::take);
                }
            }
            // If the server is unreachable, the pool opens no connections either. Check again until the server answers.
            SessionState::Listed | SessionState::Unknown => {}
            SessionState::Forbidden(error) => {
                if pool.manager().runaways.is_newly_blind() {
                    let message = "cannot see whether an abandoned session has ended; run `carya harden --apply` again";
                    tracing::warn!(server, %error, message);
                }
                break;
            }
        }
        drop(pool);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    drop(entry);
    place.map(Object::take);
    if let Some(pool) = weak.upgrade() {
        pool.manager().close_warden().await;
    }
}
