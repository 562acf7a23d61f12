//! The trial of a component: one instance, made within the component's limits, and the types of its exports. What fails
//! here would fail every request.

use std::time::{Duration, Instant};

use wasmtime::{PoolConcurrencyLimitError, WasmBacktrace};

use super::{
    indices::Mismatch,
    loaded::Component,
    store::{OutOfMemory, OutOfTime},
};

/// How long a trial waits before it requests a place in the pool again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a component failed its trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// An export has other types than the host calls it with.
    #[error(transparent)]
    Types(Mismatch),
    /// No instance can be made.
    #[error("{0}")]
    Instance(String),
    /// The requests have taken all places in the pool.
    #[error("{0}")]
    Busy(String),
}

impl Component {
    /// Makes an instance and compares the types of its exports with those that the host calls.
    pub async fn try_out(&self) -> Result<(), TrialError> {
        let begun = Instant::now();
        loop {
            match self.try_once().await {
                // Requests are short.
                Err(TrialError::Busy(_)) if begun.elapsed() < self.timeout => tokio::time::sleep(PAUSE).await,
                result => return result,
            }
        }
    }

    async fn try_once(&self) -> Result<(), TrialError> {
        let mut instance = self.instances.store();
        instance.store.data_mut().begin_call(self.timeout);
        let making = tokio::time::timeout(self.timeout, instance.instantiate(&self.instances)).await;
        match making.unwrap_or_else(|_| Err(OutOfTime.into())) {
            Ok(made) => self.indices.check(&mut instance.store, &made).map_err(TrialError::Types),
            Err(error) => Err(self.fault(&error, instance.store.data().refused_memory())),
        }
    }

    /// Why no instance could be made. `refused` is the memory that it was refused before.
    fn fault(&self, error: &wasmtime::Error, refused: Option<OutOfMemory>) -> TrialError {
        let name = self.name();
        let also = refused.map_or_else(String::new, |refused| format!(" ({refused}: component.{name}.memory)"));
        // Code ran if there are frames of it. Initial memories are refused before any does.
        let has_run = error.downcast_ref::<WasmBacktrace>().is_some();
        let why = match refused {
            _ if error.is::<PoolConcurrencyLimitError>() => {
                return TrialError::Busy(format!(
                    "could not be tried out, because requests have all instances: {error:#}"
                ));
            }
            _ if error.is::<OutOfTime>() => {
                let limit = self.timeout;
                format!("its start function did not end within `timeout` = {limit:?} (component.{name}.timeout){also}")
            }
            _ if has_run => format!("its start function trapped: {}{also}", error.root_cause()),
            Some(OutOfMemory { wanted, limit }) => format!(
                "its initial memory of {wanted} bytes is more than `memory` = {limit} bytes; raise component.{name}.memory, or \
                 link it with a smaller stack and less static data"
            ),
            None => format!("{error:#}"),
        };
        TrialError::Instance(format!("cannot be instantiated: {why}"))
    }
}
