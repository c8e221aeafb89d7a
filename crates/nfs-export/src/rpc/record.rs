//! Record marking (RFC 5531 section 11): bytes in, whole records out.
//!
//! ```text
//! | last? 1 bit | length 31 bits | length bytes | ...        one record = fragments up to the one marked last
//! ```
//! Refuses records larger than [`RECORD_MAX`] in sum before anything is allocated for them, and more fragments than a sane peer sends.

use bytes::{Buf, BytesMut};

/// The largest reply taken: many times the largest page that this crate asks for.
pub(crate) const RECORD_MAX: usize = 1 << 20;
/// The most fragments of one record; fragments may be empty, so their sum alone does not bound the work.
const FRAGMENTS_MAX: u32 = 4096;
/// Length of a fragment's header.
const HEADER: usize = 4;
/// The bit that marks the last fragment.
const LAST: u32 = 0x8000_0000;

/// What is wrong with the framing. The connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The fragments of one record add up to more than the limit.
    #[error("a record has {0} bytes or more; the limit is 1048576")]
    TooLarge(usize),
    /// A record in more fragments than the limit.
    #[error("a record has more than 4096 fragments")]
    TooManyFragments,
    /// A record too short to hold an RPC header.
    #[error("a record of {0} bytes is too short for a reply")]
    TooShort(usize),
}

/// Cuts a stream of bytes into records.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Earlier fragments of the record that is being read.
    gathered: BytesMut,
    fragments: u32,
}

// === impl Decoder ===

impl Decoder {
    /// The next whole record at the front of `input`, which is consumed as far as it was used; `None`: more bytes are needed.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, RecordError> {
        while let Some((header, _)) = input.split_first_chunk::<HEADER>() {
            let header = u32::from_be_bytes(*header);
            let length = (header & !LAST) as usize;
            let total = self.gathered.len().saturating_add(length);
            if total > RECORD_MAX {
                return Err(RecordError::TooLarge(total));
            }
            if input.len() < HEADER + length {
                return Ok(None);
            }
            input.advance(HEADER);
            let fragment = input.split_to(length);
            if let Some(record) = self.gather(fragment, header & LAST != 0)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether the bytes so far end inside a record.
    pub(crate) fn is_mid_record(&self, input: &BytesMut) -> bool {
        self.fragments > 0 || !input.is_empty()
    }

    fn gather(&mut self, fragment: BytesMut, last: bool) -> Result<Option<BytesMut>, RecordError> {
        self.fragments += 1;
        if self.fragments > FRAGMENTS_MAX {
            return Err(RecordError::TooManyFragments);
        }
        if self.gathered.is_empty() {
            self.gathered = fragment;
        } else {
            self.gathered.extend_from_slice(&fragment);
        }
        if !last {
            return Ok(None);
        }
        self.fragments = 0;
        Ok(Some(std::mem::take(&mut self.gathered)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_fragment(payload: &[u8], last: bool) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap() | if last { LAST } else { 0 };
        [&length.to_be_bytes(), payload].concat()
    }

    fn decode(bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, RecordError> {
        let (mut decoder, mut input, mut records) = (Decoder::default(), BytesMut::new(), vec![]);
        for chunk in bytes.chunks(step) {
            input.extend_from_slice(chunk);
            while let Some(record) = decoder.next(&mut input)? {
                records.push(record.to_vec());
            }
        }
        assert!(!decoder.is_mid_record(&input));
        Ok(records)
    }

    #[test]
    fn records_come_out_whole_however_the_bytes_arrive() {
        let stream = [
            mk_fragment(b"one record", true),
            mk_fragment(b"in ", false),
            mk_fragment(b"", false),
            mk_fragment(b"three", true),
            mk_fragment(b"", true),
        ]
        .concat();
        for step in 1..=stream.len() {
            let records = decode(&stream, step).unwrap();
            assert_eq!(
                records,
                [b"one record".to_vec(), b"in three".to_vec(), vec![]],
                "step {step}"
            );
        }
    }

    #[test]
    fn a_record_over_the_limit_is_refused_by_its_header_alone() {
        let mut input = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(
            Decoder::default().next(&mut input),
            Err(RecordError::TooLarge(0x7fff_ffff))
        );
    }

    #[test]
    fn fragments_that_add_up_over_the_limit_are_refused() {
        let half = vec![0; RECORD_MAX / 2 + 1];
        let mut input =
            BytesMut::from(&[mk_fragment(&half, false), mk_fragment(&half, true)].concat()[..]);
        assert_eq!(
            Decoder::default().next(&mut input),
            Err(RecordError::TooLarge(RECORD_MAX + 2))
        );
    }

    #[test]
    fn endless_empty_fragments_are_refused() {
        let mut input = BytesMut::from(&mk_fragment(b"", false).repeat(5000)[..]);
        assert_eq!(
            Decoder::default().next(&mut input),
            Err(RecordError::TooManyFragments)
        );
    }

    #[test]
    fn an_end_inside_a_record_is_seen() {
        let mut input = BytesMut::from(&mk_fragment(b"abcd", false)[..]);
        let mut decoder = Decoder::default();
        assert!(!decoder.is_mid_record(&BytesMut::new()));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(decoder.is_mid_record(&input));
    }
}
