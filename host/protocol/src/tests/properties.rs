//! Random inputs of the right shape, so that they get past the first check, and what must hold for them.

use bytes::Bytes;
use proptest::{
    arbitrary::any,
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest},
    sample::select,
    string::string_regex,
};

use super::bodies;
use crate::{
    names::ChannelName,
    websocket::{ping_frame, text_frame},
};

/// Pieces of what clients and publishers say, in no order.
const WORDS: &str = r##"
    { } [ ] : , " \ \" \u0000 \ud800 null true -1 1e999 é ✓
    "event": "data": "channel": "channels": "name": "batch": "info": "socket_id": "auth": "channel_data": "user_data":
    "user_id": "user_info": "watchlist": "id": "" "1" "1.2" "user_count"
    "pusher:subscribe" "pusher:unsubscribe" "pusher:signin" "pusher:ping" "client-x"
    "presence-a" "private-a" "cache-a" "#server-to-user-1"
"##;

/// Whole messages with holes, so that the deeper checks are reached.
const MESSAGES: &[&str] = &[
    r#"{"event":"pusher:subscribe","data":{"channel":"presence-a","channel_data":"%"}}"#,
    r#"{"event":"pusher:subscribe","data":{"channel":"%"}}"#,
    r#"{"event":"pusher:subscribe","data":"{\"channel\":\"%\"}"}"#,
    r#"{"event":"pusher:unsubscribe","data":{"channel":"%"}}"#,
    r#"{"event":"pusher:signin","data":{"auth":"%","user_data":"{\"id\":\"%\"}"}}"#,
    r#"{"event":"client-x","channel":"private-a","data":%}"#,
    r#"{"event":"client-%","channel":"presence-a","data":1}"#,
    r#"{"name":"%","data":"%","channels":["a","%"],"info":"user_count,%"}"#,
    r#"{"batch":[{"name":"%","data":"d","channel":"%"},%]}"#,
];

fn jumble() -> impl Strategy<Value = String> {
    let words: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    vec(select(words), 0..30).prop_map(|words| words.concat())
}

fn message() -> impl Strategy<Value = String> {
    let filling = prop_oneof![
        jumble(),
        any::<String>(),
        select(vec!["private-a", "presence-a", "1", r#"{\"user_id\":1}"#]).prop_map(str::to_owned),
    ];
    prop_oneof![
        jumble(),
        (select(MESSAGES), filling).prop_map(|(text, filling)| text.replace('%', &filling)),
    ]
}

/// A client's frame: a server's with the mask bit set and an all-zero key, cut short or wrong now and then.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        vec(any::<u8>(), 0..400).prop_map(|payload| text_frame(&payload)),
        Just(ping_frame()),
    ];
    prop_oneof![
        8 => (whole, any::<bool>()).prop_map(|(frame, last)| masked(&frame, last)),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn masked(frame: &Bytes, last: bool) -> Vec<u8> {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let mut bytes = frame[..header].to_vec();
    bytes[0] &= if last { 0xff } else { 0x7f };
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&frame[header..]);
    bytes
}

/// `bytes` cut at the given places, which are taken modulo its length.
fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        pieces.push(&bytes[start..place]);
        start = place;
    }
    pieces.push(&bytes[start..]);
    pieces
}

proptest! {
    // No file with failures: one that matters becomes a file of the corpus, by name.
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_may_be_cut_anywhere(frames in vec(frame(), 0..8), places in vec(any::<usize>(), 0..12)) {
        let bytes = frames.concat();
        prop_assert_eq!(bodies::decoded(cut(&bytes, &places)), bodies::decoded([bytes.as_slice()]));
    }

    #[test]
    fn no_bytes_harm_the_decoder(bytes in vec(any::<u8>(), 0..600)) {
        bodies::client_frames(&bytes);
    }

    #[test]
    fn no_texts_harm_a_session(texts in vec(message(), 0..20)) {
        bodies::client_message(texts.join("\n").as_bytes());
    }

    #[test]
    fn no_body_harms_the_api(body in prop_oneof![message().prop_map(String::into_bytes), vec(any::<u8>(), 0..200)]) {
        bodies::http_body(&body);
    }

    #[test]
    fn no_query_harms_the_api(query in string_regex("((info|filter_by_prefix|protocol|x)?[=&%+,a-f0-9_]{0,6}(user_count|cache|presence-|é|7)?&?){0,6}").expect("a pattern")) {
        bodies::query_string(query.as_bytes());
    }

    #[test]
    fn names_are_what_they_were(name in prop_oneof![any::<String>(), string_regex("(#server-to-user-|#|presence-|private-|encrypted-|cache-){0,3}[a-zA-Z0-9_=@,.;# -]{0,140}").expect("a pattern")]) {
        bodies::channel_name(name.as_bytes());
    }

    #[test]
    fn every_name_of_the_alphabet_is_a_channel(name in "[A-Za-z0-9_=@,.;-]{1,200}") {
        prop_assert_eq!(ChannelName::parse(&name).map(|channel| channel.as_str().to_owned()), Ok(name));
    }
}
