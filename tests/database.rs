//! Statements as guests send them, and what comes back: the contract's `database`, from a guest's side and seen by
//! another client.

mod limits;
mod memory;
mod migrations;
mod queue;
mod savepoints;
mod schema;
mod search;
mod statements;
mod values;
mod values_mariadb;
mod values_postgres;
