//! The parts of `carya test`: an application in several [`lanes`] for parallel tests, on throw-away databases, with a
//! [`control`] for the tests.

mod answers;
mod control;
mod lanes;
mod private;
mod scratch;
mod server;

pub(crate) use self::{
    control::Control,
    lanes::{Lanes, adapt, for_all},
    private::{PrivateServer, Product},
    scratch::Scratch,
};
