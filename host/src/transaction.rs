//! The host-owned transaction of a request: what is started, what guests do inside, how it ends. Knows databases;
//! knows nothing of WebAssembly or HTTP beyond a status number.

pub mod actions;
pub mod binding;
pub mod plan;
pub mod session;
pub mod trace;
pub mod verdict;

pub use actions::{Action, Delivery};
pub use binding::{Bound, Cleared, ReadOnly, Settled, Started, Unbound};
pub use session::Session;
pub use trace::{Event, Trace};
pub use verdict::{Approval, Outcome, Reason, Verdict};
