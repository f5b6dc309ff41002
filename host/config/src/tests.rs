//! What the configuration accepts, and how it refuses the rest.

mod changes;
mod mistakes;

use std::fs;
use std::path::PathBuf;

use super::{Config, Overrides};

/// Loads `text` from a file of this ending; the message of a failure calls it `FILE`.
fn load(ending: &str, text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let name = format!(
        "jackfield-config-{}-{:?}.{ending}",
        std::process::id(),
        std::thread::current().id()
    );
    let file: PathBuf = std::env::temp_dir().join(name);
    fs::write(&file, text).expect("temporary folder");
    let lookup = |wanted: &str| {
        env.iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, text)| (*text).to_owned())
    };
    let overrides = Overrides {
        file: Some(file.clone()),
        ..Overrides::default()
    };
    let place = file.display().to_string();
    let config = Config::load(overrides, lookup).map_err(|error| error.to_string().replace(&place, "FILE"));
    fs::remove_file(file).expect("was written");
    config
}

const APP: &str = "[[apps]]\nid = \"7\"\nkey = \"k\"\nsecret = \"s\"\n";

#[test]
fn a_file_in_either_language_is_read() {
    let toml = load("toml", &format!("port = 7001\n{APP}"), &[]).expect("good");
    assert_eq!(toml.listen.port(), 7001);
    // The seed guides' JSON holds comments and a section per driver.
    let json = r#"{
        "adapter": { "driver": "nats", "nats": { "prefix": "x:" } }, // comment
        "apps": [{ "id": "7", "key": "k", "secret": "s" }]
    }"#;
    let json = load("json", json, &[]).expect("good");
    assert_eq!(json.doors.adapter, "nats");
    assert_eq!(json.doors.configs["adapter-nats"], r#"{"prefix":"x:"}"#);
}

#[test]
fn the_environment_wins_over_the_file() {
    let env = [
        ("PORT", "8001"),
        ("ADAPTER_DRIVER", "mqtt"),
        ("INSTANCE_PROCESS_ID", "a"),
    ];
    let config = load("toml", &format!("port = 7001\n{APP}"), &env).expect("good");
    assert_eq!(
        (
            config.listen.port(),
            config.doors.adapter.as_str(),
            config.node.as_str()
        ),
        (8001, "mqtt", "a")
    );
}

// host/docs/operating.md: `cache.directory`.
#[test]
fn compiled_plugins_are_kept_in_the_users_cache_unless_told_otherwise() {
    let kept = |text: &str, env: &[(&str, &str)]| {
        let config = load("toml", &format!("{text}{APP}"), env).expect("good");
        config.compiled.map(|folder| folder.display().to_string())
    };
    let folder = |text: &str| Some(text.to_owned());
    assert_eq!(kept("", &[]), None);
    let home = ("HOME", "/home/me");
    assert_eq!(kept("", &[home]), folder("/home/me/.cache/jackfield/compiled"));
    let cache = ("XDG_CACHE_HOME", "/tmp/cache");
    assert_eq!(kept("", &[home, cache]), folder("/tmp/cache/jackfield/compiled"));
    assert_eq!(kept("", &[("HOME", ""), ("XDG_CACHE_HOME", "here")]), None);
    let named = "[cache]\ndirectory = \"/var/cache/jackfield\"\n";
    assert_eq!(kept(named, &[home]), folder("/var/cache/jackfield/compiled"));
    assert_eq!(kept(&format!("{named}enabled = false\n"), &[home]), None);
}

