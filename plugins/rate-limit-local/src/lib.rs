//! rate-limit-local
