//! first-plugin