// The guides: a broker's address alone chooses the adapter; a driver that is named wins.
#[test]
fn the_address_of_a_broker_chooses_the_adapter() {
    let chosen = |text: &str, env: &[(&str, &str)]| {
        let config = load("toml", &format!("{text}{APP}"), env).expect("good");
        let section = config
            .doors
            .configs
            .get(&format!("adapter-{}", config.doors.adapter))
            .cloned();
        (
            config.doors.adapter,
            config.doors.adapter_because,
            section.unwrap_or_default(),
        )
    };
    let (driver, because, section) = chosen("", &[("REDIS_URL", "redis://h:1")]);
    assert_eq!(
        (driver.as_str(), because, section.as_str()),
        ("redis", "REDIS_URL", r#"{"url":"redis://h:1"}"#)
    );
    let (driver, _, section) = chosen("", &[("NATS_URL", "nats://a, nats://b"), ("NATS_TOKEN", "t")]);
    assert_eq!(
        (driver.as_str(), section.as_str()),
        ("nats", r#"{"servers":["nats://a","nats://b"],"token":"t"}"#)
    );
    let (driver, because, _) = chosen("", &[("REDIS_URL", "redis://h:1"), ("ADAPTER_DRIVER", "local")]);
    assert_eq!((driver.as_str(), because), ("local", "adapter.driver"));
    assert_eq!(chosen("", &[]).0, "local");
    let file = "[adapter]\ndriver = \"redis\"\n[adapter.redis.redis_pub_options]\nurl = \"redis://old\"\n";
    assert_eq!(
        chosen(file, &[("REDIS_URL", "redis://new")]).2,
        r#"{"url":"redis://new"}"#
    );
}

#[test]
fn a_cluster_goes_by_three_names() {
    let config = |text: &str| load("toml", &format!("{text}\n{APP}"), &[]).expect("good");
    for text in [
        "[adapter]\ndriver = \"redis-cluster\"\nredis-cluster.nodes = [\"redis://h\"]",
        "[adapter]\ndriver = \"redis-cluster\"\ncluster.nodes = [\"redis://h\"]",
        "[adapter]\ndriver = \"redis\"\nredis = { cluster_mode = true, url = \"redis://h\" }",
    ] {
        let config = config(text);
        assert_eq!(config.doors.adapter, "redis-cluster", "{text}");
        assert_eq!(
            config.doors.configs["adapter-redis-cluster"],
            r#"{"nodes":["redis://h"]}"#
        );
    }
    let single = config("[adapter]\ndriver = \"redis\"\nredis = { cluster_mode = false, prefix = \"p:\" }");
    assert_eq!(single.doors.configs["adapter-redis"], r#"{"prefix":"p:"}"#);
}

#[test]
fn mistakes_are_named() {
    let app = |rest: &str| format!("{APP}{rest}");
    let cases: &[(&str, String, &[&str])] = &[
        ("toml", String::new(), &["there are no apps", "--dev"]),
        (
            "toml",
            app("[[apps]]\nid = \"a/b\"\nkey = \"k\"\nsecret = \"s\""),
            &["`a/b`", "letters, digits"],
        ),
        (
            "toml",
            "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"app-secret\"".to_owned(),
            &["development secret"],
        ),
        (
            "toml",
            app("[[apps.webhooks]]\nurl = \"ftp://x\""),
            &["`apps[0].webhooks[0].url`", "http://"],
        ),
        (
            "toml",
            app("[[apps.webhooks]]\nurl = \"https://ann:hidden@x.example/\""),
            &["`apps[0].webhooks[0].url`", "use a header"],
        ),
        (
            "toml",
            app("[[apps.webhooks]]\nurl = \"https://x.example/hidden\"\nheaders = { Host = \"y\" }"),
            &["`apps[0].webhooks[0].headers.Host`", "`host`", "set by the host"],
        ),
        (
            "toml",
            app("[[apps.webhooks]]\nurl = \"https://x.example/hidden\"\nheaders = { x = \"hidden\\n\" }"),
            &["`apps[0].webhooks[0].headers.x`", "cannot be sent"],
        ),
        ("yaml", String::new(), &[".toml, .json"]),
    ];
    for (ending, text, wanted) in cases {
        let message = load(ending, text, &[]).expect_err(text);
        for part in *wanted {
            assert!(
                message.contains(part),
                "{text:?} gave {message:?}, which lacks {part:?}"
            );
        }
        // toml quotes the line that it does not understand; these it does.
        assert!(!message.contains("hidden"), "{message:?} tells a secret");
    }
}

#[test]
fn what_stands_in_front_of_the_server_is_read() {
    let file = format!(
        "path_prefix = \"realtime/\"\ntrusted_proxies = [\"127.0.0.1\"]\nmax_connections = 5\n\
         http_api = {{ external_path_prefix = \"/outside\" }}\n{APP}"
    );
    let config = load("toml", &file, &[]).expect("good");
    assert_eq!(config.path_prefix, "/realtime");
    assert_eq!(config.external_path_prefix, "/outside");
    assert_eq!(config.trusted_proxies, ["127.0.0.1/32".parse().expect("a network")]);
    assert_eq!(config.max_connections.map(u64::from), Some(5));
    let env = [
        ("PATH_PREFIX", "/"),
        ("TRUSTED_PROXIES", "::1, 10.0.0.0/8"),
        ("MAX_CONNECTIONS", "0"),
    ];
    let config = load("toml", &file, &env).expect("good");
    assert_eq!((config.path_prefix.as_str(), config.max_connections), ("", None));
    assert_eq!(config.trusted_proxies.len(), 2);
}

#[test]
fn the_development_app_exists_in_development_only() {
    let overrides = Overrides {
        development: true,
        ..Overrides::default()
    };
    let config = Config::load(overrides, |_| None).expect("good");
    assert_eq!(config.apps[0].id.as_ref(), "1001");
    assert!(Config::load(Overrides::default(), |_| None).is_err());
}

#[test]
fn webhooks_go_to_private_addresses_in_development_or_when_told() {
    let told = format!("webhooks.allow_private_addresses = true\n{APP}");
    for (text, private) in [
        (APP.to_owned(), false),
        (told, true),
        (format!("mode = \"development\"\n{APP}"), true),
    ] {
        let config = load("toml", &text, &[]).expect("good");
        assert_eq!(config.private_webhooks, private, "{text}");
    }
}

#[test]
fn the_example_file_is_good() {
    let example = include_str!("../../../examples/jackfield.toml");
    let config = load("toml", example, &[]).expect("good");
    assert_eq!(config.apps[0].policy.webhooks.len(), 1);
}

/// The operator's guide has a row for every key: whoever adds one is reminded here.
#[test]
fn the_guide_names_every_key_and_variable() {
    let guide = include_str!("../../docs/operating.md");
    for (section, text) in [
        ("", "nonsense = 1"),
        ("instance.", "[instance]\nnonsense = 1"),
        ("auth.", "[auth]\nnonsense = 1"),
        ("rate_limiter.", "[rate_limiter]\nnonsense = 1"),
        ("webhooks.", "[webhooks]\nnonsense = 1"),
        ("http_api.", "[http_api]\nnonsense = 1"),
        ("metrics.", "[metrics]\nnonsense = 1"),
        ("admin.", "[admin]\nnonsense = 1"),
        ("cluster.", "[cluster]\nnonsense = 1"),
        ("apps[].", "[[apps]]\nnonsense = 1"),
        ("", "[[apps]]\nmessage_rate_limit = { nonsense = 1 }"),
    ] {
        let refused = load("toml", text, &[]).expect_err("unknown");
        let accepted = refused.split("accepted are").nth(1).expect("the accepted keys");
        for key in accepted.split('`').skip(1).step_by(2) {
            let rows = [format!("`{section}{key}"), format!("`.{key}`")];
            let named = rows.iter().any(|row| guide.contains(row));
            assert!(named, "operating.md lacks `{section}{key}`");
        }
    }
    for (name, ..) in super::env_names::ENV_NAMES {
        assert!(guide.contains(&format!("`{name}`")), "operating.md lacks {name}");
    }
}
