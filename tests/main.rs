//! carya from the outside: the real program, real HTTP, the real database looked at with another client.

mod config;
mod smoke;
mod support;
