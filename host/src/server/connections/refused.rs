//! Finds HTTP/2 streams that h2 refuses because their client opened more than `server.http2_max_streams`. h2 does not
//! report them, so this module searches the frames that the host sends for `RST_STREAM` with `REFUSED_STREAM` (RFC 9113,
//! section 5.1.2).

/// Length of the head of a frame: three bytes of length, one of type, one of flags, four of the stream's id.
const HEAD: usize = 9;
/// Beginning of the head of every `RST_STREAM` frame. Its payload is an error code.
const RST_STREAM: [u8; 4] = [0, 0, 4, 3];
/// The error code `REFUSED_STREAM`.
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

/// The frames that the host sends on a connection.
#[derive(Debug, Default)]
pub(super) struct SentFrames {
    /// The head of the current frame, and the payload if the frame is `RST_STREAM`.
    frame: [u8; HEAD + 4],
    /// Number of bytes of `frame` that have been sent.
    sent: usize,
    /// Number of bytes of the previous frame's payload that have not been sent.
    payload: usize,
}

impl SentFrames {
    /// Reads the next bytes that the host has sent. Returns the number of streams that they refuse.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> usize {
        let mut refused = 0;
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let is_reset = self.sent >= HEAD;
            let end = if is_reset { HEAD + 4 } else { HEAD };
            let length = (end - self.sent).min(bytes.len());
            self.frame[self.sent..][..length].copy_from_slice(&bytes[..length]);
            self.sent += length;
            bytes = &bytes[length..];
            if self.sent < end {
                continue;
            }
            if is_reset {
                refused += usize::from(self.frame.ends_with(&REFUSED_STREAM));
                self.sent = 0;
            } else if !self.frame.starts_with(&RST_STREAM) {
                let [a, b, c, ..] = self.frame;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.sent = 0;
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_streams_are_found_wherever_a_write_ends() {
        let frames: [&[u8]; 7] = [
            b"\0\0\0\x04\0\0\0\0\0",
            b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64",
            b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07",
            b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08",
            // DATA with the bytes of a refusal.
            b"\0\0\x0d\0\x01\0\0\0\x05\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07",
            // WINDOW_UPDATE of 7 bytes.
            b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\x07",
            b"\0\0\x04\x03\0\0\0\0\x09\0\0\0\x07",
        ];
        let all = frames.concat();
        for length in 1..=all.len() {
            let mut sent = SentFrames::default();
            let refused: usize = all.chunks(length).map(|piece| sent.read(piece)).sum();
            assert_eq!(refused, 2, "writes of {length} bytes");
        }
    }
}
