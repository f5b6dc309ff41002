//! May this HTTP request be carried out? Yes with the signature that the Pusher HTTP API asks for: of method, path and
//! query, the query holding the MD5 of the body and a time that is not long ago.

use std::borrow::Cow;

use jackfield_sdk::{ApiRequest, host};

use crate::query::Query;
use crate::usual;

/// What a query says of its request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed<'a> {
    /// Seconds since 1970.
    pub(crate) timestamp: &'a str,
    /// The MD5 of the body.
    pub(crate) digest: Option<&'a str>,
    pub(crate) signature: &'a str,
    /// The query as the signature sees it.
    pub(crate) signed: Cow<'a, str>,
}

/// Checks a request, with `text` as working memory. An error is for the caller's developer.
pub(crate) fn check(request: &ApiRequest, text: &mut String) -> Result<(), String> {
    let (method, path, raw) = request.parts();
    let query;
    let claimed = match usual::read(raw, &request.app_key) {
        Some(claimed) => claimed,
        None => {
            query = Query::parse(raw)?;
            claimed(&query, &request.app_key)?
        }
    };
    check_time(claimed.timestamp, request.unix_ms)?;
    check_signature(request, [method, path, raw], &claimed, text)?;
    // Last, so that only the bodies of those who know the secret are hashed.
    check_body(request, claimed.digest)
}

/// What a query of any kind claims, if it is for this app.
pub(crate) fn claimed<'a>(query: &'a Query<'_>, key: &str) -> Result<Claimed<'a>, String> {
    if query.required("auth_key")? != key {
        return Err(format!("auth_key is not the key of this app, {key}"));
    }
    if query.required("auth_version")? != "1.0" {
        return Err("auth_version has to be 1.0".to_owned());
    }
    Ok(Claimed {
        timestamp: query.required("auth_timestamp")?,
        digest: query.value("body_md5"),
        signature: query.signature()?,
        signed: query.signed(),
    })
}

fn check_time(timestamp: &str, now: u64) -> Result<(), String> {
    let Ok(seconds) = timestamp.parse::<u64>() else {
        return Err("auth_timestamp has to be a number of seconds since 1970".to_owned());
    };
    if seconds.saturating_mul(1_000).abs_diff(now) > TOLERANCE_MS {
        let (now, tolerance) = (now / 1_000, TOLERANCE_MS / 1_000);
        return Err(format!(
            "auth_timestamp {seconds} is not within {tolerance} s of the server's clock, {now}"
        ));
    }
    Ok(())
}

fn check_signature(
    request: &ApiRequest,
    [method, path, raw]: [&str; 3],
    claimed: &Claimed<'_>,
    text: &mut String,
) -> Result<(), String> {
    let is_right = |text: &str| host::verify(text.as_bytes(), claimed.signature);
    let first = match claimed.signed {
        // Just as it stands in the request.
        Cow::Borrowed(signed) => &request.lines[..request.lines.len() - raw.len() + signed.len()],
        Cow::Owned(_) => write_text([method, path, &claimed.signed], text),
    };
    // Some libraries sign the path with its prefix, others the one that Pusher documents.
    let bare = || [method, request.route(), &claimed.signed];
    if is_right(first) || request.prefix_length > 0 && is_right(write_text(bare(), text)) {
        return Ok(());
    }
    if !crate::is_signature(claimed.signature) {
        return Err("auth_signature has to be 64 lower-case hexadecimal digits".to_owned());
    }
    let text = write_text(bare(), text).replace('\n', "\\n");
    Err(format!(
        "invalid signature: sign {text} with HMAC-SHA256 under the app's secret, \\n being a line feed"
    ))
}

/// Rebuilds what the caller signed: `METHOD\nPATH\nQUERY`, the query's values unescaped.
fn write_text<'a>([method, path, query]: [&str; 3], text: &'a mut String) -> &'a str {
    text.clear();
    text.push_str(method);
    text.push('\n');
    text.push_str(path);
    text.push('\n');
    text.push_str(query);
    text
}

/// The digest may be left out where there is no body. One that is given has to be right in any case: some libraries
/// send the digest of nothing.
fn check_body(request: &ApiRequest, digest: Option<&str>) -> Result<(), String> {
    match digest {
        None if request.body_length == 0 => Ok(()),
        None => Err("the request has a body, so the parameter body_md5 is needed".to_owned()),
        Some(digest) if host::body_md5_is(digest) => Ok(()),
        Some(_) => Err("body_md5 is not the MD5 of the body that arrived".to_owned()),
    }
}

