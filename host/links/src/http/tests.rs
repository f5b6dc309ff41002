//! The client, against everything that must not be reached and against real peers.

mod bounds;
mod peer;
mod places;
mod requests;
mod resolving;

use std::time::Duration;

use super::{HttpClient, HttpError, Places, Request, Response};

/// A client with a deadline that no test waits for.
fn client(places: Places) -> HttpClient {
    HttpClient::new(places, Duration::from_secs(60)).expect("TLS can be set up")
}

fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// What became of a request that must not be answered.
fn error(outcome: Result<Response, HttpError>) -> HttpError {
    match outcome {
        Ok(response) => panic!("answered {}", response.status),
        Err(error) => error,
    }
}
