//! The database transaction of a request, which the host owns: how it starts, how statements and actions of guests
//! become part of it, and how it ends. The module depends on `database`. The only types of HTTP that it uses are
//! methods and statuses, and it does not depend on WebAssembly.
//!
//! # Order of steps
//!
//! The types permit only these orders of steps: `Unbound -> Cleared`, `Unbound -> ReadOnly -> Cleared` and
//! `Unbound -> Started -> Settled -> Cleared`. Each step consumes the value of the previous step, and none of these
//! types is `Clone`. The host settles a started transaction with a verdict, clears it, and then replies:
//!
//! ```
//! use carya::{
//!     lifecycle::{Ended, Served},
//!     message::Reply,
//!     transaction::{Facts, Started, Trace, decide},
//! };
//!
//! async fn end(started: Started, facts: Facts<'_>, mut trace: Trace, reply: Reply, served: Served) -> Ended {
//!     let verdict = decide(&facts);
//!     let settled = started.settle(verdict, &mut trace).await;
//!     let cleared = settled.clear(&mut trace);
//!     Ended { reply, cleared, trace, failure: None, served }
//! }
//! ```
//!
//! A commit requires an [`Approval`], which only [`decide`] creates. This does not compile:
//!
//! ```compile_fail,E0423
//! use carya::transaction::{Approval, Settled, Started, Trace, Verdict};
//!
//! async fn end(started: Started, mut trace: Trace) -> Settled {
//!     let verdict = Verdict::Commit(Approval(()));
//!     started.settle(verdict, &mut trace).await
//! }
//! ```
//!
//! An approval permits one commit, so this does not compile:
//!
//! ```compile_fail,E0382
//! use carya::transaction::{Facts, Settled, Started, Trace, decide};
//!
//! async fn end(first: Started, second: Started, facts: Facts<'_>, mut trace: Trace) -> (Settled, Settled) {
//!     let verdict = decide(&facts);
//!     let first = first.settle(verdict, &mut trace).await;
//!     let second = second.settle(verdict, &mut trace).await;
//!     (first, second)
//! }
//! ```
//!
//! A transaction can be settled only once, so this does not compile:
//!
//! ```compile_fail,E0382
//! use carya::transaction::{Settled, Started, Trace, Verdict};
//!
//! async fn end(started: Started, verdicts: (Verdict, Verdict), mut trace: Trace) -> (Settled, Settled) {
//!     let first = started.settle(verdicts.0, &mut trace).await;
//!     let second = started.settle(verdicts.1, &mut trace).await;
//!     (first, second)
//! }
//! ```
//!
//! A transaction can be cleared only once, so this does not compile:
//!
//! ```compile_fail,E0382
//! use carya::transaction::{Cleared, Settled, Trace};
//!
//! fn end(settled: Settled, mut trace: Trace) -> (Cleared, Cleared) {
//!     let first = settled.clear(&mut trace);
//!     let second = settled.clear(&mut trace);
//!     (first, second)
//! }
//! ```
//!
//! A transaction cannot be cleared before it is settled, so this does not compile:
//!
//! ```compile_fail,E0599
//! use carya::transaction::{Cleared, Started, Trace};
//!
//! async fn end(started: Started, mut trace: Trace) -> Cleared {
//!     started.clear(&mut trace)
//! }
//! ```
//!
//! A reply requires a [`Cleared`], so this does not compile:
//!
//! ```compile_fail,E0063
//! use carya::{lifecycle::Ended, message::Reply, transaction::Trace};
//!
//! fn end(trace: Trace, reply: Reply) -> Ended {
//!     Ended { reply, trace, failure: None }
//! }
//! ```
//!
//! Only this module creates a [`Cleared`], when the binding of a request to its database ends. This does not compile:
//!
//! ```compile_fail,E0451
//! use carya::transaction::{Cleared, Outcome};
//!
//! fn end() -> Cleared {
//!     Cleared { outcome: Outcome::Committed, position: None }
//! }
//! ```

mod actions;
mod back_off;
mod binding;
pub(crate) mod plan;
mod recorder;
mod sent;
mod session;
mod stream;
mod trace;
mod verdict;

pub use actions::{Action, Delivery};
pub(crate) use back_off::back_off;
pub(crate) use binding::{Bound, ReadOnly, Unbound};
pub use binding::{Cleared, Settled, Started};
pub(crate) use recorder::{ActionRun, Recorded, Recorder, RequestEnd};
pub use session::{SavepointId, Session};
pub(crate) use stream::{Begun, RowStream};
pub use trace::Trace;
pub(crate) use trace::{Event, Open};
pub use verdict::{Approval, Facts, Outcome, Reason, Verdict, decide};
pub(crate) use verdict::{Origin, decide_call};
