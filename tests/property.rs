//! Random requests, compared with a [`model`] of the rules. Each request plays a random script, with failures at random
//! places, on a route with one of many [`chains`] of hooks. Its result must match the model. These rules hold for every
//! request:
//!
//! - One `clear`, after the end of the transaction.
//! - A commit or a rollback, and never both.
//! - A mark is in the database if and only if it was committed.
//!
//! The test prints the seed; `PROPERTY_SEED` sets another one.

mod chains;
mod model;

use std::cell::Cell;

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};
use serde_json::json;
use tokio::runtime::{self, Runtime};

use self::{
    chains::{CHAINS, Chain},
    model::{End, Played, Step},
};
use crate::{
    script::{play, start},
    support::{App, Engine, Response, Result, client::Connection},
};

const CASES: u32 = 200;

#[derive(Debug, Clone)]
struct Ask {
    method: &'static str,
    chain: &'static Chain,
    script: Vec<Step>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        12 => any::<bool>().prop_map(|swallow| Step::Insert { mark: String::new(), swallow }),
        3 => any::<bool>().prop_map(|swallow| Step::Broken { swallow }),
        3 => any::<bool>().prop_map(|commit| Step::Action { commit, name: String::new() }),
        4 => select(vec![200, 201, 204, 301, 302, 304, 400, 404, 409, 500, 503]).prop_map(Step::Response),
        1 => Just(Step::Nonsense),
        1 => Just(Step::Mark),
        1 => Just(Step::Fail),
        1 => Just(Step::Panic),
    ];
    let end = || prop_oneof![2 => Just(End::Drop), 3 => Just(End::Rollback), 1 => Just(End::Leak)];
    let step = leaf.prop_recursive(3, 12, 4, move |inner| {
        (vec(inner, 0..4), end()).prop_map(|(steps, end)| Step::Savepoint { steps, end })
    });
    vec(step, 0..5)
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let chain = prop_oneof![1 => Just(&CHAINS[0]), 4 => (0..CHAINS.len()).prop_map(|index| &CHAINS[index])];
    let ask = (prop_oneof![1 => Just("GET"), 9 => Just("POST")], chain, steps());
    vec(ask.prop_map(|(method, chain, script)| Ask { method, chain, script }), 1..6)
}

/// The served application, and the numbers of requests and commits so far.
struct World {
    runtime: Runtime,
    app: App,
    asked: Cell<usize>,
    committed: Cell<usize>,
}

impl World {
    /// Returns `None` if the engine is not installed.
    fn new(engine: Engine) -> Result<Option<Self>> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        if !engine.is_installed() {
            return Ok(None);
        }
        let app = runtime.block_on(start(engine, &chains::config()))?;
        Ok(Some(Self { runtime, app, asked: Cell::default(), committed: Cell::default() }))
    }

    /// Sends a request, and compares its result with the model.
    async fn check(&self, mut ask: Ask, database: &mut Connection) -> Result {
        self.asked.set(self.asked.get() + 1);
        model::name(&mut ask.script, &format!("r{}", self.asked.get()), &mut 0);
        let hooks_before = marks_of_hooks(database).await?;
        let answer = play(&self.app, ask.method, &ask.chain.path(), &json!(model::render(&ask.script))).await?;
        let events = answer.events();
        let committed = check_order(&ask, &events)?;
        self.committed.set(self.committed.get() + usize::from(committed));
        let written = marks_like(database, &format!("r{}-%", self.asked.get())).await?;
        let by_hooks = marks_of_hooks(database).await? - hooks_before;
        if ask.method == "GET" {
            same("written by GET", &written, &Vec::new())?;
            return same("written by hooks of GET", &by_hooks, &0);
        }
        let played = Played::of(&ask.script);
        let mut marks = played.marks.clone();
        marks.sort_unstable();
        let expected = ask.chain.expect(&played);
        same("committed", &committed, &expected.committed)?;
        same("status", &answer.status, &expected.status)?;
        same("written", &written, &if committed { marks.clone() } else { Vec::new() })?;
        same("written by hooks", &by_hooks, &i64::from(committed && ask.chain.writes()))?;
        same("actions", &actions(&events), &if ask.chain.reaches() { played.actions(committed) } else { Vec::new() })?;
        check_promise(&answer, played.marked || ask.chain.marks(), &written, &marks)
    }
}

