//! Real load balancers, configured as the examples are, with the ports of a test.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::fleet::Fleet;
use super::server::{Folder, free_port};
use super::wait::until;

/// A running balancer, ended with its value.
pub(crate) struct Balancer {
    pub(crate) port: u16,
    child: Child,
    folder: Folder,
}

impl Balancer {
    /// nginx with `examples/balancers/nginx.conf`, changed as the test wants.
    pub(crate) async fn nginx(fleet: &Fleet, change: impl Fn(String) -> String) -> Self {
        let start = |folder: &Path, config: &str| {
            let config = format!(
                "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n{}",
                config
                    .replace("events {}", "events {}\n")
                    .replace("http {", NGINX_FOLDERS)
            );
            fs::write(folder.join("nginx.conf"), config).expect("the folder is ours");
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]);
            command
        };
        Self::start(fleet, "nginx.conf", change, start).await
    }

    /// HAProxy with `examples/balancers/haproxy.cfg`.
    pub(crate) async fn haproxy(fleet: &Fleet) -> Self {
        let start = |folder: &Path, config: &str| {
            let file = folder.join("haproxy.cfg");
            fs::write(&file, config).expect("the folder is ours");
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(file);
            command
        };
        Self::start(fleet, "haproxy.cfg", |config| config, start).await
    }

    async fn start(
        fleet: &Fleet,
        example: &str,
        change: impl Fn(String) -> String,
        command: impl Fn(&Path, &str) -> Command,
    ) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/balancers")
            .join(example);
        let mut config = fs::read_to_string(example).expect("the example is there");
        let port = free_port();
        for (known, actual) in [8080, 6001, 6002, 6003]
            .iter()
            .zip([port, fleet.port(0), fleet.port(1), fleet.port(2)])
        {
            let known = format!("127.0.0.1:{known}");
            assert!(config.contains(&known), "the example names {known}");
            config = config.replace(&known, &format!("127.0.0.1:{actual}"));
        }
        let folder = Folder::new();
        let mut command = command(folder.path(), &change(config));
        let output = File::create(folder.path().join("output")).expect("the folder is ours");
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{} is needed: install it ({error})", program.display()));
        let mut balancer = Self { port, child, folder };
        until("the balancer to listen", async || {
            if balancer.child.try_wait().expect("its state is known").is_some() {
                let output = fs::read_to_string(balancer.folder.path().join("output"));
                panic!("the balancer ended at once: {}", output.unwrap_or_default());
            }
            TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        })
        .await;
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where nginx may write: nothing of the machine's own.
const NGINX_FOLDERS: &str = "http {\n    access_log off;\n    client_body_temp_path body;\n    proxy_temp_path proxy;\n    \
                             fastcgi_temp_path fastcgi;\n    uwsgi_temp_path uwsgi;\n    scgi_temp_path scgi;\n";
