//! auth-pusher
