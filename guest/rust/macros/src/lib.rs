//! The attributes of `carya-guest`. Use them through that crate: the expansions name its items.

mod action;
mod endpoint;
mod hook;
mod module;
mod pattern;
mod route;
mod signature;

use proc_macro::TokenStream;

/// Exports the functions of a module as a controller.
///
/// Each function with one of the attributes [`get`](macro@get), [`head`](macro@head), [`post`](macro@post),
/// [`put`](macro@put), [`patch`](macro@patch), [`delete`](macro@delete) and [`options`](macro@options) serves a route of
/// the configuration. All other items of the module are left as they are.
///
/// # Parameters and results
///
/// - A parameter that is a reference is the handle of the database: `&Reader` for GET and HEAD, `&Writer` for POST, PUT,
///   PATCH and DELETE. OPTIONS has no handle. A function without such a parameter needs no database.
/// - Every other parameter is an extractor, a type that implements `FromRequest`.
/// - The result implements `IntoResponse`.
///
/// # Routes
///
/// The pattern must be the `path` of a `[[route]]` in the configuration of the host. If the configuration has a route or
/// method for the component that no function serves, the host refuses the component when it loads it. `carya inspect`
/// lists the routes. GET includes HEAD.
///
/// If the configuration of a route sets `transaction`, repeat it: `#[post("/search", transaction = "read-only")]`. The
/// function then receives the handle of that access mode.
///
/// # Actions
///
/// A function with the attribute [`action`](macro@action) runs after the transaction of a request.
///
/// A component has one `routes` module.
#[proc_macro_attribute]
pub fn routes(options: TokenStream, item: TokenStream) -> TokenStream {
    module::expand("routes", options.into(), item.into()).into()
}

/// Exports the functions of a module that have the attribute [`action`](macro@action), for components without routes.
#[proc_macro_attribute]
pub fn actions(options: TokenStream, item: TokenStream) -> TokenStream {
    module::expand("actions", options.into(), item.into()).into()
}

macro_rules! inside {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(_: TokenStream, item: TokenStream) -> TokenStream {
            module::misplaced(stringify!($name), item.into()).into()
        })*
    };
}

inside! {
    /// Serves GET and HEAD requests of a route, inside a [`routes`](macro@routes) module.
    get;
    /// Serves HEAD requests of a route in place of the function for GET, inside a [`routes`](macro@routes) module.
    head;
    /// Serves POST requests of a route, inside a [`routes`](macro@routes) module.
    post;
    /// Serves PUT requests of a route, inside a [`routes`](macro@routes) module.
    put;
    /// Serves PATCH requests of a route, inside a [`routes`](macro@routes) module.
    patch;
    /// Serves DELETE requests of a route, inside a [`routes`](macro@routes) module.
    delete;
    /// Serves OPTIONS requests of a route, inside a [`routes`](macro@routes) module.
    options;
    /// Runs after the transaction of a request, inside a [`routes`](macro@routes) or [`actions`](macro@actions) module.
    ///
    /// One parameter is the payload, a struct of the component. The attribute implements `Action` for its type, so that
    /// `db.after_commit(&payload, delivery)` registers this function. Further parameters may be `db: &Writer`, the handle
    /// of the action's own transaction, and `attempt: Attempt`. The result is nothing, or `Result<(), Problem>`. After an
    /// error the host rolls the transaction of the action back.
    action;
}

/// Exports a function that initializes the content of the database, at each start and reload. Name the component in
/// `[model] component`.
#[proc_macro_attribute]
pub fn init(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(hook::Phase::Init, options.into(), item.into()).into()
}

/// Exports a function that runs before routing. Only global hooks (`[[hook]]`) can run it.
///
/// Parameters are extractors. The result is nothing, `Decision`, or a `Result` of one of these and `Problem`.
#[proc_macro_attribute]
pub fn on_route(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(hook::Phase::OnRoute, options.into(), item.into()).into()
}

/// Exports a function that runs before the controller.
///
/// Parameters are `db: &Handle`, which may be left out, and extractors. The result is nothing, `Option<T>` with a
/// response that replaces that of the controller, or a `Result` of one of these and `Problem`. A problem is a response
/// too, and an internal problem fails the request.
#[proc_macro_attribute]
pub fn before(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(hook::Phase::Before, options.into(), item.into()).into()
}

/// Exports a function that runs after the controller, or after a failure.
///
/// Parameters are `db: &Handle`, which may be left out, and extractors such as `reply: Reply`, which reads and changes
/// the response. The result is nothing or `Result<(), Problem>`. After an error of a hook inside the transaction the host
/// rolls back.
#[proc_macro_attribute]
pub fn after(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(hook::Phase::After, options.into(), item.into()).into()
}

/// Exports a function that runs after a failure, and can replace the response.
///
/// Parameters are `failure: Failure`, `db: &Handle`, and extractors. All of them may be left out. The result is that of
/// a [`before`](macro@before) hook.
#[proc_macro_attribute]
pub fn on_error(options: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(hook::Phase::OnError, options.into(), item.into()).into()
}
