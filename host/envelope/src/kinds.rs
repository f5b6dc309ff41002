//! The bodies of all kinds of message: the reading side, in the same order as in `write.rs`.

use bytes::Bytes;

use super::fields::Reader;
use super::{
    Announcement, AskSnapshot, Beat, Bye, Data, Envelope, Link, Malformed, Mark, Message, Move, Moves, Need, Publishes,
    Resend, Snapshot, Stay, Tail, Tails, TailsAck, Told, Turn, VERSION,
};

pub(super) fn read(bytes: Bytes) -> Result<Envelope, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Malformed::Version);
    }
    let kind = reader.byte()?;
    let from = reader.node()?;
    let message = match kind {
        1 => Message::Data(data(&mut reader)?),
        2 => Message::Beat(beat(&mut reader)?),
        3 => Message::Canary,
        4 => Message::Tails(tails(&mut reader)?),
        5 => Message::TailsAck(tails_ack(&mut reader)?),
        6 => Message::Need(need(&mut reader)?),
        7 => Message::Resend(resend(&mut reader)?),
        8 => Message::Moves(moves(&mut reader)?),
        9 => Message::AskSnapshot(ask_snapshot(&mut reader)?),
        10 => Message::Snapshot(snapshot(&mut reader)?),
        11 => Message::Hello(reader.name()?),
        12 => Message::Taken(reader.name()?),
        13 => Message::Bye(bye(&mut reader)?),
        14 => Message::Told(reader.list(told)?),
        _ => return Err(Malformed::Kind),
    };
    Ok(Envelope { from, message })
}

fn data(reader: &mut Reader) -> Result<Data, Malformed> {
    let n = reader.number()?;
    let prev = reader.number()?;
    let at = reader.number()?;
    let prev_at = reader.below(at)?;
    if n == 0 || prev >= n {
        return Err(Malformed::Bounds);
    }
    let link = Link { n, prev, at, prev_at };
    let flags = reader.byte()?;
    let except = if reader.flag()? { Some(reader.fixed()?) } else { None };
    let frame = reader.bytes()?;
    Ok(Data {
        link,
        flags,
        except,
        frame,
    })
}

fn beat(reader: &mut Reader) -> Result<Beat, Malformed> {
    let name = reader.name()?;
    let k = reader.number()?;
    let at = reader.number()?;
    Ok(Beat {
        name,
        k,
        at,
        ready: reader.flag()?,
        open: reader.flag()?,
        publishes: match reader.byte()? {
            0 => Publishes::Here,
            1 => Publishes::Everywhere,
            2 => Publishes::Elsewhere,
            _ => return Err(Malformed::Bounds),
        },
        roster_seq: reader.number()?,
        roster_digest: reader.fixed()?,
        forgotten_at: reader.number()?,
        death_at: reader.number()?,
        peers: reader.list(|reader| mark(reader, at))?,
        apps: if reader.is_at_end() { 0 } else { reader.fixed()? },
    })
}

fn mark(reader: &mut Reader, at: u64) -> Result<Mark, Malformed> {
    let node = reader.node()?;
    let heard = reader.flag()?;
    let applied = reader.number()?;
    Ok(Mark {
        node,
        heard,
        applied,
        since: reader.below(at)?,
        settled_at: reader.below(at)?,
        settled_seq: reader.below(applied)?,
    })
}

fn tails(reader: &mut Reader) -> Result<Tails, Malformed> {
    let upto = reader.number()?;
    Ok(Tails {
        upto,
        since: reader.below(upto)?,
        after: reader.below(upto)?,
        applied: reader.number()?,
        entries: reader.list(|reader| {
            Ok(Tail {
                topic: reader.topic()?,
                n: reader.number()?,
                at: reader.number()?,
            })
        })?,
    })
}

fn tails_ack(reader: &mut Reader) -> Result<TailsAck, Malformed> {
    Ok(TailsAck {
        upto: reader.number()?,
        late: reader.list(|reader| Ok((reader.topic()?, reader.number()?)))?,
    })
}

fn need(reader: &mut Reader) -> Result<Need, Malformed> {
    Ok(Need {
        topic: reader.topic()?,
        after: reader.number()?,
        since: reader.number()?,
    })
}

fn resend(reader: &mut Reader) -> Result<Resend, Malformed> {
    Ok(Resend {
        topic: reader.topic()?,
        after: reader.number()?,
        since: reader.number()?,
        whole: reader.flag()?,
        top: reader.number()?,
        frames: reader.list(Reader::bytes)?,
    })
}

fn moves(reader: &mut Reader) -> Result<Moves, Malformed> {
    Ok(Moves {
        first: reader.number()?,
        moves: reader.list(one_move)?,
    })
}

fn one_move(reader: &mut Reader) -> Result<Move, Malformed> {
    let kind = reader.byte()?;
    let topic = reader.topic()?;
    Ok(match kind {
        0 => Move::Occupied(topic),
        1 => Move::Vacated(topic),
        2 => Move::Counted(topic, reader.small()?),
        3 => Move::Joined(topic, reader.user()?, reader.owned()?),
        4 => Move::Left(topic, reader.user()?),
        5 => Move::Announced(Announcement {
            topic,
            series: reader.fixed()?,
            k: reader.number()?,
            occupied: reader.flag()?,
        }),
        _ => return Err(Malformed::Kind),
    })
}

fn ask_snapshot(reader: &mut Reader) -> Result<AskSnapshot, Malformed> {
    Ok(AskSnapshot {
        id: reader.number()?,
        chunk: reader.small()?,
    })
}

fn snapshot(reader: &mut Reader) -> Result<Snapshot, Malformed> {
    Ok(Snapshot {
        id: reader.number()?,
        seq: reader.number()?,
        chunk: reader.small()?,
        of: reader.small()?,
        moves: reader.list(one_move)?,
        numbers: if reader.is_at_end() {
            Vec::new()
        } else {
            reader.list(Reader::number)?
        },
    })
}

fn bye(reader: &mut Reader) -> Result<Bye, Malformed> {
    Ok(Bye {
        last_at: reader.number()?,
        settled: reader.list(|reader| Ok((reader.node()?, reader.number()?)))?,
    })
}

fn told(reader: &mut Reader) -> Result<Told, Malformed> {
    Ok(Told {
        topic: reader.topic()?,
        user: reader.user()?,
        stay: Stay {
            node: reader.node()?,
            number: reader.number()?,
        },
        turn: match reader.byte()? {
            0 => Turn::Came,
            1 => Turn::Left,
            2 => Turn::Gone(reader.number()?),
            3 => Turn::Back(reader.number()?),
            _ => return Err(Malformed::Bounds),
        },
    })
}
