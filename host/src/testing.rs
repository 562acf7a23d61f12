//! The parts of `carya test`: an application in several [`lanes`] for parallel tests, on throw-away databases, with a
//! [`control`] for the tests.

mod control;
mod lanes;
mod scratch;

pub(crate) use self::{
    control::Control,
    lanes::{Lanes, adapt, for_all},
    scratch::Scratch,
};