/// Checks the order of events, which follows the same rules for every request. Returns whether the request committed.
fn check_order(ask: &Ask, events: &[String]) -> Result<bool> {
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    let place = |name: &str| events.iter().position(|event| event == name);
    same("clears", &count("clear"), &1)?;
    same("ends", &(count("commit") + count("rollback")), &usize::from(ask.method == "POST"))?;
    let end = place("commit").or_else(|| place("rollback")).unwrap_or_default();
    let clear = place("clear").unwrap_or_default();
    for (index, event) in events.iter().enumerate() {
        let is_action = event.starts_with("after_commit:") || event.starts_with("after_rollback:");
        let is_in_place = match event.as_str() {
            "start" | "start_read_only" => index == 0,
            "begin" => index < end.max(1) || ask.method == "GET",
            _ if is_action => end < index && index < clear,
            _ => true,
        };
        same(event, &is_in_place, &true)?;
    }
    Ok(count("commit") == 1)
}

/// Checks that the marks of a script are in the database if its controller returned a success status and no guest
/// marked the transaction for rollback.
fn check_promise(answer: &Response, is_marked: bool, written: &[String], promised: &[String]) -> Result {
    let is_promise = (200..300).contains(&answer.status) && answer.header("x-inside") == "1" && !is_marked;
    if is_promise { same("promised", &written, &promised) } else { Ok(()) }
}

fn actions(events: &[String]) -> Vec<String> {
    let names = events.iter().filter_map(|event| event.split_once(':'));
    names
        .filter(|(kind, _)| matches!(*kind, "after_commit" | "after_rollback"))
        .map(|(_, name)| name.to_owned())
        .collect()
}

async fn marks_like(database: &mut Connection, pattern: &str) -> Result<Vec<String>> {
    let mut marks = database.texts(&format!("SELECT mark FROM marks WHERE mark LIKE '{pattern}'")).await?;
    marks.sort_unstable();
    Ok(marks)
}

async fn marks_of_hooks(database: &mut Connection) -> Result<i64> {
    database.number("SELECT count(*) FROM marks WHERE mark NOT LIKE 'r%'").await
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}").into()) }
}

#[test]
fn requests_end_by_the_rules_on_sqlite() -> Result {
    requests_end_by_the_rules(Engine::Sqlite)
}

#[test]
fn requests_end_by_the_rules_on_postgres() -> Result {
    requests_end_by_the_rules(Engine::Postgres)
}

#[test]
fn requests_end_by_the_rules_on_mariadb() -> Result {
    requests_end_by_the_rules(Engine::MariaDb)
}

fn requests_end_by_the_rules(engine: Engine) -> Result {
    let seed = std::env::var("PROPERTY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("PROPERTY_SEED={seed}");
    let Some(world) = World::new(engine)? else { return Ok(()) };
    let config = Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    TestRunner::new(config).run(&asks(), |asks| {
        let checks = async {
            let mut database = world.app.client()?.connect().await?;
            for ask in asks {
                world.check(ask, &mut database).await?;
            }
            Result::Ok(())
        };
        world.runtime.block_on(checks).map_err(|error| TestCaseError::fail(error.to_string()))
    })?;
    let (asked, committed) = (world.asked.get(), world.committed.get());
    println!("{asked} requests, {committed} committed");
    assert!(committed > asked / 10 && committed < asked * 9 / 10, "{committed} of {asked} committed: too one-sided");
    Ok(())
}
