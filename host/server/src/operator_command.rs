//! What commands for operators have in common: where the server is, and how it is asked.

use std::time::Duration;

use clap::Args;
use jackfield_links::http::{HttpClient, Places, Request};
use serde_json::Value;

/// The listener for operators of a running server.
#[derive(Args, Debug)]
pub struct DeskArgs {
    /// The port of the metrics.
    #[arg(long, global = true, default_value_t = 9601)]
    port: u16,
    /// The machine.
    #[arg(long, global = true, default_value = "127.0.0.1")]
    host: String,
    /// `admin.token` of the configuration, if there is one.
    #[arg(long, global = true, env = "JACKFIELD_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl DeskArgs {
    /// Status and body of the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> anyhow::Result<(u16, Value)> {
        // Wherever whoever types it says.
        let client = HttpClient::new(Places::anywhere(true), PATIENCE).map_err(anyhow::Error::msg)?;
        let authorization = self
            .token
            .iter()
            .map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
        let request = Request {
            method: method.to_owned(),
            url: format!("http://{}:{}{path}", self.host, self.port),
            headers: authorization.collect(),
            body: Vec::new(),
        };
        let response = client.send(request).await?;
        Ok((response.status, serde_json::from_slice(&response.body)?))
    }
}

/// Whether the server did what it was told.
pub(crate) fn succeeded(status: u16) -> anyhow::Result<()> {
    anyhow::ensure!((200..300).contains(&status), "the server answered {status}");
    Ok(())
}

/// A component that compiles for long is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
