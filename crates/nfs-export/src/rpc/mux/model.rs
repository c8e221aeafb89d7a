//! The mux against a peer that does everything a network or a server can do to it, and a model of what its callers may see: each gets
//! its own answer or an error, once, and an answer only if the peer gave one.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, stream::FuturesUnordered};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Duration, sleep},
};

use super::{
    Mux,
    peer::{DEADLINE, Seen, ask, mk_connection, read_call, record, reply},
};
use crate::rpc::{Broken, CallError};

const CASES: u32 = 128;
const CALLS: u32 = 800;

/// What a peer is inclined to do, each in 1000.
#[derive(Debug, Clone)]
struct Temper {
    seed: u64,
    buffer: usize,
    in_flight: usize,
    /// Never answers a call.
    forget: u32,
    /// Answers twice.
    repeat: u32,
    /// Answers a call that nobody made.
    invent: u32,
    /// Sends what is no reply.
    garbage: u32,
    /// Closes the connection, most often inside a reply.
    cut: u32,
    /// Waits before it answers, up to 40 s.
    delay: u32,
    /// The caller goes away before the answer.
    cancel: u32,
}

#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    lost: u32,
    timed_out: u32,
    cancelled: u32,
}

type Given = Arc<Mutex<HashSet<u32>>>;

fn temper() -> impl Strategy<Value = Temper> {
    let odds = (
        0..20_u32,
        0..50_u32,
        0..20_u32,
        0..4_u32,
        0..10_u32,
        0..60_u32,
        0..60_u32,
    );
    (any::<u64>(), 16..4096_usize, 1..200_usize, odds).prop_map(
        |(seed, buffer, in_flight, odds)| {
            let (forget, repeat, invent, garbage, cut, delay, cancel) = odds;
            Temper {
                seed,
                buffer,
                in_flight,
                forget,
                repeat,
                invent,
                garbage,
                cut,
                delay,
                cancel,
            }
        },
    )
}

