//! Nothing here: the tests are in `it/`, one binary for all of them.
