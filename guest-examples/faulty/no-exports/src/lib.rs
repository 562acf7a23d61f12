//! A component that exports nothing: the host has no use for it and must say so.
