//! Responses and failures of guests become the answer to the request.

use super::{Lifecycle, answer::Answer};
use crate::{
    component::{CallError, Component, answer::Response},
    error::Failure,
    message::Limits,
    render::{self, Rendered, Wanted},
};

impl Lifecycle<'_> {
    pub(super) async fn answer_early(&mut self, hook: &Component, response: Response) {
        match self.render(hook, response).await {
            Ok(reply) => self.answer = Answer::Early(reply),
            Err(failure) => self.fail(failure),
        }
    }

    /// Renders a guest's response as a reply.
    pub(super) async fn render(&mut self, component: &Component, response: Response) -> Result<Rendered, Failure> {
        let generation = self.generation;
        let limits = Limits::from(&generation.config.server);
        // A rehearsal has no client.
        let wanted = if self.is_rehearsal { Wanted::Head } else { Wanted::by(&self.state.request) };
        let templates = &generation.templates;
        let rendered = render::render(response, component, templates, &mut self.state, &limits, wanted).await;
        rendered.map_err(|failure| failure.of(component.name()))
    }

    pub(super) fn fail_call(&mut self, error: &CallError) {
        let doom = self.state.bound.session().and_then(|session| session.doom().cloned());
        self.fail(Failure::call(error, doom.as_ref()));
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.answer.fail(failure, &self.state.request);
    }
}
