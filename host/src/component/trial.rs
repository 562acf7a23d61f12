//! The trial of a component: makes one instance within the component's limits, and checks the types of the instance's
//! exports. A component that fails its trial would fail every request.

use std::time::{Duration, Instant};

use wasmtime::{PoolConcurrencyLimitError, WasmBacktrace};

use super::{
    indices::Mismatch,
    loaded::Component,
    store::{OutOfMemory, OutOfTime},
};

/// Pause between two attempts of a trial to make an instance while the pool is full.
const PAUSE: Duration = Duration::from_millis(20);

/// Error of a component that failed its trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The types of an export differ from the contract.
    #[error(transparent)]
    Types(Mismatch),
    /// No instance could be made.
    #[error("{0}")]
    Instance(String),
    /// Requests use all instances of the pool.
    #[error("{0}")]
    Busy(String),
}

impl Component {
    /// Makes an instance, and compares the types of the instance's exports with the contract.
    pub async fn try_out(&self) -> Result<(), TrialError> {
        let begun = Instant::now();
        loop {
            match self.try_once().await {
                // Requests are short, so an instance becomes free soon.
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
            Err(error) => {
                let data = instance.store.data();
                let errors = data.last_errors().map_or_else(String::new, |errors| format!("; stderr: {errors}"));
                match self.instance_error(&error, data.refused_memory()) {
                    TrialError::Instance(why) => Err(TrialError::Instance(why + &errors)),
                    other => Err(other),
                }
            }
        }
    }

    /// Returns the error for an instance that could not be made. `refused` is set if the guest requested memory beyond
    /// the limit.
    fn instance_error(&self, error: &wasmtime::Error, refused: Option<OutOfMemory>) -> TrialError {
        let name = self.name();
        let also = refused.map_or_else(String::new, |refused| format!(" ({refused}: {})", refused.key(name)));
        // If the error has a backtrace, guest code has run. If the initial memory exceeds the limit, the instantiation
        // fails before guest code runs.
        let has_run = error.downcast_ref::<WasmBacktrace>().is_some();
        let why = match refused {
            _ if error.is::<PoolConcurrencyLimitError>() => {
                return TrialError::Busy(format!(
                    "could not be tried out, because requests use all instances: {error:#}"
                ));
            }
            _ if error.is::<OutOfTime>() => {
                let limit = self.timeout;
                format!("its start function did not end within `timeout` = {limit:?} (component.{name}.timeout){also}")
            }
            _ if has_run => format!("its start function trapped: {}{also}", error.root_cause()),
            Some(OutOfMemory { wanted, limit, .. }) => format!(
                "its initial memory of {wanted} bytes is more than `memory` = {limit} bytes; raise component.{name}.memory, or \
                 link it with a smaller stack and less static data"
            ),
            None => format!("{error:#}"),
        };
        TrialError::Instance(format!("cannot be instantiated: {why}"))
    }
}
