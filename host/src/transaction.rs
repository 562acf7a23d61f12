//! The transaction of a request, owned by the host: how it starts, the statements and actions of guests inside it, and
//! how it ends. It uses `database`; of HTTP it uses only methods and statuses, and of WebAssembly nothing.

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
