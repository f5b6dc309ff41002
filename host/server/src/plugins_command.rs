//! `jackfield plugins`: what stands at the doors of a running server, and a hand on it.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::operator_command::{DeskArgs, succeeded};

/// What to do, and where.
#[derive(Args, Debug)]
pub struct PluginsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    desk: DeskArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All plugins, a line each.
    List,
    /// All that is known of one.
    Show { name: String },
    /// Loads what the files hold now: those of one plugin, or of all. Also what was rolled back before.
    Reload { name: Option<String> },
    /// Brings back the version before the live one.
    Rollback { name: String },
    /// The adapters that are attached, and for whom a change of the adapter waits.
    SwapStatus,
}

/// Asks the server, and prints what it answers.
///
/// # Errors
/// When the server cannot be reached or refuses; the text says why.
pub async fn plugins(args: PluginsArgs) -> anyhow::Result<()> {
    let (method, path) = match args.action.as_ref().unwrap_or(&Action::List) {
        Action::List => ("GET", "/plugins".to_owned()),
        Action::Show { name } => ("GET", format!("/plugins/{name}")),
        Action::Reload { name: None } => ("POST", "/plugins/reload".to_owned()),
        Action::Reload { name: Some(name) } => ("POST", format!("/plugins/{name}/reload")),
        Action::Rollback { name } => ("POST", format!("/plugins/{name}/rollback")),
        Action::SwapStatus => ("GET", "/adapters".to_owned()),
    };
    let (status, answer) = args.desk.ask(method, &path).await?;
    print(&answer, matches!(args.action, Some(Action::Show { .. })));
    succeeded(status)
}

#[expect(clippy::print_stdout, reason = "what the operator has asked for")]
fn print(answer: &Value, whole: bool) {
    if let Some(adapters) = answer["adapters"].as_array() {
        adapters
            .iter()
            .for_each(|adapter| println!("{}", adapter_line(adapter)));
        for node in answer["waits_for"].as_array().into_iter().flatten() {
            println!("waits for instance {}", node.as_str().unwrap_or("-"));
        }
        return;
    }
    let Some(plugins) = answer["plugins"].as_array().filter(|_| !whole) else {
        return println!("{answer:#}");
    };
    for plugin in plugins {
        println!("{}", line(plugin));
    }
}

fn adapter_line(adapter: &Value) -> String {
    let text = |key: &str| adapter[key].as_str().map(str::to_owned);
    let link = text("down").map_or_else(|| "up".to_owned(), |reason| format!("down: {reason}"));
    format!(
        "{:24} {:28} {link}",
        text("name").unwrap_or_default(),
        text("state").unwrap_or_default()
    )
}

/// One plugin, or what became of it.
fn line(plugin: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let name = text(&plugin["name"]);
    if plugin["outcome"].is_string() {
        let generation = plugin["generation"]
            .as_u64()
            .map(|number| format!(" generation {number}"));
        let reason = plugin["reason"].as_str().map(|reason| format!(": {reason}"));
        let (generation, reason) = (generation.unwrap_or_default(), reason.unwrap_or_default());
        return format!("{name:24} {}{generation}{reason}", text(&plugin["outcome"]));
    }
    let version = &plugin["version"];
    let digest: String = text(&version["digest"]).chars().take(12).collect();
    let (generation, calls, traps) = (&version["generation"], &version["calls"], &version["traps"]);
    let fault = plugin["last_error"].as_str().map(|fault| format!("  {fault}"));
    format!(
        "{name:24} {:10} {:11} {digest:12} generation {generation} calls {calls} traps {traps}{}",
        text(&plugin["door"]),
        text(&plugin["state"]),
        fault.unwrap_or_default()
    )
}
