//! The plugin of the README: it is what it says it is, and its rule holds in a running server.

use std::fs;
use std::path::Path;

use crate::harness::client::Client;
use crate::harness::server::Setup;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// ARCHITECTURE.md, "auth": "The first answer that is not pass decides", so a rule of one's own stands in front of auth-pusher.
#[tokio::test]
async fn its_rule_holds_in_front_of_the_ordinary_ones() {
    for (addresses, is_admin) in [("[\"127.0.0.1\"]", true), ("[\"10.0.0.1\"]", false)] {
        let config = format!(
            "[auth]\nchain = [\"first-plugin\", \"auth-pusher\"]\n[plugin.first-plugin]\naddresses = {addresses}"
        );
        let server = Setup::default().guest("first-plugin").config(&config).start().await;
        assert_eq!(server.ready().await.0, 200);
        let mut client = Client::connect(server.port).await;
        if is_admin {
            client.subscribe("private-admin-alerts").await;
        } else {
            let refusal = client.refused("private-admin-alerts").await;
            assert_eq!(refusal["status"], 403);
            let error = refusal["error"].as_str().expect("a text");
            assert!(error.contains("administrators"), "{error}");
        }
        for channel in ["private-room", "room"] {
            client.subscribe(channel).await;
        }
    }
}

// A plugin that passes is not one that allows: the next in the chain still wants a signature.
#[tokio::test]
async fn passing_leaves_the_signature_to_be_checked() {
    let config =
        "[auth]\nchain = [\"first-plugin\", \"auth-pusher\"]\n[plugin.first-plugin]\naddresses = [\"127.0.0.1\"]";
    let server = Setup::default().guest("first-plugin").config(config).start().await;
    let mut client = Client::connect(server.port).await;
    let own_id = std::mem::replace(&mut client.socket_id, "1.1".to_owned());
    let refusal = client.refused("private-admin-alerts").await;
    assert_eq!(refusal["status"], 401);
    client.socket_id = own_id;
    client.subscribe("private-admin-alerts").await;
}

// Without its section of the configuration it refuses to start, and says which key is missing.
#[tokio::test]
async fn it_names_what_its_configuration_lacks() {
    let config = "[auth]\nchain = [\"first-plugin\", \"auth-pusher\"]";
    let server = Setup::default().guest("first-plugin").config(config).start().await;
    let (status, body) = server.ready().await;
    assert_eq!(status, 503);
    assert!(body.to_string().contains("addresses"), "{body}");
}

#[test]
fn the_readme_shows_it_as_it_is() {
    let readme = read("README.md");
    let (_, behind) = readme
        .split_once("<!-- first-plugin -->")
        .expect("README.md marks the plugin with <!-- first-plugin -->");
    let block = behind.trim_start().strip_prefix("```rust\n");
    let block = block.expect("behind the mark stands a rust block");
    let (shown, _) = block.split_once("\n```").expect("the block ends");
    let source = read("examples/first-plugin/src/lib.rs");
    let (plugin, _) = source.split_once("#[cfg(test)]").expect("its tests stand at the end");
    assert_eq!(shown.trim_end(), plugin.trim_end());
}
