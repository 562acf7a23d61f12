//! Routes that are malformed, ambiguous, or in the wrong place.

use carya_guest::prelude::*;

#[carya_guest::routes]
mod malformed {
    use super::*;

    #[get] //~ a route needs a pattern: `#[get("/tickets/{id}")]`
    fn a() {}

    #[get("/b/:id")] //~ a parameter is written in braces: `{id}` instead of `:id`
    fn b() {}

    #[get("/c/{id}")]
    fn c(_: Path<(i64, i64)>) {} //~ the pattern "/c/{id}" has 1 parameter, but `Path` takes 2

    #[get("/d")]
    fn d(_: Path<i64>) {} //~ the pattern "/d" has no parameter for `Path`: write one in braces, such as "/d/{id}"

    #[get("/e", cache = "1h")] //~ `cache` is not an option of a route; the only one is `transaction = ".."`
    fn e() {}

    #[get("/f", transaction = "write")] //~ expected "read-only", "read-write" or "none", as in the configuration
    fn f() {}

    #[get("/g")]
    async fn g() {} //~ the host calls guests synchronously: remove `async`

    #[get("/h")]
    fn h<T>() {} //~ the host calls this function, so it cannot be generic

    #[action]
    fn i(_: &Writer) {} //~ an action takes its payload
}

#[carya_guest::routes]
mod ambiguous {
    use super::*;

    #[get("/tickets")]
    fn one() {}

    #[get("/tickets")] //~ `one` serves GET /tickets already
    fn two() {}
}

#[carya_guest::routes]
mod empty {} //~ no function of this module has an attribute such as `#[get("/path")]`

#[get("/tickets")]
fn outside() {} //~ `#[get]` belongs to a function inside a module with `#[carya_guest::routes]`

#[carya_guest::routes]
fn no_module() {} //~ `#[routes]` belongs to a module: `#[carya_guest::routes] mod tickets { .. }`

#[carya_guest::actions]
mod actions {
    use super::*;

    #[get("/tickets")] //~ routes are in a module with `#[carya_guest::routes]`
    fn list() {}
}

fn main() {}
