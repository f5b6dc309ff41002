//! A server under measurement: started by the bench, stopped by it, and seen through the kernel's accounts alone.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::entry::{Entry, Side};
use crate::floor::FloorArgs;
use crate::harness::folder::free_port;

/// A child process that listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) entry: Entry,
    /// Where the host's metrics are.
    pub(crate) metrics: SocketAddr,
}

impl Server {
    /// The real host, with the default plugins and an app as a production one is.
    pub(crate) fn host() -> Result<Self> {
        Self::host_with("", &root()?.join("plugins"), None)
    }

    /// The same with other plugins, further lines of configuration, which stand in front of the app's, and the address of a broker
    /// under the name that it has in the environment.
    pub(crate) fn host_with(lines: &str, plugins: &Path, broker: Option<(&str, &str)>) -> Result<Self> {
        let (port, metrics) = (free_port(), free_port());
        let mut command = Command::new(std::env::current_exe()?.with_file_name("jackfield"));
        let config = std::env::temp_dir().join(format!("jackfield-bench-{port}.toml"));
        fs::write(&config, format!("{lines}\n{APP}"))?;
        command
            .args(["serve", "--port", &port.to_string(), "--config"])
            .arg(&config)
            .arg("--plugins")
            .arg(plugins);
        command
            .env("METRICS_PORT", metrics.to_string())
            .env("RUST_LOG", "off")
            .envs(broker);
        let server = Self::start(command, Side::Host, [port, metrics]);
        fs::remove_file(config)?;
        server
    }

    /// The floor, told of the work by `args`. Their port is not looked at.
    pub(crate) fn floor(args: &FloorArgs) -> Result<Self> {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").args(["--port", &port.to_string()]);
        command.args(["--channels", &args.channels.to_string()]);
        command.args(["--batch", &args.batch.to_string()]);
        command.args(["--text", &args.text, "--answer", &args.answer]);
        Self::start(command, Side::Floor, [port, 0])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Puts every thread of it onto one core.
    pub(crate) fn pin(&self, cpus: &CpuSet) -> Result<()> {
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let thread = task?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(thread), cpus)?;
        }
        Ok(())
    }

    /// The account of the one event loop of a server with one core.
    pub(crate) fn event_loop(&self) -> Result<Account> {
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.trim_end() == "event-loop-0" {
                return Ok(Account(File::open(task.join("schedstat"))?));
            }
        }
        bail!("the server has no event loop")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .context("statm has no second field")?
            .parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    fn start(mut command: Command, side: Side, [port, metrics]: [u16; 2]) -> Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let server = Self {
            child,
            entry: Entry { side, address },
            metrics: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), metrics),
        };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                bail!("{command:?} does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone if either fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel writes down of a thread.
pub(crate) struct Account(File);

impl Account {
    /// CPU time of the thread so far, without what it waited for a core.
    pub(crate) fn spent(&self) -> Result<Duration> {
        let mut text = [0; 64];
        let read = self.0.read_at(&mut text, 0)?;
        let nanoseconds = str::from_utf8(&text[..read])?.split_whitespace().next();
        Ok(Duration::from_nanos(
            nanoseconds.context("schedstat is empty")?.parse()?,
        ))
    }
}

/// CPU time that a process has used so far, user and system.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which stands in brackets and may hold blanks: fields 14 and 15 of proc(5).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// Lets this process, and those that it starts, have as many descriptors as they may. Says how many that are.
pub(crate) fn descriptors() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, most)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The app that the bench signs for.
pub(crate) const SECRET: &str = "bench-secret";
/// As a production one is, but that clients may send events, faster than any does.
const APP: &str = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"bench-secret\"\nenable_client_messages = true\n\
    max_client_events_per_second = 1000000\n";

/// The repository.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("the bench stands in tests/bench")
}
