//! What is said of a mistake: the file, the line, the whole key, and what was probably meant.

use super::{APP, load};

fn told_of_toml(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let message = load("toml", text, &[]).expect_err(text);
        assert_eq!(message, format!("configuration: {expected}"), "{text}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    told_of_toml(&[
        ("prot = 1", "FILE:1: unknown key `prot`; did you mean `port`?"),
        (
            "\n# x\nadaptr = {}",
            "FILE:3: unknown key `adaptr`; did you mean `adapter`?",
        ),
        (
            "[metrics]\nprt = 1",
            "FILE:2: unknown key `metrics.prt`; did you mean `port`?",
        ),
        (
            "[metrics]\nnonsense = 1",
            "FILE:2: unknown key `metrics.nonsense`; accepted are `enabled`, `host`, `port`",
        ),
        (
            "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"s\"\n[[apps]]\nid = \"2\"\nwebhook = []",
            "FILE:7: unknown key `apps[1].webhook`; did you mean `webhooks`?",
        ),
        (
            "[[apps]]\n[[apps.webhooks]]\nurl = \"\"\n[apps.webhooks.filter]\nchannel_name_start_with = \"a\"",
            "FILE:5: unknown key `apps[0].webhooks[0].filter.channel_name_start_with`; did you mean `channel_name_starts_with`?",
        ),
    ]);
}

#[test]
fn a_wrong_value_is_told_with_its_key() {
    told_of_toml(&[
        (
            "port = \"x\"",
            "FILE:1: `port`: invalid type: string \"x\", expected u16",
        ),
        (
            "[[apps]]\nid = 1",
            "FILE:2: `apps[0].id`: invalid type: integer `1`, expected a string",
        ),
        (
            "[[apps]]\nid = \"1\"\nkey = \"k\"",
            "FILE:1: the key `apps[0].secret` is missing",
        ),
        (
            "activity_timeout = 0",
            "FILE:1: `activity_timeout`: invalid value: integer `0`, expected a nonzero u64",
        ),
        (
            "mode = \"dev\"",
            "FILE:1: `mode`: unknown variant `dev`, expected `production` or `development`",
        ),
        (
            "[adapter]\ndriver = 5",
            "FILE:2: `adapter.driver`: invalid type: integer `5`, expected a string",
        ),
        (
            "[adapter]\ndrivr = \"x\"",
            "FILE:2: `adapter.drivr`: invalid type: string \"x\", expected a section for the driver `drivr`; did you mean `driver`?",
        ),
        (
            "[plugin]\nlist = 1",
            "FILE:2: `plugin.list`: invalid type: integer `1`, expected a map",
        ),
        (
            "path_prefix = \"a//b\"",
            "FILE:1: `path_prefix`: `a//b` must be a path such as /realtime, of letters, digits and - . _ ~",
        ),
        (
            "trusted_proxies = [\n\"10.0.0.0/8\",\n\"proxy\"]",
            "FILE:3: `trusted_proxies[1]`: `proxy` must be an IP address such as 127.0.0.1 or ::1, or a network such as 10.0.0.0/8",
        ),
        ("a = \"b", "FILE:1: invalid basic string, expected `\"`"),
    ]);
}

// Comments are no reason to count lines wrongly.
#[test]
fn mistakes_in_json_are_told_alike() {
    for (ending, text, expected) in [
        (
            "json",
            "{ // port\n/* of\nours */ \"prot\": 1}",
            "FILE:3: unknown key `prot`; did you mean `port`?",
        ),
        (
            "json",
            "{\n\"apps\": [{\n\"id\": 1}]}",
            "FILE:3: `apps[0].id`: invalid type: integer `1`, expected a string",
        ),
        (
            "json",
            "{\n\"adapter\": {\n\"nats\": []}}",
            "FILE:3: `adapter.nats`: invalid type: sequence, expected a section for the driver `nats`",
        ),
        ("json", "{\n\"port\" 1}", "FILE:2: expected `:`"),
        ("json", "{\n\"port\": 1", "FILE:2: EOF while parsing an object"),
        ("jsonc", "{}\n{}", "FILE:2: trailing characters"),
    ] {
        let message = load(ending, text, &[]).expect_err(text);
        assert_eq!(message, format!("configuration: {expected}"), "{text}");
    }
}

#[test]
fn mistakes_in_the_environment_are_told_with_their_key() {
    for (name, text, expected) in [
        ("PORT", "many", "`port`: must be a whole number from 0 to 65535"),
        (
            "METRICS_PORT",
            "-1",
            "`metrics.port`: must be a whole number from 0 to 65535",
        ),
        ("MAX_CONNECTIONS", "", "`max_connections`: must be a whole number"),
        ("ENVIRONMENT", "test", "`mode`: must be `production` or `development`"),
        (
            "PATH_PREFIX",
            "/a b",
            "`path_prefix`: `/a b` must be a path such as /realtime, of letters, digits and - . _ ~",
        ),
        (
            "TRUSTED_PROXIES",
            "::1, x",
            "`trusted_proxies`: `x` must be an IP address such as 127.0.0.1 or ::1, or a network such as 10.0.0.0/8",
        ),
    ] {
        let message = load("toml", APP, &[(name, text)]).expect_err(name);
        assert_eq!(
            message,
            format!("configuration: environment variable {name}=`{text}`: {expected}")
        );
    }
}
