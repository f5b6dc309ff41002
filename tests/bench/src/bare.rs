//! The floor of the way over a broker: two processes with the broker's client library and nothing else, one that publishes and one
//! that hears.
//!
//! Each is told on its standard input how many messages come next, and says on its standard output when it has done with them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Args;
use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt as _};
use redis::aio::MultiplexedConnection;

use crate::raw_broker::PAYLOAD;
use crate::rows::IN_FLIGHT;

/// What one of the two is told when it is started.
#[derive(Args)]
pub(crate) struct BareArgs {
    /// Where the broker is.
    url: String,
    /// Whether it is NATS; else it is Redis.
    #[arg(long)]
    nats: bool,
    /// Whether this one publishes; else it hears.
    #[arg(long)]
    publishes: bool,
}

/// The two processes.
pub(crate) struct Pair {
    publisher: Process,
    receiver: Process,
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Pair {
    /// Starts them and waits until they are connected.
    pub(crate) fn start(nats: bool, url: &str) -> Result<Self> {
        let start = |publishes: bool| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["bare", url]);
            command.args(nats.then_some("--nats"));
            command.args(publishes.then_some("--publishes"));
            Process::start(command)
        };
        Ok(Self {
            receiver: start(false)?,
            publisher: start(true)?,
        })
    }

    /// Of the publisher and the receiver.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.publisher.child.id(), self.receiver.child.id()]
    }

    /// Carries so many messages from one to the other.
    pub(crate) fn carry(&mut self, messages: usize) -> Result<()> {
        let both = [&mut self.receiver, &mut self.publisher];
        for process in both {
            writeln!(process.input, "{messages}")?;
        }
        self.publisher.done()?;
        self.receiver.done()
    }
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("its input is ours")?;
        let output = child.stdout.take().context("its output is ours")?;
        let mut process = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        process.done()?;
        Ok(process)
    }

    fn done(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line == DONE, "a client library gave up");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone if either fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is one of the two.
pub(crate) fn run(args: &BareArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match (args.nats, args.publishes) {
            (false, true) => publish_redis(&args.url).await,
            (false, false) => {
                let mut connection = redis::Client::open(&*args.url)?.get_async_pubsub().await?;
                connection.subscribe(CHANNEL).await?;
                let mut messages = connection.into_on_message();
                obey(async |count| hear(&mut messages, count).await).await
            }
            (true, true) => publish_nats(&args.url).await,
            (true, false) => {
                let client = async_nats::connect(&args.url).await?;
                let mut messages = client.subscribe(CHANNEL).await?;
                client.flush().await?;
                obey(async |count| hear(&mut messages, count).await).await
            }
        }
    })
}

/// As many publishers as there are publishes in flight, over one connection.
async fn publish_redis(url: &str) -> Result<()> {
    let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let payload = "x".repeat(PAYLOAD);
    let publish = async |count: usize, mut connection: MultiplexedConnection| {
        for _ in 0..count {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(&payload);
            publish.query_async::<u64>(&mut connection).await?;
        }
        anyhow::Ok(())
    };
    obey(async |messages| {
        let all = shares(messages).map(|count| publish(count, connection.clone()));
        try_join_all(all).await.map(drop)
    })
    .await
}

/// What may be in flight is handed over, and waited for until it is written: NATS answers no publish.
async fn publish_nats(url: &str) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    obey(async |messages| {
        for number in 1..=messages {
            client.publish(CHANNEL, payload.clone()).await?;
            if number.is_multiple_of(IN_FLIGHT) || number == messages {
                client.flush().await?;
            }
        }
        Ok(())
    })
    .await
}

/// Does what comes on the standard input until that ends.
#[expect(clippy::print_stdout, reason = "the other process waits for it")]
async fn obey(mut act: impl AsyncFnMut(usize) -> Result<()>) -> Result<()> {
    print!("{DONE}");
    for line in std::io::stdin().lines() {
        act(line?.parse()?).await?;
        print!("{DONE}");
    }
    Ok(())
}

async fn hear(messages: &mut (impl Stream + Unpin), count: usize) -> Result<()> {
    for _ in 0..count {
        messages.next().await.context("the broker is gone")?;
    }
    Ok(())
}

/// As even parts as there are publishes in flight.
fn shares(messages: usize) -> impl Iterator<Item = usize> {
    (0..IN_FLIGHT).map(move |part| messages * (part + 1) / IN_FLIGHT - messages * part / IN_FLIGHT)
}

const CHANNEL: &str = "bench";
const DONE: &str = "done\n";