/// Answers what `calls` brings, in whatever order, until it has cut the connection.
async fn answer(
    mut calls: mpsc::UnboundedReceiver<Seen>,
    mut write: WriteHalf<DuplexStream>,
    temper: Temper,
    given: Given,
) {
    let mut dice = fastrand::Rng::with_seed(temper.seed);
    let mut held = Vec::new();
    while let Some(first) = calls.recv().await {
        held.push(first);
        while let Ok(more) = calls.try_recv() {
            held.push(more);
        }
        dice.shuffle(&mut held);
        let count = dice.usize(1..=held.len());
        for seen in held.drain(..count) {
            let mut is = |odds| dice.u32(0..1000) < odds;
            let (forget, repeat, invent, garbage, cut, delay) = (
                is(temper.forget),
                is(temper.repeat),
                is(temper.invent),
                is(temper.garbage),
                is(temper.cut),
                is(temper.delay),
            );
            if delay {
                sleep(Duration::from_millis(dice.u64(1..40_000))).await;
            }
            if forget {
                continue;
            }
            let mut bytes = record(&reply(seen.xid, seen.number), dice.usize(1..64));
            if invent {
                bytes.extend(record(&reply(dice.u32(0x8000_0000..), 1), usize::MAX));
            }
            if repeat {
                bytes.extend(record(&reply(seen.xid, seen.number), usize::MAX));
            }
            if garbage {
                bytes.extend([dice.u8(..), dice.u8(..), dice.u8(..), dice.u8(..)]);
            }
            if cut {
                bytes.truncate(dice.usize(..bytes.len()));
            }
            given.lock().unwrap().insert(seen.number);
            for part in bytes.chunks(dice.usize(1..100)) {
                if write.write_all(part).await.is_err() {
                    return;
                }
            }
            if cut {
                let _ = write.shutdown().await;
                return;
            }
        }
        if held.is_empty() {
            continue;
        }
        // What is held back goes to the next round, or out when nothing else comes.
        let rest = std::mem::take(&mut held);
        if calls.is_empty() {
            for seen in rest {
                given.lock().unwrap().insert(seen.number);
                if write
                    .write_all(&record(&reply(seen.xid, seen.number), 17))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        } else {
            held = rest;
        }
    }
}

async fn read(mut stream: ReadHalf<DuplexStream>, calls: mpsc::UnboundedSender<Seen>) {
    while let Ok(seen) = read_call(&mut stream).await {
        if calls.send(seen).is_err() {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            return;
        }
    }
}

fn connect(temper: &Temper, round: u64, given: &Given) -> Mux {
    let (mux, peer) = mk_connection(temper.in_flight, temper.buffer);
    let (stream, write) = tokio::io::split(peer.stream);
    let (send, calls) = mpsc::unbounded_channel();
    let temper = Temper {
        seed: temper.seed.wrapping_add(round),
        ..temper.clone()
    };
    tokio::spawn(read(stream, send));
    tokio::spawn(answer(calls, write, temper, Arc::clone(given)));
    mux
}

async fn call(
    mux: Mux,
    number: u32,
    patience: Option<Duration>,
) -> (u32, Option<Result<u32, CallError>>) {
    let call = ask(&mux, number);
    match patience {
        None => (number, Some(call.await)),
        Some(patience) => (number, tokio::time::timeout(patience, call).await.ok()),
    }
}

async fn run(temper: Temper) -> Tally {
    let given = Given::default();
    let mut dice = fastrand::Rng::with_seed(!temper.seed);
    let (mut round, mut tally, mut ended) = (0, Tally::default(), HashSet::new());
    let mut mux = connect(&temper, round, &given);
    let mut calls = FuturesUnordered::new();
    let mut next = 0;
    while next < CALLS || !calls.is_empty() {
        while next < CALLS && calls.len() < 300 {
            if mux.broken().is_some() {
                round += 1;
                mux = connect(&temper, round, &given);
            }
            let gone = dice.u32(0..1000) < temper.cancel;
            let patience = gone.then(|| Duration::from_millis(dice.u64(0..50)));
            calls.push(tokio::spawn(call(mux.clone(), next, patience)));
            next += 1;
        }
        let Some(done) = calls.next().await else {
            break;
        };
        let (number, result) = done.unwrap();
        assert!(ended.insert(number), "call {number} ended twice");
        match result {
            None => tally.cancelled += 1,
            Some(Ok(answer)) => {
                assert_eq!(answer, number, "the answer of another call");
                assert!(
                    given.lock().unwrap().contains(&number),
                    "an answer that nobody gave"
                );
                tally.answered += 1;
            }
            Some(Err(CallError::Lost { why, .. })) => {
                assert!(!matches!(*why, Broken::Dropped), "given up while needed");
                tally.lost += 1;
            }
            Some(Err(CallError::TimedOut(_))) => tally.timed_out += 1,
            Some(Err(error)) => panic!("call {number}: {error:?}"),
        }
    }
    assert_eq!(ended.len(), CALLS as usize);
    // Calls whose callers went away are in flight until their deadline.
    sleep(2 * DEADLINE).await;
    assert_eq!(
        mux.stats().in_flight(),
        0,
        "a slot was lost on the last connection"
    );
    tally
}

#[test]
fn each_caller_gets_its_own_answer_or_an_error_exactly_once() {
    let total = Mutex::new(Tally::default());
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(temper in temper())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let tally = runtime.block_on(run(temper));
        let mut total = total.lock().unwrap();
        total.answered += tally.answered;
        total.lost += tally.lost;
        total.timed_out += tally.timed_out;
        total.cancelled += tally.cancelled;
    });
    let total = total.into_inner().unwrap();
    println!("{total:?}");
    assert_eq!(
        total.answered + total.lost + total.timed_out + total.cancelled,
        CASES * CALLS
    );
    assert!(
        total.answered > 0 && total.lost > 0 && total.timed_out > 0 && total.cancelled > 0,
        "the peer was too kind: {total:?}"
    );
}
