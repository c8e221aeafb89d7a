//! What the fuzz targets drive; compiled for them, and for a test that goes through their corpora.

#![allow(
    clippy::expect_used,
    reason = "what a fuzz target drives fails by panicking"
)]

use std::io::Cursor;

use bytes::BytesMut;
use nfs3_types::{
    mount::dirpath,
    nfs3,
    portmap::mapping,
    rpc::{accept_stat_data, msg_body, reply_body, rpc_msg},
    xdr_codec::Unpack,
};
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, sleep, timeout},
};

use crate::rpc::{
    mux::peer::{ask, mk_connection, read_call, record, reply},
    proc::{Call, ExportsArgs, GetAddr, NullArgs, Proc},
    record::{Decoder, RECORD_MAX},
    shape::{self, Head},
};

/// Records are the same however the bytes arrive.
///
/// # Panics
/// Where they are not.
pub fn records(data: &[u8]) {
    let Some((step, data)) = data.split_first() else {
        return;
    };
    let whole = decode(data, data.len().max(1));
    let parts = decode(data, usize::from(*step).max(1));
    assert_eq!(whole, parts);
    for record in &whole.0 {
        assert!(record.len() <= RECORD_MAX);
    }
}

/// What passes the check is decoded to its last byte, or refused for a value; it never allocates for a length that is not there.
///
/// # Panics
/// Where that is not so.
pub fn replies(data: &[u8]) {
    let Some((proc, data)) = data.split_first() else {
        return;
    };
    let proc = Proc::ALL[usize::from(*proc) % Proc::ALL.len()];
    let Ok(head) = shape::check(proc, data) else {
        return;
    };
    match proc {
        Proc::Null => body::<NullArgs>(head, data),
        Proc::GetAttr => body::<nfs3::GETATTR3args>(head, data),
        Proc::SetAttr => body::<nfs3::SETATTR3args>(head, data),
        Proc::Lookup => body::<nfs3::LOOKUP3args<'_>>(head, data),
        Proc::MkDir => body::<nfs3::MKDIR3args<'_>>(head, data),
        Proc::Remove => body::<nfs3::REMOVE3args<'_>>(head, data),
        Proc::RmDir => body::<nfs3::RMDIR3args<'_>>(head, data),
        Proc::Rename => body::<nfs3::RENAME3args<'_, '_>>(head, data),
        Proc::ReadDir => body::<nfs3::READDIR3args>(head, data),
        Proc::ReadDirPlus => body::<nfs3::READDIRPLUS3args>(head, data),
        Proc::FsStat => body::<nfs3::FSSTAT3args>(head, data),
        Proc::FsInfo => body::<nfs3::FSINFO3args>(head, data),
        Proc::Mnt => body::<dirpath<'_>>(head, data),
        Proc::Exports => body::<ExportsArgs>(head, data),
        Proc::GetPort => body::<mapping>(head, data),
        Proc::GetAddr3 => body::<GetAddr<3>>(head, data),
        Proc::GetAddr4 => body::<GetAddr<4>>(head, data),
    }
}

/// Whatever the peer does, each call ends.
///
/// # Panics
/// Where one does not, or gets the answer of another.
pub fn mux(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    if let Ok(runtime) = runtime {
        runtime.block_on(converse(data));
    }
}

async fn converse(data: &[u8]) {
    let (mux, peer) = mk_connection(4, 512);
    let script = data.to_vec();
    let raw = script.iter().any(|byte| byte % 8 == 1);
    let play = tokio::spawn(play(peer.stream, script));
    let calls = futures::future::join_all((0..16).map(|number| ask(&mux, number)));
    let answers = timeout(Duration::from_hours(1), calls).await;
    let answers = answers.expect("each call ends");
    for (number, answer) in (0..).zip(answers) {
        if let Ok(answer) = answer
            && !raw
        {
            assert_eq!(answer, number);
        }
    }
    play.abort();
}

/// Does what each byte says.
async fn play(mut stream: tokio::io::DuplexStream, script: Vec<u8>) {
    let mut held = Vec::new();
    let mut script = script.into_iter();
    while let Some(byte) = script.next() {
        let size = usize::from(byte / 8);
        let sent = match byte % 8 {
            0 => return,
            1 => {
                let raw: Vec<u8> = script.by_ref().take(size).collect();
                stream.write_all(&raw).await
            }
            2 => {
                sleep(Duration::from_secs(u64::from(byte))).await;
                Ok(())
            }
            3 | 4 => match timeout(Duration::from_secs(1), read_call(&mut stream)).await {
                Ok(Ok(seen)) => {
                    held.push(seen);
                    Ok(())
                }
                Ok(Err(_)) | Err(_) => return,
            },
            5 => match held.pop() {
                Some(seen) => {
                    stream
                        .write_all(&record(&reply(seen.xid, seen.number), size.max(1)))
                        .await
                }
                None => Ok(()),
            },
            6 => match held.first() {
                Some(seen) => {
                    stream
                        .write_all(&record(&reply(seen.xid, seen.number), usize::MAX))
                        .await
                }
                None => Ok(()),
            },
            _ => {
                stream
                    .write_all(&record(
                        &reply(0xffff_0000 | u32::from(byte), 0),
                        usize::MAX,
                    ))
                    .await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn decode(data: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<crate::RecordError>) {
    let (mut decoder, mut input, mut records) = (Decoder::default(), BytesMut::new(), Vec::new());
    for chunk in data.chunks(step) {
        input.extend_from_slice(chunk);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(error) => return (records, Some(error)),
            }
        }
    }
    (records, None)
}

fn body<C: Call>(head: Head, data: &[u8]) {
    let mut cursor = Cursor::new(data);
    let Ok((message, _)) = rpc_msg::unpack(&mut cursor) else {
        return;
    };
    let success = matches!(
        &message.body,
        msg_body::REPLY(reply_body::MSG_ACCEPTED(reply)) if matches!(reply.reply_data, accept_stat_data::SUCCESS)
    );
    assert_eq!(success, matches!(head, Head::Success { .. }));
    if let Head::Success { results, .. } = head {
        assert_eq!(cursor.position(), results as u64);
    }
    if success && C::Reply::unpack(&mut cursor).is_ok() {
        assert_eq!(cursor.position(), data.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_corpora_are_without_a_finding() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for name in ["records", "replies", "mux"] {
            let target = match name {
                "records" => records,
                "replies" => replies,
                _ => mux,
            };
            let mut inputs = 0;
            for input in std::fs::read_dir(fuzz.join(name)).unwrap() {
                let path = input.unwrap().path();
                println!("{}", path.display());
                target(&std::fs::read(&path).unwrap());
                inputs += 1;
            }
            assert!(inputs > 20, "{name}: {inputs} inputs");
        }
    }
}
