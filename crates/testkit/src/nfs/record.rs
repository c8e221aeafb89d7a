//! RPC records on a TCP stream (RFC 5531, section 11): a record is fragments, each with its length before it.
//!
//! Refuses records over [`MAX_RECORD`] bytes, so that no peer decides how much memory the server takes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest sum of fragments that is read: well over a WRITE of one mebibyte.
pub(super) const MAX_RECORD: usize = 4 * 1024 * 1024;

const LAST: u32 = 0x8000_0000;

/// The next whole record, or nothing when the peer closed between two records.
pub(super) async fn read_record<R>(stream: &mut R) -> io::Result<Option<Vec<u8>>>
where
    R: AsyncRead + Unpin,
{
    let mut record = Vec::new();
    loop {
        let mut header = [0; 4];
        if record.is_empty() && stream.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        } else if record.is_empty() {
            stream.read_exact(&mut header[1..]).await?;
        } else {
            stream.read_exact(&mut header).await?;
        }
        let header = u32::from_be_bytes(header);
        let length = (header & !LAST) as usize;
        let before = record.len();
        if before + length > MAX_RECORD {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "record is too long",
            ));
        }
        record.resize(before + length, 0);
        stream.read_exact(&mut record[before..]).await?;
        if header & LAST != 0 {
            return Ok(Some(record));
        }
    }
}

/// A record as it goes over the wire, in fragments of at most `fragment` bytes.
pub(super) fn frame(record: &[u8], fragment: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(record.len() + 4);
    let mut rest = record;
    loop {
        let (now, later) = rest.split_at(rest.len().min(fragment.max(1)));
        let last = if later.is_empty() { LAST } else { 0 };
        let length = u32::try_from(now.len()).unwrap_or(u32::MAX) & !LAST;
        wire.extend_from_slice(&(length | last).to_be_bytes());
        wire.extend_from_slice(now);
        rest = later;
        if rest.is_empty() {
            return wire;
        }
    }
}
