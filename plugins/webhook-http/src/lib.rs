//! webhook-http
