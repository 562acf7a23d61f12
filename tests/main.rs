//! Tests of carya from the outside: the real program, real HTTP, and the real database, seen by a second client.

// A test binary has no public interface. `pub` marks the items of a module that other modules use.
#![allow(unreachable_pub)]
#![allow(clippy::disallowed_methods, reason = "the rule for the environment is one of the program")]

mod access_log;
mod actions;
mod address_space;
mod barrier;
mod cancellation;
mod cli;
mod components;
mod compression;
mod config;
mod conflicts;
mod connections;
mod contract;
mod core_modules;
mod database;
mod databases;
mod deploy;
mod dev;
mod diff;
mod docs;
mod echo;
mod etag;
mod fair;
mod faults;
mod guestbook;
mod harden;
mod headers;
mod health;
mod hooks;
mod http;
mod incoming;
mod isolation;
mod javascript;
mod languages;
mod lifecycle;
mod limits;
mod listeners;
mod log;
mod metrics;
mod orms;
mod outages;
mod outbound;
mod placeholders;
mod property;
mod proxies;
mod registries;
mod reload;
mod replicas;
mod request;
mod retries;
mod reuse;
mod script;
mod servers;
mod shop;
mod shutdown;
mod static_files;
mod streams;
mod support;
mod tickets;
mod tidy;
mod tls;
mod warm;
