//! Replacing the served generation: assembles and tries a new generation beside the running requests, and serves it
//! once it is complete. If a step fails, the old generation stays.

mod change;
mod compare;
mod reloader;
mod retry;

pub(crate) use self::{
    change::{Change, Report, log_change},
    compare::Comparison,
    reloader::Reloader,
};
