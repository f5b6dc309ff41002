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

// What operators are told stands in logs.
#[test]
fn a_secret_that_is_written_wrongly_is_not_told() {
    told_of_toml(&[
        (
            "[[apps]]\nsecret = 123",
            "FILE:2: `apps[0].secret`: invalid type: integer, expected a string",
        ),
        (
            "[admin]\ntoken = [\"hidden\"]",
            "FILE:2: `admin.token`: invalid type: sequence, expected a string",
        ),
        (
            "[cluster]\nkey = 1.5",
            "FILE:2: `cluster.key`: invalid type: floating point, expected a string",
        ),
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

// A value that is good for itself, but not where it stands, is told like one that is not.
#[test]
fn a_mistake_that_shows_later_is_told_with_its_line_and_key() {
    const TOKEN: &str = "url = \"https://x.example/hidden\"";
    let hook = |rest: &str| format!("{APP}[[apps.webhooks]] # 5\n{rest}");
    let cases = [
        (
            String::new(),
            "FILE: `apps`: there are no apps; add one, or start with --dev to try things out",
        ),
        (
            "port = 1\napps = []".to_owned(),
            "FILE:2: `apps`: there are no apps; add one, or start with --dev to try things out",
        ),
        (
            "# x\nhost = \"localhost\"".to_owned(),
            "FILE:2: `host`: `localhost` must be an IP address such as 0.0.0.0 or ::1",
        ),
        (
            format!("[metrics]\nhost = \"::g\"\n{APP}"),
            "FILE:2: `metrics.host`: `::g` must be an IP address such as 0.0.0.0 or ::1",
        ),
        (
            format!("{APP}[[apps]]\nkey = \"l\"\n\nid = \"7\"\nsecret = \"s\""),
            "FILE:8: `apps[1].id`: two apps have the id `7`; each needs its own",
        ),
        (
            format!("{APP}[[apps]]\nid = \"8\"\nkey = \"k\"\nsecret = \"s\""),
            "FILE:7: `apps[1].key`: two apps have the key `k`; each needs its own",
        ),
        (
            "[[apps]]\nid = \"1\"\nkey = \"\"\nsecret = \"s\"".to_owned(),
            "FILE:3: `apps[0].key`: `` must be 1 to 64 letters, digits, `_` or `-`",
        ),
        (
            "apps = [\n{ id = \"1\", key = \"k\", secret = \"s\" },\n{ id = \"2\", key = \"l\", secret = \"\" }]"
                .to_owned(),
            "FILE:3: `apps[1].secret`: app `2` needs one that is not empty",
        ),
        (
            "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"app-secret\"".to_owned(),
            "FILE:4: `apps[0].secret`: app `1` has the development secret, which everybody knows",
        ),
        (
            format!("{APP}allowed_origins = [\n\"a\",\n\"*b*\"\n]"),
            "FILE:7: `apps[0].allowed_origins[1]`: `*b*` has more than one `*`",
        ),
        (
            hook("url = \"ftp://x/hidden\""),
            "FILE:6: `apps[0].webhooks[0].url`: the address must begin with http:// or https://",
        ),
        (
            hook(&format!(
                "{TOKEN}\nevent_types = [\n  \"cache_miss\",\n  \"vacated\",\n]"
            )),
            "FILE:9: `apps[0].webhooks[0].event_types[1]`: `vacated` is none of channel_occupied, channel_vacated, \
             member_added, member_removed, client_event, cache_miss, subscription_count",
        ),
        (
            hook(&format!(
                "{TOKEN}\n[apps.webhooks.headers]\na = \"hidden\"\nHost = \"hidden\""
            )),
            "FILE:9: `apps[0].webhooks[0].headers.Host`: the header `host` is about the connection and set by the host",
        ),
    ];
    for (text, expected) in &cases {
        told_of_toml(&[(text, expected)]);
    }
}

#[test]
fn a_mistake_that_shows_later_is_told_alike_in_json() {
    let app = |id: &str, rest: &str| {
        format!("{{ \"key\": \"k{id}\", // hidden\n\"id\": \"{id}\", \"secret\": \"s\"{rest} }}")
    };
    for (text, expected) in [
        (
            "// nothing\n{}".to_owned(),
            "FILE: `apps`: there are no apps; add one, or start with --dev to try things out",
        ),
        (
            "/* a\n b */ {\n\"host\": \"localhost\"}".to_owned(),
            "FILE:3: `host`: `localhost` must be an IP address such as 0.0.0.0 or ::1",
        ),
        (
            format!(
                "{{ \"port\": 1, \"plugin\": {{ \"x\": {{ \"apps\": [[]] }} }}, \"apps\": [\n{},\n{}] }}",
                app("7", ""),
                app("7", "")
            ),
            "FILE:5: `apps[1].id`: two apps have the id `7`; each needs its own",
        ),
        (
            format!(
                "{{ \"apps\": [{}] }}",
                app("7", ",\n\"allowed_origins\": [\"a\",\n\"*b*\"]")
            ),
            "FILE:4: `apps[0].allowed_origins[1]`: `*b*` has more than one `*`",
        ),
        (
            format!(
                "{{ \"apps\": [{}] }}",
                app(
                    "7",
                    ",\n\"webhooks\": [{ \"url\": \"http://x/hidden\" }, {\n\"url\": \"x\" }]"
                )
            ),
            "FILE:4: `apps[0].webhooks[1].url`: the address cannot be read: relative URL without a base",
        ),
        (
            format!(
                "{{ \"apps\": [{}] }}",
                app(
                    "7",
                    ",\n\"webhooks\": [{ \"url\": \"http://x/\",\n\"headers\": { // hidden\n\"a b\": \"hidden\" } }]"
                )
            ),
            "FILE:5: `apps[0].webhooks[0].headers.a b`: the header `a b` has a name that is none",
        ),
    ] {
        let message = load("json", &text, &[]).expect_err(&text);
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
        (
            "METRICS_HOST",
            "localhost",
            "`metrics.host`: `localhost` must be an IP address such as 0.0.0.0 or ::1",
        ),
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
