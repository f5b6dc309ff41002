//! May this client subscribe? Yes to public channels; to private and presence channels with a signature that the app's
//! server made for this socket, this channel and (presence) this user.

use jackfield_sdk::{Connection, SubscribeRequest};

/// Checks a subscription, with `text` as working memory. An error is for the client's developer.
pub(crate) fn check(client: &Connection, request: &SubscribeRequest, text: &mut String) -> Result<(), String> {
    let is_presence = request.channel.starts_with("presence-");
    if !is_presence && !request.channel.starts_with("private-") {
        return Ok(());
    }
    let signature = crate::signature(client, &request.auth, &request.channel)?;
    text.clear();
    text.push_str(&client.socket_id);
    text.push(':');
    text.push_str(&request.channel);
    // The bytes as they came: the same JSON written differently has another signature.
    if let Some(data) = request.channel_data.as_deref().filter(|_| is_presence) {
        text.push(':');
        text.push_str(data);
    }
    crate::verify(text, signature)
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Auth, SubscribeRequest, Verdict, double};

    use crate::tests::{client, plugin, refusal};

    const KEY: &str = "278d425bdf160c739803";
    const PRIVATE: &str = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
    const PRESENCE: &str = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
    const CHANNELS_DATA: &str = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;

    fn request(channel: &str, auth: &str, data: Option<&str>) -> SubscribeRequest {
        SubscribeRequest {
            channel: channel.to_owned(),
            auth: auth.to_owned(),
            channel_data: data.map(str::to_owned),
        }
    }

    fn subscribe(channel: &str, auth: &str, data: Option<&str>) -> Verdict {
        plugin().subscribe(&client(), &request(channel, auth, data))
    }

    #[test]
    fn public_channels_are_open() {
        for channel in ["room", "cache-room", "privately", "presence", "xprivate-room"] {
            assert_eq!(subscribe(channel, "", None), Verdict::allow(), "{channel}");
        }
    }

    // Pusher, "Auth signatures": the examples, recomputed.
    #[test]
    fn golden_signatures_open_their_channels() {
        let pusher_data = CHANNELS_DATA.replace("Mr. Channels", "Mr. Pusher");
        let pusher = "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c";
        for (channel, signature, data) in [
            ("private-foobar", PRIVATE, None),
            ("presence-foobar", PRESENCE, Some(CHANNELS_DATA)),
            ("presence-foobar", pusher, Some(pusher_data.as_str())),
        ] {
            assert_eq!(
                subscribe(channel, &format!("{KEY}:{signature}"), data),
                Verdict::allow(),
                "{channel}"
            );
        }
    }

    #[test]
    fn every_form_of_private_and_presence_needs_a_signature() {
        for channel in [
            "private-room",
            "private-encrypted-room",
            "private-cache-room",
            "private-encrypted-cache-room",
            "presence-room",
            "presence-cache-room",
        ] {
            let wrong = format!("{KEY}:{PRIVATE}");
            assert!(
                refusal(subscribe(channel, "", None)).contains("needs `auth`"),
                "{channel}"
            );
            assert!(
                refusal(subscribe(channel, &wrong, None)).contains("invalid signature"),
                "{channel}"
            );
            let right = double::sign("3", format!("1234.1234:{channel}").as_bytes());
            assert_eq!(
                subscribe(channel, &format!("{KEY}:{right}"), None),
                Verdict::allow(),
                "{channel}"
            );
        }
    }

    #[test]
    fn a_signature_is_for_one_socket_channel_and_user() {
        let auth = format!("{KEY}:{PRESENCE}");
        let mut elsewhere = client();
        elsewhere.socket_id = "1234.1235".to_owned();
        let presence = request("presence-foobar", &auth, Some(CHANNELS_DATA));
        refusal(plugin().subscribe(&elsewhere, &presence));
        refusal(subscribe("presence-foobaz", &auth, Some(CHANNELS_DATA)));
        refusal(subscribe("presence-foobar", &auth, None));
        refusal(subscribe("presence-foobar", &auth, Some(r#"{"user_id":11}"#)));
        // The same JSON, written differently.
        refusal(subscribe(
            "presence-foobar",
            &auth,
            Some(&CHANNELS_DATA.replace(',', ", ")),
        ));
    }

    #[test]
    fn a_signature_under_another_secret_is_worth_nothing() {
        let mut other = client();
        other.app.id = "4".to_owned();
        double::add_app("4", "another secret");
        refusal(plugin().subscribe(&other, &request("private-foobar", &format!("{KEY}:{PRIVATE}"), None)));
    }

    #[test]
    fn refusals_say_what_was_wrong() {
        let refused = |auth: &str| refusal(subscribe("private-foobar", auth, None));
        assert!(refused("").contains("none was sent"));
        assert!(refused(&format!("other-key:{PRIVATE}")).contains("another app's key"));
        for malformed in [
            KEY.to_owned(),
            format!("{KEY}:"),
            format!("{KEY}:{}", &PRIVATE[1..]),
            format!("{KEY}:{PRIVATE}0"),
            format!("{KEY}:{}", PRIVATE.to_uppercase()),
            format!("{KEY}:{}", PRIVATE.replace('5', "g")),
            format!("{KEY}::{PRIVATE}"),
        ] {
            assert!(refused(&malformed).contains("KEY:SIGNATURE"), "{malformed}");
        }
        let message = refused(&format!("{KEY}:{PRESENCE}"));
        assert!(message.contains("sign 1234.1234:private-foobar with"), "{message}");
        assert!(!message.contains("7ad3773142a6692b25b8"), "the secret: {message}");
    }
}
