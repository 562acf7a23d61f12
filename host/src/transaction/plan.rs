//! Determines the access mode of a request from its method, its route and its on-route hooks.

use crate::config::Access;

/// Returns the access mode for a method. It applies until the route is known. GET and HEAD may read, OPTIONS and TRACE
/// have no access, and all other methods may write. The `TransactionHook` of the Python framework Pecan has the same
/// rule, except that it opens a transaction for OPTIONS too.
pub(crate) fn by_method(method: &http::Method) -> Access {
    match *method {
        http::Method::GET | http::Method::HEAD => Access::ReadOnly,
        http::Method::OPTIONS | http::Method::TRACE => Access::None,
        _ => Access::ReadWrite,
    }
}

/// Returns the access mode for a request with a known route: the choice of an on-route hook, otherwise that of the
/// route, otherwise that of the method.
pub(crate) fn by_route(method: &http::Method, route: Option<Access>, hook: Option<Access>) -> Access {
    hook.or(route).unwrap_or_else(|| by_method(method))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn a_hook_overrides_the_route_and_the_route_overrides_the_method() {
        use Access::{None as Nothing, ReadOnly, ReadWrite};
        let table = [
            (Method::GET, None, None, ReadOnly, ReadOnly),
            (Method::HEAD, None, None, ReadOnly, ReadOnly),
            (Method::POST, None, None, ReadWrite, ReadWrite),
            (Method::PUT, None, None, ReadWrite, ReadWrite),
            (Method::PATCH, None, None, ReadWrite, ReadWrite),
            (Method::DELETE, None, None, ReadWrite, ReadWrite),
            (Method::OPTIONS, None, None, Nothing, Nothing),
            (Method::TRACE, None, None, Nothing, Nothing),
            (Method::from_bytes(b"REPORT").unwrap_or_default(), None, None, ReadWrite, ReadWrite),
            (Method::GET, Some(ReadWrite), None, ReadOnly, ReadWrite),
            (Method::POST, Some(ReadOnly), None, ReadWrite, ReadOnly),
            (Method::POST, Some(Nothing), None, ReadWrite, Nothing),
            (Method::GET, Some(ReadWrite), Some(ReadOnly), ReadOnly, ReadOnly),
            (Method::GET, None, Some(ReadWrite), ReadOnly, ReadWrite),
        ];
        for (method, route, hook, first, then) in table {
            assert_eq!(by_method(&method), first, "{method}");
            assert_eq!(by_route(&method, route, hook), then, "{method} {route:?} {hook:?}");
        }
    }
}
