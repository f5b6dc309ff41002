//! The host's interfaces in the shape that the generated bindings have, so that `host.rs` is one text for both targets.

use super::HOST;

pub(crate) mod log {
    use super::HOST;
    use crate::host::Level;

    pub(crate) fn write(level: Level, message: &str) {
        HOST.with_borrow_mut(|host| host.lines.push((level, message.to_owned())));
    }
}

pub(crate) mod clock {
    use super::HOST;

    pub(crate) fn monotonic_us() -> u64 {
        HOST.with_borrow(|host| host.monotonic_us)
    }

    pub(crate) fn unix_ms() -> u64 {
        HOST.with_borrow(|host| host.unix_ms)
    }
}

pub(crate) mod random {
    /// The same bytes each time: a test that fails shall fail again.
    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        assert!(
            length <= 4_096,
            "the host traps when asked for more than 4,096 random bytes"
        );
        (0..length)
            .map(|i| i.wrapping_mul(167).wrapping_add(13) as u8)
            .collect()
    }
}

pub(crate) mod digest {
    use md5::{Digest, Md5};
    use sha2::Sha256;

    use crate::double::hex;

    pub(crate) fn sha256(data: &[u8]) -> String {
        hex(&Sha256::digest(data))
    }

    pub(crate) fn md5(data: &[u8]) -> String {
        hex(&Md5::digest(data))
    }
}

pub(crate) mod sign {
    use super::HOST;
    use crate::double::hex;

    /// Compares texts: an upper-case or shortened signature must not pass. Not in constant time, as the host does.
    pub(crate) fn verify(message: &[u8], signature: &str) -> bool {
        use hmac::Mac;
        HOST.with_borrow(|host| host.hmac(&host.app, message))
            .is_some_and(|mac| hex(&mac.finalize().into_bytes()) == signature)
    }
}

pub(crate) mod counters {
    use super::HOST;

    pub(crate) fn add(name: &str, by: u64) {
        HOST.with_borrow_mut(|host| *host.counters.entry(name.to_owned()).or_default() += by);
    }
}

pub(crate) mod handshake {
    use super::HOST;
    use crate::host::Handshake;

    pub(crate) fn get() -> Option<Handshake> {
        HOST.with_borrow(|host| host.handshake.clone())
    }
}

pub(crate) mod request {
    use md5::{Digest, Md5};

    use super::HOST;
    use crate::Header;
    use crate::double::hex;

    pub(crate) fn remote_address() -> String {
        HOST.with_borrow(|host| host.remote_address.clone())
    }

    pub(crate) fn headers() -> Vec<Header> {
        HOST.with_borrow(|host| host.headers.clone())
    }

    pub(crate) fn body() -> Vec<u8> {
        HOST.with_borrow(|host| host.body.clone())
    }

    pub(crate) fn body_md5_is(digest: &str) -> bool {
        HOST.with_borrow(|host| hex(&Md5::digest(&host.body)) == digest)
    }
}

pub(crate) mod http {
    use super::HOST;
    use crate::host::{HttpError, HttpRequest, HttpResponse};

    pub(crate) fn send(request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        HOST.with_borrow_mut(|host| {
            host.requests.push(request.clone());
            let nobody = || Err(HttpError::Unreachable("no answer was prepared".to_owned()));
            host.answers.pop_front().unwrap_or_else(nobody)
        })
    }
}

pub(crate) mod wait {
    use super::HOST;

    pub(crate) fn sleep(ms: u32) {
        HOST.with_borrow_mut(|host| {
            host.slept_ms.push(ms);
            host.advance_ms(u64::from(ms));
        });
    }
}

pub(crate) mod cluster {
    use super::HOST;
    use crate::double::Status;

    pub(crate) fn confirmed(tickets: &[u64]) {
        HOST.with_borrow_mut(|host| host.cluster.confirmed.extend_from_slice(tickets));
    }

    pub(crate) fn following(topics: &[String]) {
        HOST.with_borrow_mut(|host| host.cluster.following.extend_from_slice(topics));
    }

    pub(crate) fn state(status: &Status) {
        HOST.with_borrow_mut(|host| host.cluster.states.push(status.clone()));
    }
}

pub(crate) mod peers {
    use super::HOST;
    use crate::host::peers::Message;

    pub(crate) fn deliver(messages: &[Message]) {
        let told = messages
            .iter()
            .map(|message| (message.topic.clone(), message.frame.clone()));
        HOST.with_borrow_mut(|host| host.cluster.delivered.extend(told));
    }

    pub(crate) fn failed(tickets: &[u64]) {
        HOST.with_borrow_mut(|host| host.cluster.failed.extend_from_slice(tickets));
    }

    pub(crate) fn lost(topics: &[String]) {
        HOST.with_borrow_mut(|host| host.cluster.lost.extend_from_slice(topics));
    }
}

pub(crate) mod links {
    use super::HOST;
    use crate::host::links::{Broker, Outgoing};

    /// Whatever it is asked, the double's link takes it.
    #[expect(clippy::unnecessary_wraps, reason = "the host's function can fail")]
    pub(crate) fn open(link: u32, broker: Broker, options: &str) -> Result<(), String> {
        HOST.with_borrow_mut(|host| host.links.opened.push((link, broker, options.to_owned())));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host's function can fail")]
    pub(crate) fn publish(_link: u32, batch: &[Outgoing]) -> Result<(), String> {
        HOST.with_borrow_mut(|host| host.links.published.extend_from_slice(batch));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host's function can fail")]
    pub(crate) fn follow(_link: u32, subjects: &[String]) -> Result<(), String> {
        HOST.with_borrow_mut(|host| host.links.followed.extend_from_slice(subjects));
        Ok(())
    }

    pub(crate) fn unfollow(_link: u32, subjects: &[String]) {
        HOST.with_borrow_mut(|host| host.links.unfollowed.extend_from_slice(subjects));
    }
}
