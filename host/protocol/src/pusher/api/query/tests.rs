//! Queries as a table: what is asked for, or how it is refused.

use super::{ApiError, ChannelQuery, ChannelsQuery, Info, check_users_of, unescaped};
use crate::names::ChannelName;

fn words(info: Info) -> String {
    let words = [
        (info.user_count, " users"),
        (info.subscription_count, " subscriptions"),
        (info.cache, " cache"),
    ];
    words
        .into_iter()
        .filter_map(|(asked, word)| asked.then_some(word))
        .collect()
}

fn outcome(result: Result<String, ApiError>) -> String {
    result.unwrap_or_else(|error| format!("{} {error}", error.status()))
}

// Pusher HTTP API, "GET channels": `filter_by_prefix`, `info`, and 400 for user_count without a presence prefix.
#[test]
fn channels_are_asked_for_by_prefix() {
    const PREFIX: &str =
        "400 `user_count` is known of presence channels; add a `filter_by_prefix` that begins with presence-, only";
    for (query, expected) in [
        ("", "all"),
        ("auth_key=1&auth_signature=2", "all"),
        ("filter_by_prefix=", "all"),
        ("filter_by_prefix=private-&info=", "private-"),
        (
            "info=subscription_count&auth_key=1&filter_by_prefix=a",
            "a subscriptions",
        ),
        ("filter_by_prefix=presence-&info=user_count", "presence- users"),
        (
            "filter_by_prefix=presence-ro&info=subscription_count%2Cuser_count",
            "presence-ro users subscriptions",
        ),
        ("info=user_count", PREFIX),
        ("info=user_count&filter_by_prefix=presence", PREFIX),
        ("info=user_count&filter_by_prefix=private-", PREFIX),
        (
            "info=cache",
            "400 `info` asks for \"cache\"; user_count and subscription_count are accepted",
        ),
        (
            "info=user_count,,x",
            "400 `info` asks for \"x\"; user_count and subscription_count are accepted",
        ),
        ("filter_by_prefix=a&filter_by_prefix=b", "a"),
        ("info", "all"),
    ] {
        let parsed = ChannelsQuery::parse(query).map(|asked| {
            let prefix = if asked.prefix.is_empty() { "all" } else { &asked.prefix };
            format!("{prefix}{}", words(asked.info))
        });
        assert_eq!(outcome(parsed), expected, "{query}");
    }
    let asked = ChannelsQuery::parse("filter_by_prefix=presence-").expect("well-formed");
    for (name, matches) in [("presence-a", true), ("presence", false), ("a-presence-", false)] {
        assert_eq!(asked.matches(&ChannelName::parse(name).expect(name)), matches, "{name}");
    }
}

// Pusher HTTP API, "GET channel": 400 for an attribute that the channel's type lacks.
#[test]
fn a_channel_is_asked_for_what_it_has() {
    for (channel, query, expected) in [
        ("a", "", ""),
        ("a", "info=subscription_count", " subscriptions"),
        (
            "presence-a",
            "info=user_count,subscription_count",
            " users subscriptions",
        ),
        (
            "presence-cache-a",
            "info=cache,%20user_count+,subscription_count",
            " users subscriptions cache",
        ),
        ("cache-a", "info=cache", " cache"),
        ("private-encrypted-cache-a", "info=cache", " cache"),
        ("#server-to-user-1", "info=subscription_count", " subscriptions"),
        (
            "private-a",
            "info=user_count",
            "400 `user_count` is known of presence channels only",
        ),
        (
            "cache-a",
            "info=user_count",
            "400 `user_count` is known of presence channels only",
        ),
        (
            "presence-a",
            "info=cache",
            "400 `cache` is known of cache channels only",
        ),
        (
            "a",
            "info=Cache",
            "400 `info` asks for \"Cache\"; user_count, subscription_count and cache are accepted",
        ),
    ] {
        let channel = ChannelName::parse(channel).expect(channel);
        let parsed = ChannelQuery::parse(query, &channel).map(|asked| words(asked.info));
        assert_eq!(outcome(parsed), expected, "{channel} {query}");
    }
}

// Pusher HTTP API, "GET users": presence channels only.
#[test]
fn only_presence_channels_have_users() {
    for (name, expected) in [
        ("presence-a", ""),
        ("presence-cache-a", ""),
        ("a", "400 `users` is known of presence channels only"),
        ("private-a", "400 `users` is known of presence channels only"),
        ("#server-to-user-1", "400 `users` is known of presence channels only"),
    ] {
        let checked = check_users_of(&ChannelName::parse(name).expect(name));
        assert_eq!(outcome(checked.map(|()| String::new())), expected, "{name}");
    }
}

#[test]
fn values_are_unescaped_as_far_as_possible() {
    for (value, expected) in [
        ("", ""),
        ("abc", "abc"),
        ("a+b%20c%2c%2C", "a b c,,"),
        ("%", "%"),
        ("%4", "%4"),
        ("%4g%", "%4g%"),
        ("%%41", "%A"),
        ("%+1", "% 1"),
        ("%c3%a9", "é"),
        ("é%c3", "é\u{fffd}"),
        ("%00", "\0"),
    ] {
        assert_eq!(unescaped(value), expected, "{value}");
    }
}

#[test]
fn long_attributes_are_not_repeated_in_full() {
    let error = ChannelsQuery::parse(&format!("info={}", "é".repeat(10_000))).expect_err("unknown");
    assert!(error.to_string().len() < 200, "{error}");
}
