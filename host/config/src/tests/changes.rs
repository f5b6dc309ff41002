//! What is told of a configuration that is read while another one is in use.

use super::{APP, load};

/// The keys that are different in the second of two files, or why it cannot take the place of the first.
fn changes(old: &str, new: &str) -> Result<Vec<String>, String> {
    let (old, new) = (load("toml", old, &[])?, load("toml", new, &[])?);
    let place = |error: String| match error.split_once(".toml") {
        Some((_, behind)) => format!("FILE{behind}"),
        None => error,
    };
    new.written
        .changes_of(&old.written)
        .map_err(|error| place(error.to_string()))
}

#[test]
fn what_has_changed_is_named_and_not_shown() {
    let other = "[[apps]]\nid = \"8\"\nkey = \"other\"\nsecret = \"hush\"\n";
    for (old, new, expected) in [
        (APP.to_owned(), APP.to_owned(), &[][..]),
        (APP.to_owned(), format!("# why\nmax_connections = 0\n{APP}"), &[]),
        (
            APP.to_owned(),
            format!("max_connections = 1\n{APP}"),
            &["max_connections"],
        ),
        (APP.to_owned(), APP.replace("\"s\"", "\"t\""), &["apps[7].secret"]),
        (APP.to_owned(), format!("{APP}enabled = false"), &["apps[7].enabled"]),
        // Which one it is does not depend on where it stands.
        (APP.to_owned(), format!("{other}{APP}"), &["apps[8] (new)"]),
        (format!("{other}{APP}"), format!("{APP}{other}"), &[]),
        (format!("{other}{APP}"), APP.to_owned(), &["apps[8] (gone)"]),
        (
            format!("{APP}[[apps.webhooks]]\nurl = \"https://a.example\""),
            format!("{APP}[[apps.webhooks]]\nurl = \"https://b.example\""),
            &["apps[7].webhooks"],
        ),
        (
            format!("auth.chain = [\"a\"]\n{APP}"),
            format!("auth.chain = [\"a\", \"b\"]\nplugin.b.x = 1\n{APP}"),
            &["auth.chain", "plugin.b (new)"],
        ),
        (
            format!("plugin.b = {{ x = 1, y = 2 }}\n{APP}"),
            format!("plugin.b = {{ x = 2, y = 2 }}\n{APP}"),
            &["plugin.b.x"],
        ),
        (
            format!("admin.token = \"0123456789abcdef\"\n{APP}"),
            format!("admin.token = \"0123456789abcdeF\"\nadapter.redis.url = \"redis://h\"\n{APP}"),
            &["adapter.redis (new)", "admin.token"],
        ),
    ] {
        assert_eq!(changes(&old, &new).expect("good"), expected, "{new}");
    }
}

#[test]
fn what_takes_a_restart_is_refused_with_its_place() {
    for (new, place) in [
        ("host = \"127.0.0.1\"\n", "FILE:1: `host`"),
        ("max_connections = 1\nport = 1\n", "FILE:2: `port`"),
        ("path_prefix = \"/a\"\n", "FILE:1: `path_prefix`"),
        ("mode = \"development\"\n", "FILE:1: `mode`"),
        ("plugins = \"p\"\n", "FILE:1: `plugins`"),
        ("io_uring = false\n", "FILE:1: `io_uring`"),
        ("instance.process_id = \"a\"\n", "FILE:1: `instance.process_id`"),
        ("metrics.enabled = false\n", "FILE:1: `metrics.enabled`"),
        ("metrics.port = 1\n", "FILE:1: `metrics.port`"),
        ("metrics.host = \"0.0.0.0\"\n", "FILE:1: `metrics.host`"),
        ("cluster.key = \"0123456789abcdef\"\n", "FILE:1: `cluster.key`"),
    ] {
        let refusal = changes(APP, &format!("{new}{APP}")).expect_err(new);
        assert_eq!(refusal, format!("{place}: a change of this takes a restart"));
    }
    // A key that is gone stands nowhere.
    let refusal = changes(&format!("port = 1\n{APP}"), APP).expect_err("another port");
    assert_eq!(refusal, "FILE: `port`: a change of this takes a restart");
}

// The command line and the environment win over the file, also over what is written into it later.
#[test]
fn a_key_that_is_set_elsewhere_is_not_changed_by_the_file() {
    let env = [("PORT", "8001"), ("MAX_CONNECTIONS", "5")];
    let old = load("toml", APP, &env).expect("good");
    let new = load("toml", &format!("port = 1\nmax_connections = 6\n{APP}"), &env).expect("good");
    assert!(new.written.changes_of(&old.written).expect("good").is_empty());
}

#[test]
fn nothing_secret_is_kept_as_it_was_written() {
    let text = format!("admin.token = \"0123456789abcdef\"\n{APP}");
    let config = load("toml", &text, &[]).expect("good");
    let kept = config.written.keys.to_string();
    assert!(
        !kept.contains("0123456789abcdef") && !kept.contains("\"secret\":\"s\""),
        "{kept}"
    );
}
