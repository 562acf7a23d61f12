#![doc = include_str!("../README.md")]

mod action;
mod bindings;
mod config;
mod context;
mod database;
mod error;
mod extract;
mod hook;
#[cfg(feature = "http")]
pub mod http;
mod log;
mod problem;
mod request;
mod response;
#[cfg(feature = "sea-query")]
pub mod sea_query;

pub use carya_guest_macros::{
    action, actions, after, before, delete, get, head, init, on_error, on_route, options, patch, post, put, routes,
};

pub use action::{Action, Attempt};
pub use config::{setting, setting_text};
pub use context::{context, set_context};
pub use database::{
    Db, DbError, DbMut, DbResult, Handle, Params, Reader, ToValue, Writer,
    types::{
        Column, DbErrorKind, Delivery, Dialect, Execution, OtherValue, StatementResult, Value, Violation, ViolationKind,
    },
};
pub use error::HostError;
pub use extract::{Cookies, File, Form, FromRequest, Identity, Json, Multipart, Path, Query};
pub use hook::{AccessMode, Decision, Failure, Fault, Reply, set_identity, set_identity_with};
pub use problem::{Checks, Problem};
pub use request::Request;
pub use response::{
    Body, Created, ETag, Flash, IfMatch, IntoResponse, JsonText, NoContent, Redirect, Response, Rows, SetCookie,
    Tagged, Template,
};

/// The generated bindings of the contract, for everything that this crate does not wrap.
///
/// The wrappers of this crate lend their raw handles: [`Reader::raw`], [`Writer::raw`].
pub mod raw {
    pub use crate::bindings::carya::host::*;
}

/// The names that most guests use.
///
/// ```
/// use carya_guest::prelude::*;
/// ```
pub mod prelude {
    pub use crate::{
        Action, Attempt, Checks, Cookies, Created, Db, DbError, DbMut, DbResult, Delivery, ETag, Flash, Form,
        FromRequest, Handle, Identity, IfMatch, IntoResponse, Json, JsonText, Multipart, NoContent, Path, Problem,
        Query, Reader, Redirect, Reply, Request, Response, Rows, Tagged, Template, ViolationKind, Writer, delete, get,
        patch, post, put,
    };
}

/// Items that the attributes of this crate use. They are not part of the API.
#[doc(hidden)]
pub mod __private;
