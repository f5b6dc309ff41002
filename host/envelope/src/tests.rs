//! What is written is read again; what is hostile is refused, and costs no more than it is long.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const TOPIC: &str = "1/lobby";

fn topic() -> impl Strategy<Value = Topic> {
    "[a-z]{1,8}/[a-z-]{1,12}".prop_map(|text| Topic::new(&text))
}

fn user() -> impl Strategy<Value = User> {
    "[a-z0-9]{1,9}".prop_map(|text| User::from(text.as_str()))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        topic().prop_map(Move::Occupied),
        topic().prop_map(Move::Vacated),
        (topic(), any::<u32>()).prop_map(|(topic, count)| Move::Counted(topic, count)),
        (topic(), user(), bytes()).prop_map(|(topic, user, info)| Move::Joined(topic, user, info)),
        (topic(), user()).prop_map(|(topic, user)| Move::Left(topic, user)),
        (topic(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(topic, series, k, occupied)| {
            Move::Announced(Announcement {
                topic,
                series,
                k,
                occupied,
            })
        }),
    ]
}

fn data() -> impl Strategy<Value = Message> {
    let link = (1..u64::MAX, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(n, prev, at, prev_at)| Link {
        n,
        prev: prev % n,
        at,
        prev_at: prev_at.min(at),
    });
    (link, any::<u8>(), any::<Option<u64>>(), bytes()).prop_map(|(link, flags, except, frame)| {
        Message::Data(Data {
            link,
            flags,
            except,
            frame,
        })
    })
}

fn beat() -> impl Strategy<Value = Message> {
    let mark = (any::<u64>(), any::<bool>(), any::<u64>(), any::<u64>(), any::<u64>());
    let publishes = prop_oneof![
        Just(Publishes::Here),
        Just(Publishes::Everywhere),
        Just(Publishes::Elsewhere)
    ];
    (
        "[a-z]{1,9}",
        any::<[u64; 6]>(),
        any::<[bool; 2]>(),
        publishes,
        vec(mark, 0..5),
    )
        .prop_map(
            |(name, [k, at, roster_seq, roster_digest, forgotten_at, apps], [ready, open], publishes, marks)| {
                let peers = marks
                    .into_iter()
                    .map(|(node, heard, applied, settled_at, settled_seq)| Mark {
                        node: NodeId(node),
                        heard,
                        applied,
                        since: settled_seq.min(at),
                        settled_at: settled_at.min(at),
                        settled_seq: settled_seq.min(applied),
                    });
                Message::Beat(Beat {
                    name,
                    k,
                    at,
                    ready,
                    open,
                    publishes,
                    roster_seq,
                    roster_digest,
                    forgotten_at,
                    death_at: k,
                    peers: peers.collect(),
                    apps,
                })
            },
        )
}

fn message() -> impl Strategy<Value = Message> {
    let tail = (topic(), any::<u64>(), any::<u64>()).prop_map(|(topic, n, at)| Tail { topic, n, at });
    let tails = (any::<[u64; 3]>(), vec(tail, 0..5)).prop_map(|([after, upto, applied], entries)| {
        Message::Tails(Tails {
            since: applied.min(upto),
            after: after.min(upto),
            upto,
            applied,
            entries,
        })
    });
    let resend = (topic(), any::<[u64; 3]>(), any::<bool>(), vec(bytes(), 0..4));
    let resend = resend.prop_map(|(topic, [after, since, top], whole, frames)| {
        Message::Resend(Resend {
            topic,
            after,
            since,
            whole,
            top,
            frames,
        })
    });
    prop_oneof![
        data(),
        beat(),
        tails,
        resend,
        Just(Message::Canary),
        (any::<u64>(), vec((any::<u64>().prop_map(NodeId), any::<u64>()), 0..4))
            .prop_map(|(last_at, settled)| Message::Bye(Bye { last_at, settled })),
        (any::<u64>(), vec((topic(), any::<u64>()), 0..4))
            .prop_map(|(upto, late)| Message::TailsAck(TailsAck { upto, late })),
        (topic(), any::<u64>(), any::<u64>()).prop_map(|(topic, after, since)| Message::Need(Need {
            topic,
            after,
            since
        })),
        (any::<u64>(), vec(one_move(), 0..6)).prop_map(|(first, moves)| Message::Moves(Moves { first, moves })),
        (any::<u64>(), any::<u32>()).prop_map(|(id, chunk)| Message::AskSnapshot(AskSnapshot { id, chunk })),
        snapshot(),
        told(),
        "[a-z]{1,9}".prop_map(Message::Hello),
        "[a-z]{1,9}".prop_map(Message::Taken),
    ]
}

fn snapshot() -> impl Strategy<Value = Message> {
    let lists = (vec(one_move(), 0..6), vec(any::<u64>(), 0..6));
    (any::<u64>(), any::<[u32; 2]>(), lists).prop_map(|(seq, [chunk, of], (moves, numbers))| {
        Message::Snapshot(Snapshot {
            id: seq / 2,
            seq,
            chunk,
            of,
            moves,
            numbers,
        })
    })
}

