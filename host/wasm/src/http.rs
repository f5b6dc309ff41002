//! `jackfield:host/http`: granted requests, on the fiber of the guest that asks.

use std::sync::Arc;

use jackfield_links::http::{HttpClient, HttpError, Request};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::bindings::hot::jackfield::host::http;
use crate::context::Context;
use crate::lend::{given_headers, taken_headers};

/// What sends the requests of one plugin. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests {
    client: HttpClient,
    /// The operator's, names in lower case. No guest sees them.
    headers: Arc<[(String, String)]>,
}

impl Requests {
    pub(crate) fn new(client: HttpClient, headers: Vec<(String, String)>) -> Self {
        Self {
            client,
            headers: headers.into(),
        }
    }

    async fn send(&self, request: http::Request) -> Result<http::Response, http::Error> {
        let mut request = taken(request);
        request
            .headers
            .retain(|(name, _)| !self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        request.headers.extend(self.headers.iter().cloned());
        self.client.send(request).await.map(given).map_err(told)
    }
}

/// Links `http.send`, by hand because it waits.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    type Answer = Result<http::Response, http::Error>;
    let mut instance = linker.instance(&format!("{HTTP}@0.1.0"))?;
    instance.func_wrap_async(
        "send",
        |store: StoreContextMut<'_, Context>, (request,): (http::Request,)| {
            let requests = store.data().requests.clone();
            let asker = Arc::clone(&store.data().asker);
            Box::new(async move {
                let answer: Answer = match requests {
                    // It is linked for those alone to whom it is granted.
                    None => Err(http::Error::Denied("requests are not granted".to_owned())),
                    Some(requests) => tokio::select! {
                        answer = requests.send(request) => answer,
                        // Or who comes and goes would hold the plugin's instances for as long as the place is silent.
                        () = asker.gone() => wasmtime::bail!("nobody waits for the answer any more"),
                    },
                };
                Ok((answer,))
            })
        },
    )
}

fn taken(request: http::Request) -> Request {
    Request {
        method: request.method,
        url: request.url,
        headers: taken_headers(request.headers),
        body: request.body,
    }
}

fn given(response: jackfield_links::http::Response) -> http::Response {
    http::Response {
        status: response.status,
        headers: given_headers(response.headers),
        body: response.body,
    }
}

fn told(error: HttpError) -> http::Error {
    match error {
        HttpError::Denied(reason) => http::Error::Denied(reason),
        HttpError::Malformed(reason) => http::Error::Malformed(reason),
        HttpError::Unreachable(reason) => http::Error::Unreachable(reason),
        HttpError::TimedOut => http::Error::TimedOut,
        HttpError::TooLarge => http::Error::TooLarge,
    }
}

/// The interface's name.
pub(crate) const HTTP: &str = "jackfield:host/http";