/// How far a caller's clock may be off, in either direction: ten minutes, as Pusher has it.
const TOLERANCE_MS: u64 = 600_000;

#[cfg(test)]
mod tests {
    use jackfield_sdk::{ApiRequest, Auth, Verdict, double};

    use crate::tests::{app, plugin, refusal};

    const BODY: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const QUERY: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
        &body_md5=ec365a775a4cd0599faeb73354201b6f\
        &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    const NOW_MS: u64 = 1_353_088_179_000;

    /// The example of the Pusher documentation, at the time it was signed.
    fn golden() -> ApiRequest {
        let request = ApiRequest {
            app_key: app().key,
            unix_ms: NOW_MS,
            lines: format!("POST\n/apps/3/events\n{QUERY}"),
            ..double::api_request()
        };
        with_body(BODY, request)
    }

    /// The same with another query.
    fn with_query(query: &str) -> ApiRequest {
        ApiRequest {
            lines: format!("POST\n/apps/3/events\n{query}"),
            ..golden()
        }
    }

    /// A request that comes with this body.
    fn with_body(body: &str, request: ApiRequest) -> ApiRequest {
        double::set_body(body.as_bytes());
        ApiRequest {
            body_length: body.len() as u64,
            ..request
        }
    }

    /// A request without a body, with this query (without `auth_signature`), rightly signed over `text`.
    fn signed(method: &str, query: &str, text: &str) -> ApiRequest {
        let request = golden();
        let signature = double::sign("3", format!("{method}\n/apps/3/events\n{text}").as_bytes());
        let lines = format!("{method}\n/apps/3/events\n{query}&auth_signature={signature}");
        with_body("", ApiRequest { lines, ..request })
    }

    fn ask(request: &ApiRequest) -> Verdict {
        plugin().api_request(request)
    }

    // Pusher, "HTTP API reference", "Worked authentication example".
    #[test]
    fn the_golden_request_is_allowed() {
        assert_eq!(ask(&golden()), Verdict::allow());
    }

    // Behind a prefix some libraries sign the whole path, and others, such as PHP's, the one that Pusher documents.
    #[test]
    fn the_path_is_signed_with_its_prefix_or_without() {
        let auth = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0";
        for (path, allowed) in [
            ("/a/b/apps/3/events", true),
            ("/apps/3/events", true),
            ("/b/apps/3/events", false),
            ("/a/apps/3/events", false),
            ("/a/b", false),
            ("", false),
        ] {
            let mut request = signed("GET", auth, auth);
            let signature = double::sign("3", format!("GET\n{path}\n{auth}").as_bytes());
            request.lines = format!("GET\n/a/b/apps/3/events\n{auth}&auth_signature={signature}");
            request.prefix_length = 4;
            let verdict = ask(&request);
            assert_eq!(verdict == Verdict::allow(), allowed, "{path}: {verdict:?}");
        }
    }

    #[test]
    fn the_order_of_parameters_and_the_case_of_keys_do_not_matter() {
        let mut shuffled: Vec<&str> = QUERY.split('&').collect();
        shuffled.reverse();
        let query = shuffled.join("&").replace("auth_key", "Auth_KEY");
        assert_eq!(ask(&with_query(&query)), Verdict::allow());
    }

    #[test]
    fn values_are_signed_unescaped() {
        let auth = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0";
        let query = format!("{auth}&info=user_count%2Csubscription_count");
        let text = format!("{auth}&info=user_count,subscription_count");
        assert_eq!(ask(&signed("GET", &query, &text)), Verdict::allow());
        refusal(ask(&signed("GET", &query, &query)));
    }