fn told() -> impl Strategy<Value = Message> {
    let turn = prop_oneof![
        Just(Turn::Came),
        Just(Turn::Left),
        any::<u64>().prop_map(Turn::Gone),
        any::<u64>().prop_map(Turn::Back)
    ];
    let told = (topic(), user(), any::<[u64; 2]>(), turn);
    let told = told.prop_map(|(topic, user, [node, number], turn)| Told {
        topic,
        user,
        stay: Stay {
            node: NodeId(node),
            number,
        },
        turn,
    });
    vec(told, 0..6).prop_map(Message::Told)
}

fn envelope() -> impl Strategy<Value = Envelope> {
    (any::<u64>(), message()).prop_map(|(from, message)| Envelope {
        from: NodeId(from),
        message,
    })
}

/// What the lists of a message take, roughly: their items, and each text or byte string with the header of its allocation.
fn weight(message: &Message) -> usize {
    let moves = |moves: &Vec<Move>| moves.capacity() * (size_of::<Move>() + 64);
    match message {
        Message::Beat(it) => it.peers.capacity() * size_of::<Mark>(),
        Message::Tails(it) => it.entries.capacity() * (size_of::<Tail>() + 32),
        Message::TailsAck(it) => it.late.capacity() * (size_of::<(Topic, u64)>() + 32),
        Message::Bye(it) => it.settled.capacity() * size_of::<(NodeId, u64)>(),
        Message::Resend(it) => it.frames.capacity() * size_of::<Bytes>(),
        Message::Moves(it) => moves(&it.moves),
        Message::Snapshot(it) => moves(&it.moves) + it.numbers.capacity() * size_of::<u64>(),
        Message::Told(it) => it.capacity() * (size_of::<Told>() + 64),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(envelope in envelope(), key in any::<Option<[u8; 4]>>()) {
        let seal = Seal::new(key.as_ref().map(|key| key.as_slice()));
        let bytes = envelope.encode(TOPIC, &seal);
        prop_assert_eq!(Envelope::decode(TOPIC, bytes, &seal), Ok(envelope));
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), kind in 0..16_u8) {
        let open = Seal::default();
        let mut said = vec![VERSION, kind];
        said.extend_from_slice(&bytes);
        for bytes in [bytes, said] {
            let length = bytes.len();
            if let Ok(envelope) = Envelope::decode(TOPIC, Bytes::from(bytes), &open) {
                prop_assert!(weight(&envelope.message) <= 128 * (length + 4));
            }
        }
    }

    #[test]
    fn a_flipped_or_missing_bit_never_panics(envelope in envelope(), at in any::<usize>(), bit in 0..8_u32, cut in any::<usize>()) {
        let mut bytes = envelope.encode(TOPIC, &Seal::default()).to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        bytes.truncate(bytes.len() - cut % 3);
        let length = bytes.len();
        if let Ok(envelope) = Envelope::decode(TOPIC, Bytes::from(bytes), &Seal::default()) {
            prop_assert!(weight(&envelope.message) <= 128 * (length + 4));
        }
    }

    #[test]
    fn a_later_version_may_say_more(envelope in envelope(), more in vec(any::<u8>(), 1..9)) {
        let mut bytes = envelope.encode(TOPIC, &Seal::default()).to_vec();
        bytes.extend_from_slice(&more);
        prop_assert_eq!(Envelope::decode(TOPIC, Bytes::from(bytes), &Seal::default()), Ok(envelope));
    }

    #[test]
    fn a_seal_holds_for_one_topic_and_one_key(envelope in envelope(), at in any::<usize>(), bit in 0..8_u32) {
        let (seal, other) = (Seal::new(Some(b"key")), Seal::new(Some(b"another")));
        let bytes = envelope.encode(TOPIC, &seal);
        prop_assert_eq!(Envelope::decode("1/other", bytes.clone(), &seal), Err(Malformed::Seal));
        prop_assert_eq!(Envelope::decode(TOPIC, bytes.clone(), &other), Err(Malformed::Seal));
        let mut bytes = bytes.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        prop_assert_eq!(Envelope::decode(TOPIC, Bytes::from(bytes), &seal), Err(Malformed::Seal));
    }
}

#[test]
fn what_is_not_known_is_told_apart() {
    let decode = |bytes: &[u8]| Envelope::decode(TOPIC, Bytes::copy_from_slice(bytes), &Seal::default());
    let head = |version: u8, kind: u8| [&[version, kind][..], &[0; 8]].concat();
    assert_eq!(decode(&head(VERSION, 200)), Err(Malformed::Kind));
    assert_eq!(decode(&head(VERSION + 1, 3)), Err(Malformed::Version));
    assert_eq!(decode(&vec![VERSION; MAX_ENVELOPE_BYTES + 1]), Err(Malformed::Bounds));
    assert_eq!(decode(&[]), Err(Malformed::Short));
}

#[test]
fn a_publish_costs_few_bytes() {
    let link = Link {
        n: 1_000_000,
        prev: 999_000,
        at: 86_400_000_000,
        prev_at: 86_399_000_000,
    };
    let data = Data {
        link,
        flags: 0,
        except: None,
        frame: Bytes::from_static(b"frame"),
    };
    let envelope = Envelope {
        from: NodeId(7),
        message: Message::Data(data),
    };
    let overhead = envelope.encode(TOPIC, &Seal::default()).len() - 5;
    assert!(overhead <= 30, "{overhead} bytes beside the frame");
}
