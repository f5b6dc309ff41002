//! Brokers that are many and speak TLS alone: found one through the other, each connection is as secret as the first.

use crate::harness::brokers::Broker;
use crate::harness::certificates::Certificates;
use crate::harness::client::Client;
use crate::harness::fleet::{Fleet, Way};
use crate::harness::redis_cluster::RedisCluster;
use crate::harness::server::Setup;
use crate::harness::wait::until;

/// An instance with this adapter, configured like this.
fn instance(adapter: &'static str, section: &str) -> Setup {
    let driver = adapter.strip_prefix("adapter-").expect("it is called like that");
    let way = Way {
        plugin: adapter,
        env: Vec::new(),
    };
    way.setup(Setup::default().config(&format!(
        "[adapter]\ndriver = \"{driver}\"\n[adapter.{driver}]\n{section}"
    )))
}

/// Two instances become ready and hear each other; a third one, which trusts somebody else, says which server it does not trust.
async fn trust_decides(adapter: &'static str, section: impl Fn(&Certificates) -> String, certificates: &Certificates) {
    let setup = || instance(adapter, &section(certificates));
    let fleet = Fleet::of(vec![setup(), setup()]).await;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.subscribe("room").await;
    fleet.publisher(1).await.publish("room", "in secret", "x").await;
    ann.expect("in secret").await;

    let others = Certificates::new();
    let deceived = instance(adapter, &section(&others)).start().await;
    let reason = until("the reason to be told", async || {
        let (status, answer) = deceived.ready().await;
        let reason = answer["reasons"][0].as_str()?.to_owned();
        (status == 503 && reason.contains("TLS")).then_some(reason)
    })
    .await;
    eprintln!("{reason}");
    for part in ["adapter", "127.0.0.1:", "invalid peer certificate", "tls.ca_file"] {
        assert!(reason.contains(part), "{part:?} is missing: {reason}");
    }
}

// Every server asks for a certificate.
#[tokio::test]
async fn a_redis_cluster_with_tls_connects_whom_it_knows() {
    let certificates = Certificates::new();
    let cluster = RedisCluster::tls(&certificates).await;
    let section = |trusted: &Certificates| {
        format!(
            "nodes = [\"{}\"]\ntls = {{ ca_file = \"{}\", cert_file = \"{}\", key_file = \"{}\" }}",
            cluster.nodes[0].url(),
            trusted.file("ca.pem"),
            trusted.file("client.pem"),
            trusted.file("client.key")
        )
    };
    trust_decides("adapter-redis-cluster", section, &certificates).await;
}

#[tokio::test]
async fn sentinels_with_tls_lead_to_a_master_with_tls() {
    let certificates = Certificates::new();
    let master = Broker::redis_tls_with(&certificates, "tls-auth-clients no").await;
    let sentinel = Broker::sentinel_tls(&master, &certificates).await;
    let section = |trusted: &Certificates| {
        format!(
            "sentinels = [\"{}\"]\nmaster_name = \"main\"\ntls = {{ ca_file = \"{}\" }}",
            sentinel.url(),
            trusted.file("ca.pem")
        )
    };
    trust_decides("adapter-redis", section, &certificates).await;
}
