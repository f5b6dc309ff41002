//! What was written before is understood: one message of each kind, as the first version wrote it. Bytes here never change.

use bytes::Bytes;

use super::*;

const TOPIC: &str = "1/lobby";

/// A message with its bytes.
type Recorded = (Message, &'static str);

const NODE: NodeId = NodeId(9);

fn topic() -> Topic {
    Topic::new(TOPIC)
}

fn moves() -> Vec<Move> {
    let user = || User::from("ann");
    let info = Bytes::from_static(b"{}");
    vec![
        Move::Occupied(topic()),
        Move::Vacated(topic()),
        Move::Counted(topic(), 300),
        Move::Joined(topic(), user(), info),
        Move::Left(topic(), user()),
        Move::Announced(Announcement {
            topic: topic(),
            series: 5,
            k: 6,
            occupied: true,
        }),
    ]
}

fn publishes() -> Vec<Recorded> {
    let link = Link {
        n: 300,
        prev: 299,
        at: 1_000_000,
        prev_at: 999_000,
    };
    vec![
        (
            Message::Data(Data {
                link,
                flags: 1,
                except: Some(77),
                frame: Bytes::from_static(b"frame"),
            }),
            "01010700000000000000ac02ab02c0843de80701014d00000000000000056672616d65",
        ),
        (
            Message::Need(Need {
                topic: topic(),
                after: 299,
                since: 2,
            }),
            "0106070000000000000007312f6c6f626279ab0202",
        ),
        (
            Message::Resend(Resend {
                topic: topic(),
                after: 299,
                since: 2,
                whole: true,
                top: 300,
                frames: vec![Bytes::from_static(b"envelope")],
            }),
            "0107070000000000000007312f6c6f626279ab020201ac020108656e76656c6f7065",
        ),
    ]
}

fn beats() -> Vec<Recorded> {
    let mark = Mark {
        node: NODE,
        heard: true,
        applied: 12,
        since: 400,
        settled_at: 900_000,
        settled_seq: 11,
    };
    vec![
        (
            Message::Beat(Beat {
                name: "node-1".to_owned(),
                k: 8,
                at: 1_000_000,
                ready: true,
                open: false,
                publishes: Publishes::Everywhere,
                roster_seq: 7,
                roster_digest: 6,
                forgotten_at: 5,
                death_at: 4,
                peers: vec![mark],
                apps: 0,
            }),
            "01020700000000000000066e6f64652d3108c0843d0100010706000000000000000504010900000000000000010cb0813da0\
             8d0601",
        ),
        (Message::Canary, "01030700000000000000"),
        (
            Message::Hello("node-1".to_owned()),
            "010b0700000000000000066e6f64652d31",
        ),
        (
            Message::Taken("node-1".to_owned()),
            "010c0700000000000000066e6f64652d31",
        ),
        (
            Message::Bye(Bye {
                last_at: 1_000,
                settled: vec![(NODE, 12)],
            }),
            "010d0700000000000000e8070109000000000000000c",
        ),
    ]
}

fn tails() -> Vec<Recorded> {
    vec![
        (
            Message::Tails(Tails {
                since: 3,
                after: 500,
                upto: 1_000,
                applied: 2,
                entries: vec![Tail {
                    topic: topic(),
                    n: 300,
                    at: 600,
                }],
            }),
            "01040700000000000000e807e507f403020107312f6c6f626279ac02d804",
        ),
        (
            Message::TailsAck(TailsAck {
                upto: 1_000,
                late: vec![(topic(), 300)],
            }),
            "01050700000000000000e8070107312f6c6f626279ac02",
        ),
    ]
}

fn rosters() -> Vec<Recorded> {
    vec![
        (
            Message::Moves(Moves {
                first: 8,
                moves: moves(),
            }),
            "0108070000000000000008060007312f6c6f6262790107312f6c6f6262790207312f6c6f626279ac020307312f6c6f626279\
             03616e6e027b7d0407312f6c6f62627903616e6e0507312f6c6f62627905000000000000000601",
        ),
        (
            Message::AskSnapshot(AskSnapshot { id: 4, chunk: 1 }),
            "010907000000000000000401",
        ),
        (
            Message::Snapshot(Snapshot {
                id: 4,
                seq: 13,
                chunk: 1,
                of: 2,
                moves: moves(),
                numbers: Vec::new(),
            }),
            "010a0700000000000000040d0102060007312f6c6f6262790107312f6c6f6262790207312f6c6f626279ac020307312f6c6f\
             62627903616e6e027b7d0407312f6c6f62627903616e6e0507312f6c6f62627905000000000000000601",
        ),
        (
            Message::Told(vec![Told {
                topic: topic(),
                user: User::from("ann"),
                stay: Stay {
                    node: NODE,
                    number: 300,
                },
                turn: Turn::Gone(5),
            }]),
            "010e07000000000000000107312f6c6f62627903616e6e0900000000000000ac020205",
        ),
    ]
}

fn bytes(hex: &str) -> Bytes {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

#[test]
fn what_the_first_version_wrote_is_understood() {
    for (message, hex) in [publishes(), beats(), tails(), rosters()].concat() {
        let written = Envelope {
            from: NodeId(7),
            message,
        };
        assert_eq!(Envelope::decode(TOPIC, bytes(hex), &Seal::default()), Ok(written));
    }
}
