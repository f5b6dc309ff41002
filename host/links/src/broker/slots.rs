//! Slots of a Redis Cluster: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>, "Key distribution model".

/// How many there are.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a subject. Of one with `{…}` in it only what stands there counts, unless nothing does.
pub(super) fn slot(subject: &str) -> u16 {
    let tag = subject.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = match tag {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => subject,
    };
    crc16(hashed.as_bytes()) % SLOTS
}

/// CRC16-CCITT in the form called XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ POLYNOMIAL
            }
        })
    })
}

const POLYNOMIAL: u16 = 0x1021;

#[cfg(test)]
mod tests {
    use super::*;

    // Redis Cluster specification, "Key distribution model": the CRC16 of "123456789" is 0x31C3.
    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
    }

    // Redis Cluster specification, "Hash tags".
    #[test]
    fn only_a_hash_tag_counts_if_there_is_one() {
        assert_eq!(slot("{user1000}.following"), slot("user1000"));
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
        assert_eq!(slot("foo{bar}{zap}"), slot("bar"));
        assert_ne!(slot("foo{}{bar}"), slot("bar"));
    }
}
