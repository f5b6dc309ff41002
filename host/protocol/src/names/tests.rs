//! Names as tables: what is accepted, what it means, and how everything else is refused.

use super::{ChannelKind, ChannelName, EventName, NameError, SocketId, UserId, check_member_id};

// Pusher protocol, channel types: `needs_auth` and `is_cache` are independent of each other.
#[test]
fn prefixes_decide_the_kind() {
    use ChannelKind::{Presence, Private, PrivateEncrypted, Public, ServerToUser};
    for (name, kind, cache, auth) in [
        ("news", Public, false, false),
        ("cache-news", Public, true, false),
        ("my-private-news", Public, false, false),
        ("private", Public, false, false),
        ("Private-news", Public, false, false),
        ("private-news", Private, false, true),
        ("private-", Private, false, true),
        ("private-cache-news", Private, true, true),
        ("private-encrypted", Private, false, true),
        ("private-encrypted-news", PrivateEncrypted, false, true),
        ("private-encrypted-cache-news", PrivateEncrypted, true, true),
        ("presence-room", Presence, false, true),
        ("presence-cache-room", Presence, true, true),
        ("presence-encrypted-room", Presence, false, true),
        ("my-cache-news", Public, false, false),
        ("cache-private-news", Public, true, false),
        ("private-my-cache-news", Private, false, true),
        ("#server-to-user-1", ServerToUser, false, false),
        ("#server-to-user-private-cache-1", ServerToUser, false, false),
    ] {
        let channel = ChannelName::parse(name).expect(name);
        assert_eq!(
            (channel.kind(), channel.is_cache(), channel.needs_auth()),
            (kind, cache, auth),
            "{name}"
        );
    }
}

#[test]
fn channel_names_keep_to_the_alphabet() {
    let longest = "x".repeat(200);
    for good in ["a", "A-z_0=9@b,c.d;e", &longest] {
        assert_eq!(ChannelName::parse(good).expect(good).as_str(), good);
    }
    for (bad, error) in [
        ("", NameError::ChannelEmpty),
        ("#", NameError::ChannelReserved),
        ("#server-to-user", NameError::ChannelReserved),
        ("#Server-to-user-1", NameError::ChannelReserved),
        ("##server-to-user-1", NameError::ChannelReserved),
        ("#private-1", NameError::ChannelReserved),
        ("#server-to-user-", NameError::UserEmpty),
        ("#server-to-user-a b", NameError::UserCharacter { character: ' ' }),
        ("#server-to-user-#1", NameError::UserCharacter { character: '#' }),
        ("a#b", NameError::ChannelCharacter { character: '#' }),
        ("a b", NameError::ChannelCharacter { character: ' ' }),
        ("a/b", NameError::ChannelCharacter { character: '/' }),
        ("é", NameError::ChannelCharacter { character: 'é' }),
        ("a\n", NameError::ChannelCharacter { character: '\n' }),
    ] {
        assert_eq!(ChannelName::parse(bad), Err(error));
    }
    assert_eq!(
        ChannelName::parse(&"x".repeat(201)),
        Err(NameError::ChannelTooLong { bytes: 201, limit: 200 })
    );
}

#[test]
fn event_names_are_free_text_without_control_characters() {
    for (name, client) in [
        ("new message ✓", false),
        ("client-typing", true),
        ("pusher:ping", false),
        ("clients", false),
    ] {
        let event = EventName::parse(name).expect(name);
        assert_eq!(event.is_client(), client, "{name}");
    }
    assert_eq!(EventName::parse(""), Err(NameError::EventEmpty));
    assert_eq!(EventName::parse("a\u{0}"), Err(NameError::EventControlCharacter));
    assert_eq!(
        EventName::parse(&"x".repeat(201)),
        Err(NameError::EventTooLong { bytes: 201, limit: 200 })
    );
}

#[test]
fn socket_ids_are_two_numbers() {
    let id = SocketId {
        high: 1234,
        low: u32::MAX,
    };
    assert_eq!(id.to_string().parse(), Ok(id));
    for bad in [
        "",
        ".",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "+1.2",
        "-1.2",
        " 1.2",
        "1.2\n",
        "1,2",
        "١.2",
        "4294967296.1",
    ] {
        assert_eq!(bad.parse::<SocketId>(), Err(NameError::SocketId), "{bad}");
    }
}

// The documents say 164 characters, the libraries allow 200: the operator decides.
#[test]
fn the_limits_of_names_can_be_set() {
    assert!(ChannelName::parse_within("abc", 3).is_ok());
    assert_eq!(
        ChannelName::parse_within("abcd", 3),
        Err(NameError::ChannelTooLong { bytes: 4, limit: 3 })
    );
    assert!(ChannelName::parse_within(&"x".repeat(300), 300).is_ok());
    assert!(EventName::parse_within("abc", 3).is_ok());
    assert_eq!(
        EventName::parse_within("abcd", 3),
        Err(NameError::EventTooLong { bytes: 4, limit: 3 })
    );
}

// Pusher protocol, "User authentication": `#server-to-user-ID`, whatever the limit for other names.
#[test]
fn a_users_own_channel_names_its_user() {
    let longest = "x".repeat(128);
    for id in ["1", "a@b.de", &longest] {
        let user = UserId::parse(id).expect(id);
        let channel = ChannelName::parse_within(&format!("#server-to-user-{id}"), 10).expect(id);
        assert_eq!(channel.server_user(), Some(id));
        assert_eq!(user.channel(), channel);
    }
    assert_eq!(ChannelName::parse("news").expect("good").server_user(), None);
    for (bad, error) in [
        ("", NameError::UserEmpty),
        ("a+b", NameError::UserCharacter { character: '+' }),
        ("../b", NameError::UserCharacter { character: '/' }),
        ("é", NameError::UserCharacter { character: 'é' }),
        (&"x".repeat(129), NameError::UserTooLong),
    ] {
        assert_eq!(UserId::parse(bad), Err(error.clone()));
        assert_eq!(ChannelName::parse(&format!("#server-to-user-{bad}")), Err(error));
    }
}

// Pusher protocol, "Presence channels": at most 128 characters, which are not bytes.
#[test]
fn members_may_have_any_id_of_some_length() {
    for good in ["1", "a+b@c.de", "Zoë ✓", &"é".repeat(128)] {
        assert_eq!(check_member_id(good), Ok(()), "{good}");
    }
    assert_eq!(check_member_id(""), Err(NameError::UserEmpty));
    assert_eq!(check_member_id(&"é".repeat(129)), Err(NameError::UserTooLong));
}
