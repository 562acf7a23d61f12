//! The answer to a request: the reply for the client, and the origin of this reply (the controller, a hook or a
//! failure). The origin is one of the facts that determine whether the transaction is committed.

use std::mem;

use http::{HeaderValue, StatusCode, header};

use crate::{
    component::{RequestState, answer::Fault},
    error::Failure,
    message::{Reply, Request},
    render::Rendered,
    transaction::{Origin, RowStream},
};

/// The answer to a request.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// There is no answer yet.
    #[default]
    Pending,
    /// The controller answered. `after` hooks may change the reply, but not `status`, because the verdict depends on
    /// the status that the controller chose.
    Controller {
        /// Status of the controller's own response.
        status: u16,
        /// Reply for the client.
        reply: Rendered,
    },
    /// A hook answered before the controller ran, or the host answered OPTIONS itself.
    Early(Rendered),
    /// The request failed, and the host made the reply.
    Failed {
        /// First failure of the request.
        failure: Failure,
        /// Reply for the client.
        reply: Reply,
    },
    /// The request failed, and an `on-error` hook made the reply.
    Handled {
        /// First failure of the request.
        failure: Failure,
        /// Reply for the client.
        reply: Rendered,
    },
}

impl Answer {
    /// Returns the answer to OPTIONS for a path that serves the methods in `allow`.
    pub(super) fn options(allow: &str) -> Self {
        let allow = HeaderValue::from_str(allow).ok();
        let headers = allow.map(|allow| (header::ALLOW, allow)).into_iter().collect();
        Self::Early(Reply { status: StatusCode::NO_CONTENT, headers, ..Reply::default() }.into())
    }

    /// Returns the answer for a failed request. An `on-error` hook may replace the reply later.
    pub(super) fn failed(failure: Failure, request: &Request) -> Self {
        Answer::Failed { reply: failure.reply(request), failure }
    }

    /// Fails the request. The first failure replaces the answer. Later failures are only logged.
    pub(super) fn fail(&mut self, failure: Failure, request: &Request) {
        match self {
            Answer::Pending | Answer::Controller { .. } | Answer::Early(_) => *self = Self::failed(failure, request),
            Answer::Failed { .. } | Answer::Handled { .. } => {
                tracing::error!(request = &*request.id, failure = failure.detail, "a further failure");
            }
        }
    }

    /// Replaces the reply to a failure by the reply of an `on-error` hook. Leaves any other answer unchanged.
    pub(super) fn handle(&mut self, reply: Rendered) {
        *self = match mem::take(self) {
            Answer::Failed { failure, .. } => Answer::Handled { failure, reply },
            answer @ (Answer::Pending | Answer::Controller { .. } | Answer::Early(_) | Answer::Handled { .. }) => {
                answer
            }
        }
    }

    /// Returns the origin of the answer, for the verdict.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Answer::Controller { status, .. } => Origin::Controller { status: *status },
            Answer::Pending | Answer::Early(_) => Origin::Early,
            Answer::Failed { .. } | Answer::Handled { .. } => Origin::Failure,
        }
    }

    /// Logs the response of a guest that reports an error of the server, with the failed statement that may explain it.
    pub(super) fn log_server_error(&self, state: &mut RequestState) {
        let (Answer::Controller { reply: Rendered { reply, .. }, .. } | Answer::Early(Rendered { reply, .. })) = self
        else {
            return;
        };
        if reply.status.is_server_error()
            && let Some(report) = state.bound.session().and_then(|session| session.report())
        {
            let (request, status) = (&*state.request.id, reply.status.as_u16());
            tracing::error!(request, fault = Fault::Guest.as_str(), "a guest answered {status}; {report}");
        }
    }

    /// Returns the reply, so that hooks can read or change it. `None` if there is no answer yet.
    pub(super) fn reply(&mut self) -> Option<&mut Reply> {
        match self {
            Answer::Pending => None,
            Answer::Failed { reply, .. }
            | Answer::Controller { reply: Rendered { reply, .. }, .. }
            | Answer::Early(Rendered { reply, .. })
            | Answer::Handled { reply: Rendered { reply, .. }, .. } => Some(reply),
        }
    }

    /// Takes the rows that are streamed, if there are any.
    pub(super) fn take_rows(&mut self) -> Option<Box<RowStream>> {
        match self {
            Answer::Pending | Answer::Failed { .. } => None,
            Answer::Controller { reply, .. } | Answer::Early(reply) | Answer::Handled { reply, .. } => {
                reply.rows.take()
            }
        }
    }

    /// Returns the reply, and the failure if the request failed.
    pub(super) fn into_parts(self, request: &Request) -> (Reply, Option<Failure>) {
        match self {
            Answer::Controller { reply, .. } | Answer::Early(reply) => (reply.reply, None),
            Answer::Failed { failure, reply } => (reply, Some(failure)),
            Answer::Handled { failure, reply } => (reply.reply, Some(failure)),
            Answer::Pending => {
                Self::failed(Failure::host("the request ended without an answer"), request).into_parts(request)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn reply(status: StatusCode) -> Rendered {
        Reply { status, ..Reply::default() }.into()
    }

    /// Returns the origin, the status of the reply and the message of the failure.
    fn shown(answer: Answer) -> (Origin, u16, Option<String>) {
        let origin = answer.origin();
        let (reply, failure) = answer.into_parts(&Request::default());
        (origin, reply.status.as_u16(), failure.map(|failure| failure.detail))
    }

    #[test]
    fn the_first_failure_replaces_every_answer_and_later_failures_do_not() {
        let request = Request::default();
        for mut answer in [
            Answer::Pending,
            Answer::Controller { status: 201, reply: reply(StatusCode::CREATED) },
            Answer::Early(reply(StatusCode::FOUND)),
        ] {
            answer.fail(Failure::not_found(), &request);
            answer.fail(Failure::host("later"), &request);
            assert_eq!(shown(answer), (Origin::Failure, 404, Some("no route".to_owned())));
        }
    }

    #[test]
    fn an_on_error_hook_only_replaces_the_reply_of_a_failed_request() {
        let request = Request::default();
        let mut answer = Answer::failed(Failure::not_found(), &request);
        answer.handle(reply(StatusCode::OK));
        answer.fail(Failure::host("later"), &request);
        assert_eq!(shown(answer), (Origin::Failure, 200, Some("no route".to_owned())));
        let mut answer = Answer::Controller { status: 201, reply: reply(StatusCode::CREATED) };
        answer.handle(reply(StatusCode::OK));
        assert_eq!(shown(answer), (Origin::Controller { status: 201 }, 201, None));
    }

    #[test]
    fn a_changed_reply_keeps_the_origin() {
        let mut answer = Answer::Controller { status: 201, reply: reply(StatusCode::CREATED) };
        if let Some(reply) = answer.reply() {
            reply.status = StatusCode::IM_A_TEAPOT;
        }
        assert_eq!(shown(answer), (Origin::Controller { status: 201 }, 418, None));
    }
}
