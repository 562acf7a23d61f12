//! A component without exports, which the host must reject.
