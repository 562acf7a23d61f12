//! Handles that the access mode of a route or a phase does not have.

use carya_guest::prelude::*;

#[carya_guest::routes]
mod tickets {
    use super::*;

    #[get("/a")]
    fn a(_: &Writer) {} //~ GET /a only reads: take `&Reader`; if the configuration of this route sets `transaction = "read-write"`, write `#[get("/a", transaction = "read-write")]`

    #[post("/b")]
    fn b(_: &Reader) {} //~ POST /b receives a `&Writer`, which also reads;

    #[post("/c", transaction = "none")]
    fn c(_: &Writer) {} //~ POST /c has no transaction, so there is no handle: remove the parameter;

    #[get("/d")]
    fn d(_: Reader) {} //~ a handle is a reference: `db: &Reader`

    #[get("/e")]
    fn e(_: &mut Reader) {} //~ handles of the database are shared references: remove `mut`

    #[get("/f")]
    fn f(_: &Reader, _: &Reader) {} //~ there is one handle of the database

    #[action]
    fn g(_: &Reader, _: String) {} //~ an action takes its payload, and optionally `db: &Writer` and `attempt: Attempt`
}

#[carya_guest::init]
fn init(_: &Reader) {} //~ `init` receives `db: &Writer`

#[carya_guest::on_route]
fn on_route(_: &Handle) {} //~ `on_route` runs before the access mode is known, so there is no handle

#[carya_guest::before]
fn before(_: &Writer) {} //~ a hook receives `db: &Handle`

fn main() {}
