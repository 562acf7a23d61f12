//! Tests of the interface `database` of the contract: the results that guests receive, and the data that a second
//! client finds in the database afterwards.

mod connecting;
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
mod violations;
