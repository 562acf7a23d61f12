//! Measures a workload ([`Work`]) in rounds. Starts all servers that support the workload and checks their responses.
//! Each round then puts load on one server after the other.

use std::time::Duration;

use crate::{
    client,
    contestants::{Contestant, Places},
    databases::{self, Databases},
    error::Result,
    measure::Series,
    process::Process,
    progress::Progress,
    work::{Answer, Work},
    wrk::{self, Expected, Look},
};

/// Approximate time to start, warm up and stop one server, in seconds.
const AROUND: f64 = 2.5;

/// Settings and progress of a run.
pub(crate) struct Course<'a> {
    pub(crate) places: &'a Places,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) progress: Progress,
}

/// A running server and its measurements for one workload.
struct Runner {
    contestant: Contestant,
    process: Process,
    expected: Expected,
    url: Option<String>,
    /// Number of successful responses that `wrk` or [`check`] has received.
    acknowledged: u64,
    /// Maximum number of requests without a response: `wrk` aborts up to one request per connection when it stops. The
    /// server may have committed their writes.
    doubtful: u64,
    /// Result of the work's `trace` query before the first request.
    before: i64,
    series: Series,
}

impl Course<'_> {
    /// Adds the estimated duration of all `works` to the planned time of the progress display.
    pub(crate) fn plan(&mut self, works: &[Work], contestants: &[Contestant]) {
        for work in works {
            let runners = contestants.iter().filter(|contestant| contestant.does(work)).count();
            self.progress.plan(runners as f64 * self.one());
        }
    }

    fn one(&self) -> f64 {
        AROUND + self.rounds as f64 * self.seconds as f64
    }

    /// Measures one [`Work`] on all servers that support it. Returns one [`Series`] per server.
    pub(crate) async fn run(
        &mut self,
        work: &Work,
        contestants: &[Contestant],
        databases: Option<&Databases>,
    ) -> Result<Vec<Series>> {
        let mut runners = Vec::new();
        for contestant in contestants.iter().filter(|contestant| contestant.does(work)) {
            self.progress.show(&format!("{}: starting {contestant}", work.id()));
            let started = self.start(*contestant, work, databases).await;
            runners.push(started.map_err(|error| format!("{contestant}: {error}"))?);
            self.progress.done(AROUND);
        }
        for round in 1..=self.rounds {
            for runner in &mut runners {
                let contestant = runner.contestant;
                self.progress.show(&format!("{}: round {round} of {}, {contestant}", work.id(), self.rounds));
                let driven = self.drive(runner, work, Look::AtStatus, self.seconds).await;
                driven.map_err(|error| format!("{contestant}: {error}"))?;
                self.progress.done(self.seconds as f64);
            }
        }
        let mut all = Vec::new();
        for runner in runners {
            let contestant = runner.contestant;
            all.push(runner.end(work).await.map_err(|error| format!("{contestant}: {error}"))?);
        }
        self.tell(work, &all);
        Ok(all)
    }

    /// Measures the same work on several servers in rounds. The first server of a round is the slowest, because it begins
    /// on an idle machine, so each round begins with another one. Calls `prepare` before each round of a server.
    /// Stops the servers, and returns their series in the order of `hosts`.
    pub(crate) async fn alternate(
        &self,
        work: &Work,
        expected: &Expected,
        hosts: Vec<(Process, Series)>,
        prepare: impl AsyncFn(&Process) -> Result,
    ) -> Result<Vec<Series>> {
        let mut hosts: Vec<_> = hosts.into_iter().enumerate().collect();
        for round in 0..=self.rounds {
            for (_, (process, series)) in &mut hosts {
                self.progress.show(&format!("{}, {}: round {round} of {}", series.work, series.server, self.rounds));
                prepare(process).await?;
                // The first round is as long as the others, because a heavy guest sends its first responses late.
                let look = if round == 0 { Look::Closely } else { Look::AtStatus };
                let measure = wrk::drive(process, work, expected, (look, self.seconds), &self.places.scratch).await?;
                if round > 0 {
                    series.rounds.push(measure);
                }
            }
            hosts.rotate_left(1);
        }
        hosts.sort_by_key(|(index, _)| *index);
        let mut all = Vec::new();
        for (_, (process, series)) in hosts {
            process.stop().await?;
            all.push(series);
        }
        Ok(all)
    }

    async fn start(&self, contestant: Contestant, work: &Work, databases: Option<&Databases>) -> Result<Runner> {
        let url = match databases {
            Some(databases) => Some(databases.create(contestant.database()).await?),
            None => None,
        };
        let process = contestant.start(self.places, url.as_deref()).await?;
        let before = match (&url, work.trace) {
            (Some(url), Some(sql)) => databases::number(url, sql).await?,
            _ => 0,
        };
        let expected = check(&process, work).await?;
        let series = Series { work: work.id(), server: contestant.to_string(), rounds: Vec::new() };
        let mut runner = Runner {
            contestant,
            process,
            expected,
            url,
            // `check` sends one request for each path.
            acknowledged: work.paths.len() as u64,
            doubtful: 0,
            before,
            series,
        };
        // Warm up the server, and compare the body of every response.
        self.drive(&mut runner, work, Look::Closely, 1).await?;
        runner.series.rounds.clear();
        Ok(runner)
    }

    async fn drive(&self, runner: &mut Runner, work: &Work, look: Look, seconds: u64) -> Result {
        let load = (look, seconds);
        let measure = wrk::drive(&runner.process, work, &runner.expected, load, &self.places.scratch).await?;
        runner.acknowledged += measure.requests;
        runner.doubtful += u64::from(work.connections);
        if look == Look::AtStatus
            && let Expected::Body(_) = runner.expected
            && let Some(first) = runner.series.rounds.first()
            && (measure.bytes_each / first.bytes_each - 1.0).abs() > 0.02
        {
            // The warm-up has compared every body. Measured rounds only compare the mean size, which differs slightly
            // because `wrk` cuts off responses when it stops.
            return Err(format!("responses have {} bytes, expected {}", measure.bytes_each, first.bytes_each).into());
        }
        runner.series.rounds.push(measure);
        Ok(())
    }

    /// Prints the request rate of the native program, and the ratio of each other server to it.
    fn tell(&self, work: &Work, all: &[Series]) {
        let Some(native) = all.first() else { return };
        let each = all.iter().skip(1).map(|series| format!("{} {:.3}", series.server, series.ratio_to(native)));
        let each: Vec<_> = each.collect();
        let rate = native.median(|measure| measure.per_second);
        self.progress.print(&format!("{}: native {rate:.0}/s; {}", work.id(), each.join(", ")));
    }
}

