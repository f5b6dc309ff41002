//! `jackfield publish`: one signed event over the HTTP API, for trying things out and for scripts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use jackfield_config::DEVELOPMENT_APP;
use jackfield_links::http::{HttpClient, Places, Request};
use jackfield_protocol::signature::{self, Credentials};
use serde_json::json;

/// What to publish, and where.
#[derive(Args, Debug)]
pub struct PublishArgs {
    /// The channel.
    channel: String,
    /// The event's name.
    event: String,
    /// The event's data: any text, JSON by custom.
    #[arg(default_value = "{}")]
    data: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:6001")]
    url: String,
    /// The app's id.
    #[arg(long, default_value = DEVELOPMENT_APP.0)]
    app: String,
    /// The app's key.
    #[arg(long, default_value = DEVELOPMENT_APP.1)]
    key: String,
    /// The app's secret.
    #[arg(long, env = "JACKFIELD_APP_SECRET", default_value = DEVELOPMENT_APP.2, hide_env_values = true)]
    secret: String,
}

/// Sends the request.
///
/// # Errors
/// When the server cannot be reached or refuses; the text says why.
pub async fn publish(args: PublishArgs) -> anyhow::Result<()> {
    let body = json!({ "name": args.event, "channel": args.channel, "data": args.data }).to_string();
    let path = format!("/apps/{}/events", args.app);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let credentials = Credentials {
        key: &args.key,
        secret: args.secret.as_bytes(),
    };
    let query = signature::sign_api_request(credentials, "POST", &path, body.as_bytes(), now);
    let url = format!("{}{path}?{query}", args.url.trim_end_matches('/'));
    // Wherever whoever types it says.
    let client = HttpClient::new(Places::anywhere(true), PATIENCE).map_err(anyhow::Error::msg)?;
    let request = Request {
        method: "POST".to_owned(),
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    };
    let response = client.send(request).await?;
    let (status, answer) = (response.status, String::from_utf8_lossy(&response.body));
    anyhow::ensure!((200..300).contains(&status), "the server answered {status}: {answer}");
    Ok(())
}

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);
