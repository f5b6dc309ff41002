//! `jackfield reload`: has a running server read its configuration again.

use clap::Args;

use crate::operator_command::{DeskArgs, succeeded};

/// Which server.
#[derive(Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    desk: DeskArgs,
}

/// Asks the server, and prints what came of it.
///
/// # Errors
/// When the server cannot be reached, or refuses the configuration; what is printed says why.
#[expect(clippy::print_stdout, reason = "what the operator has asked for")]
pub async fn reload(args: ReloadArgs) -> anyhow::Result<()> {
    let (status, answer) = args.desk.ask("POST", "/config/reload").await?;
    println!("{answer:#}");
    succeeded(status)
}
