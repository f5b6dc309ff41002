//! The bodies of all kinds of message: the writing side, in the same order as in `kinds.rs`.

use bytes::{BufMut as _, BytesMut};

use super::{Beat, Data, Envelope, Message, Move, Publishes, Resend, Tails, Turn, VERSION};

pub(super) fn write(envelope: &Envelope) -> BytesMut {
    let mut to = Writer(BytesMut::with_capacity(room(&envelope.message)));
    to.0.put_u8(VERSION);
    to.0.put_u8(kind(&envelope.message));
    to.0.put_u64_le(envelope.from.0);
    body(&mut to, &envelope.message);
    to.0
}

/// Enough for most, so that a publish is written into one piece of memory.
fn room(message: &Message) -> usize {
    match message {
        Message::Data(data) => data.frame.len() + 80,
        _ => 256,
    }
}

const fn kind(message: &Message) -> u8 {
    match message {
        Message::Data(_) => 1,
        Message::Beat(_) => 2,
        Message::Canary => 3,
        Message::Tails(_) => 4,
        Message::TailsAck(_) => 5,
        Message::Need(_) => 6,
        Message::Resend(_) => 7,
        Message::Moves(_) => 8,
        Message::AskSnapshot(_) => 9,
        Message::Snapshot(_) => 10,
        Message::Hello(_) => 11,
        Message::Taken(_) => 12,
        Message::Bye(_) => 13,
        Message::Told(_) => 14,
    }
}

fn body(to: &mut Writer, message: &Message) {
    match message {
        Message::Data(it) => data(to, it),
        Message::Beat(it) => beat(to, it),
        Message::Canary => {}
        Message::Bye(it) => {
            to.number(it.last_at);
            to.list(&it.settled, |to, (node, seq)| {
                to.0.put_u64_le(node.0);
                to.number(*seq);
            });
        }
        Message::Tails(it) => tails(to, it),
        Message::TailsAck(it) => {
            to.number(it.upto);
            to.list(&it.late, |to, (topic, n)| {
                to.text(topic.as_str());
                to.number(*n);
            });
        }
        Message::Need(it) => {
            to.text(it.topic.as_str());
            to.number(it.after);
            to.number(it.since);
        }
        Message::Resend(it) => resend(to, it),
        Message::Moves(it) => {
            to.number(it.first);
            to.list(&it.moves, one_move);
        }
        Message::AskSnapshot(it) => {
            to.number(it.id);
            to.number(it.chunk.into());
        }
        Message::Snapshot(it) => {
            to.number(it.id);
            to.number(it.seq);
            to.number(it.chunk.into());
            to.number(it.of.into());
            to.list(&it.moves, one_move);
            to.list(&it.numbers, |to, number| to.number(*number));
        }
        Message::Hello(name) | Message::Taken(name) => to.text(name),
        Message::Told(it) => to.list(it, |to, told| {
            to.text(told.topic.as_str());
            to.text(&told.user);
            to.0.put_u64_le(told.stay.node.0);
            to.number(told.stay.number);
            let (turn, beat) = match told.turn {
                Turn::Came => (0, None),
                Turn::Left => (1, None),
                Turn::Gone(beat) => (2, Some(beat)),
                Turn::Back(beat) => (3, Some(beat)),
            };
            to.0.put_u8(turn);
            if let Some(beat) = beat {
                to.number(beat);
            }
        }),
    }
}

fn data(to: &mut Writer, it: &Data) {
    to.number(it.link.n);
    to.number(it.link.prev);
    to.number(it.link.at);
    to.number(it.link.at - it.link.prev_at);
    to.0.put_u8(it.flags);
    to.0.put_u8(it.except.is_some().into());
    if let Some(socket) = it.except {
        to.0.put_u64_le(socket);
    }
    to.bytes(&it.frame);
}

fn beat(to: &mut Writer, it: &Beat) {
    to.text(&it.name);
    to.number(it.k);
    to.number(it.at);
    to.0.put_u8(it.ready.into());
    to.0.put_u8(it.open.into());
    to.0.put_u8(match it.publishes {
        Publishes::Here => 0,
        Publishes::Everywhere => 1,
        Publishes::Elsewhere => 2,
    });
    to.number(it.roster_seq);
    to.0.put_u64_le(it.roster_digest);
    to.number(it.forgotten_at);
    to.number(it.death_at);
    to.list(&it.peers, |to, mark| {
        to.0.put_u64_le(mark.node.0);
        to.0.put_u8(mark.heard.into());
        to.number(mark.applied);
        to.number(it.at - mark.since);
        to.number(it.at - mark.settled_at);
        to.number(mark.applied - mark.settled_seq);
    });
    to.0.put_u64_le(it.apps);
}

fn tails(to: &mut Writer, it: &Tails) {
    to.number(it.upto);
    to.number(it.upto - it.since);
    to.number(it.upto - it.after);
    to.number(it.applied);
    to.list(&it.entries, |to, tail| {
        to.text(tail.topic.as_str());
        to.number(tail.n);
        to.number(tail.at);
    });
}

fn resend(to: &mut Writer, it: &Resend) {
    to.text(it.topic.as_str());
    to.number(it.after);
    to.number(it.since);
    to.0.put_u8(it.whole.into());
    to.number(it.top);
    to.list(&it.frames, |to, frame| to.bytes(frame));
}

fn one_move(to: &mut Writer, it: &Move) {
    let (kind, topic) = match it {
        Move::Occupied(topic) => (0, topic),
        Move::Vacated(topic) => (1, topic),
        Move::Counted(topic, _) => (2, topic),
        Move::Joined(topic, ..) => (3, topic),
        Move::Left(topic, _) => (4, topic),
        Move::Announced(it) => (5, &it.topic),
    };
    to.0.put_u8(kind);
    to.text(topic.as_str());
    match it {
        Move::Occupied(_) | Move::Vacated(_) => {}
        Move::Counted(_, count) => to.number((*count).into()),
        Move::Joined(_, user, info) => {
            to.text(user);
            to.bytes(info);
        }
        Move::Left(_, user) => to.text(user),
        Move::Announced(it) => {
            to.0.put_u64_le(it.series);
            to.number(it.k);
            to.0.put_u8(it.occupied.into());
        }
    }
}

struct Writer(BytesMut);

impl Writer {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.put_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for one in items {
            item(self, one);
        }
    }
}