impl Runner {
    /// Checks that the database contains all acknowledged writes, and stops the server.
    async fn end(self, work: &Work) -> Result<Series> {
        if let (Some(url), Some(sql)) = (&self.url, work.trace) {
            // `wrk` disconnects before its last responses arrive. Wait until the server has committed or rolled back
            // these requests.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let written = databases::number(url, sql).await? - self.before;
            let acknowledged = i64::try_from(self.acknowledged)?;
            if !(acknowledged..=acknowledged + i64::try_from(self.doubtful)?).contains(&written) {
                return Err(format!("the server acknowledged {acknowledged} writes, the database has {written}").into());
            }
        }
        self.process.stop().await?;
        Ok(self.series)
    }
}

impl Contestant {
    fn database(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Carya => "carya",
            Self::CaryaReuse => "carya_reuse",
            Self::Wasmtime | Self::WasmtimeTuned => "wasmtime",
            Self::PecanSync => "pecan_sync",
            Self::PecanThreads => "pecan_threads",
            Self::Node => "node",
            Self::Workerd => "workerd",
        }
    }
}

/// Sends one request to each path and checks the response. Returns the expected body of all further responses.
async fn check(process: &Process, work: &Work) -> Result<Expected> {
    let mut expected = None;
    for path in &work.paths {
        let body = work.body.clone().unwrap_or_default().into();
        let (status, body) = client::request(process.port, work.method, path, body).await?;
        let text = String::from_utf8_lossy(&body);
        let right = match &work.answer {
            Answer::Text(wanted) => text == *wanted,
            Answer::Json(wanted) => {
                let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                parse(&text).is_some_and(|got| Some(got) == parse(wanted))
            }
            // `wrk.lua` checks the pattern.
            Answer::Pattern(_) => true,
        };
        if status != work.status || !right {
            return Err(
                format!("wrong response to {} {path}: {status} {text}\n{}", work.method, process.log_tail()).into()
            );
        }
        expected = Some(match &work.answer {
            Answer::Pattern(pattern) => Expected::Pattern(pattern),
            _ => Expected::Body(body.to_vec()),
        });
    }
    expected.ok_or_else(|| "the work has no paths".into())
}