    // Every byte that means something is covered: of 100,000 requests that differ from the golden one in one of them, none is
    // allowed.
    #[test]
    fn no_mutation_is_allowed() {
        let (golden, mut plugin) = (golden(), plugin());
        let mut seed: u64 = 2_026;
        for _ in 0..100_000 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (at, to) = (
                (seed >> 33) as usize,
                b"0123456789abcdefghijklmnopqrstuvwxyz"[(seed >> 8) as usize % 36],
            );
            let (mut lines, mut body) = (golden.lines.clone(), BODY.to_owned());
            let changed = match seed % 3 {
                0 => replace(&mut body, at, to),
                _ => replace(&mut lines, at, to),
            };
            if changed {
                let mutant = with_body(
                    &body,
                    ApiRequest {
                        lines,
                        ..golden.clone()
                    },
                );
                assert_ne!(plugin.api_request(&mutant), Verdict::allow(), "{mutant:?}");
            }
        }
        assert_eq!(plugin.api_request(&with_body(BODY, golden)), Verdict::allow());
    }

    /// Puts another byte into a text of ASCII; says whether that changed it.
    fn replace(text: &mut String, at: usize, to: u8) -> bool {
        let mut bytes = std::mem::take(text).into_bytes();
        let at = at % bytes.len();
        let before = std::mem::replace(&mut bytes[at], to);
        *text = String::from_utf8(bytes).expect("ASCII stays ASCII");
        before != to
    }

    #[test]
    fn a_plugin_answers_again_after_a_longer_question() {
        let mut plugin = plugin();
        let long = ApiRequest {
            lines: format!("POST\n{}\n{QUERY}", "/apps/3/events".repeat(50)),
            ..golden()
        };
        refusal(plugin.api_request(&long));
        assert_eq!(plugin.api_request(&golden()), Verdict::allow());
    }

    #[test]
    fn each_changed_part_is_refused() {
        for (changed, request) in [
            (
                "method",
                ApiRequest {
                    lines: format!("PUT\n/apps/3/events\n{QUERY}"),
                    ..golden()
                },
            ),
            (
                "path",
                ApiRequest {
                    lines: format!("POST\n/apps/3/batch_events\n{QUERY}"),
                    ..golden()
                },
            ),
            ("added parameter", with_query(&format!("{QUERY}&info=user_count"))),
            ("timestamp", with_query(&QUERY.replace("8179", "8178"))),
            ("signature", with_query(&QUERY.replace("=da45", "=da46"))),
            ("digest", with_query(&QUERY.replace("=ec36", "=ec37"))),
        ] {
            let message = refusal(ask(&request));
            assert!(message.contains("invalid signature: sign "), "{changed}: {message}");
            assert!(!message.contains("7ad3773142a6692b25b8"), "the secret: {message}");
        }
        for body in [BODY.replace("foo", "bar").as_str(), ""] {
            let message = refusal(ask(&with_body(body, golden())));
            assert!(message.contains("body_md5 is not"), "{message}");
        }
    }

    #[test]
    fn each_parameter_is_needed() {
        for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature"] {
            let kept: Vec<&str> = QUERY.split('&').filter(|pair| !pair.starts_with(name)).collect();
            let message = refusal(ask(&with_query(&kept.join("&"))));
            assert!(message.contains(&format!("{name} is missing")), "{message}");
        }
    }

    #[test]
    fn wrong_values_are_named() {
        for (from, to, said) in [
            ("auth_key=2", "auth_key=3", "auth_key is not the key of this app, 278d"),
            ("version=1.0", "version=1.1", "auth_version has to be 1.0"),
            (
                "timestamp=1353088179",
                "timestamp=now",
                "auth_timestamp has to be a number",
            ),
            (
                "timestamp=1353088179",
                "timestamp=-1",
                "auth_timestamp has to be a number",
            ),
            (
                "timestamp=1353088179",
                "timestamp=18446744073709551615",
                "not within 600 s",
            ),
            ("=da45", "=DA45", "auth_signature has to be 64 lower-case"),
            ("=da45", "=", "auth_signature has to be 64 lower-case"),
            (
                "auth_version=1.0",
                "auth_version=1.0&auth_version=1.0",
                "auth_version is there twice",
            ),
            ("auth_version=1.0", "auth_version=%", "not percent-encoded"),
        ] {
            let query = QUERY.replace(from, to);
            assert_ne!(query, QUERY, "{from} has to be there to be replaced");
            let message = refusal(ask(&with_query(&query)));
            assert!(message.contains(said), "{from} -> {to}: {message}");
        }
    }

    #[test]
    fn a_timestamp_holds_for_ten_minutes_both_ways() {
        let request = golden();
        for (now_ms, allowed) in [
            (NOW_MS - 600_001, false),
            (NOW_MS - 600_000, true),
            (NOW_MS + 600_000, true),
            (NOW_MS + 600_001, false),
        ] {
            let asked = ApiRequest {
                unix_ms: now_ms,
                ..request.clone()
            };
            assert_eq!(ask(&asked) == Verdict::allow(), allowed, "{now_ms}");
        }
    }

    #[test]
    fn a_digest_is_needed_for_a_body_alone() {
        let auth = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0";
        assert_eq!(ask(&signed("GET", auth, auth)), Verdict::allow());

        let without_digest = with_body(BODY, signed("POST", auth, auth));
        assert!(refusal(ask(&without_digest)).contains("body_md5 is needed"));

        // The Python library sends the digest of an empty body.
        let of_nothing = format!("{auth}&body_md5=d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(ask(&signed("GET", &of_nothing, &of_nothing)), Verdict::allow());
    }
}
