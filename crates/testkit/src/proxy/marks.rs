//! RPC record marks (RFC 5531, section 11) followed along a stream, so that a cut can fall into the middle of a record.

const HEADER: usize = 4;
const LENGTH: u32 = 0x7fff_ffff;

/// Where in its record a stream is.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    header: [u8; HEADER],
    header_seen: usize,
    payload: usize,
    left: usize,
}

// === impl Marks ===

impl Marks {
    /// Follows the stream over these bytes; tells how many records ended in them.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> u64 {
        bytes.iter().filter(|byte| self.step(**byte)).count() as u64
    }

    /// Where in these bytes a record is half passed, once `whole` others have been.
    pub(super) fn cut_within(&self, bytes: &[u8], whole: &mut u64) -> (usize, bool) {
        let mut at = self.clone();
        for (index, byte) in bytes.iter().enumerate() {
            let ended = at.step(*byte);
            if *whole == 0 && at.is_half_way() {
                return (index + 1, true);
            }
            if ended {
                *whole = whole.saturating_sub(1);
            }
        }
        (bytes.len(), false)
    }

    /// Takes one byte; tells whether a record ended with it.
    fn step(&mut self, byte: u8) -> bool {
        if self.header_seen < HEADER {
            self.header[self.header_seen] = byte;
            self.header_seen += 1;
            if self.header_seen < HEADER {
                return false;
            }
            self.payload = (u32::from_be_bytes(self.header) & LENGTH) as usize;
            self.left = self.payload;
        } else {
            self.left -= 1;
        }
        let ended = self.left == 0;
        if ended {
            self.header_seen = 0;
        }
        ended
    }

    fn is_half_way(&self) -> bool {
        self.header_seen == HEADER && self.left <= self.payload - self.payload / 2
    }
}
