//! adapter-local
