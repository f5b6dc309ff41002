//! Into a private channel and out of it again: CPU time of the server per million subscriptions.
//!
//! Nobody else is in the channel, so that it comes and goes with its subscriber. Taking back has no answer; it is sent in one
//! piece with the next question, so that all of it is read at once.

use anyhow::{Result, ensure};
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::in_turns;
use crate::client::masked;
use crate::cost::{Cost, Effort, OneCore, measure as cost};
use crate::figure::{Figure, Goal};
use crate::process::Server;

/// A connection that goes in and out.
struct Asker {
    stream: TcpStream,
    /// Out, and in again.
    turn: Vec<u8>,
    /// What it hears when it is in.
    welcome: Vec<u8>,
}

/// Measures the row.
pub(crate) fn measure(effort: Effort, goal: Goal) -> Result<Vec<Figure>> {
    let [floors, hosts] = in_turns(effort, welcome(0)?, async |server| run(server, effort).await)?;
    let [floor, host] = [&floors, &hosts].map(|costs| costs.iter().map(Cost::total).collect::<Vec<f64>>());
    let generator: Vec<f64> = hosts.iter().map(|cost| cost.generator).collect();
    let cpu = Figure::beside("CPU s per million subscriptions", &floor, &host);
    Ok(vec![cpu.goal(goal).generator(&generator)])
}

async fn run(server: Server, effort: Effort) -> Result<Cost> {
    let mut askers = Vec::new();
    for number in 0..CONNECTIONS {
        let (mut stream, question) = server.entry.asker(&channel(number)).await?;
        stream.write_all(&question).await?;
        let back = format!(
            r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{}"}}}}"#,
            channel(number)
        );
        let welcome = websocket::text_frame(welcome(number)?.as_bytes());
        askers.push(Asker {
            stream,
            turn: [masked(back.as_bytes()), question].concat(),
            welcome: welcome.to_vec(),
        });
    }
    // All are as long as each other, and the floor knows of the first one alone.
    let first = askers[0].welcome.clone();
    let mut heard = vec![0; first.len()];
    let mut next = 0;
    let _shared = OneCore::share(&server, effort)?;
    cost(effort, &[server.pid()], 1, async |rounds| {
        for _ in 0..rounds {
            let asker = &mut askers[next % CONNECTIONS];
            asker.stream.read_exact(&mut heard).await?;
            let welcome = heard == asker.welcome || heard == first;
            ensure!(welcome, "a subscription failed: {}", String::from_utf8_lossy(&heard));
            asker.stream.write_all(&asker.turn).await?;
            next += 1;
        }
        Ok(())
    })
    .await
}

/// What a subscriber is told first.
fn welcome(number: usize) -> Result<String> {
    Ok(frames::subscription_succeeded(&ChannelName::parse(&channel(number))?))
}

fn channel(number: usize) -> String {
    format!("private-bench-{number}")
}

const CONNECTIONS: usize = 4;
