use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures::{FutureExt, future::join_all};
use tokio::time::{Duration, Instant, advance};

use super::{
    Mux, Submit, Waiter,
    peer::{DEADLINE, Peer, ask, mk_connection, read_call, record, reply},
};
use crate::rpc::{Broken, CallError, Malformed, RecordError, Refusal};

fn why(result: Result<u32, CallError>) -> (Arc<Broken>, bool) {
    match result {
        Err(CallError::Lost { why, sent }) => (why, sent),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_callers_in_any_order() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let calls = join_all((0..100).map(|n| ask(&mux, n)));
    let serve = async {
        let mut seen = vec![];
        for _ in 0..100 {
            seen.push(peer.call().await);
        }
        fastrand::Rng::with_seed(7).shuffle(&mut seen);
        for call in seen {
            peer.answer(call).await;
        }
    };
    let (answers, ()) = tokio::join!(calls, serve);
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.unwrap(), n);
    }
    assert_eq!(mux.stats().in_flight.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_in_flight_than_allowed() {
    let (mux, mut peer) = mk_connection(2, 1 << 16);
    let calls = join_all((0..3).map(|n| ask(&mux, n)));
    let serve = async {
        let (first, second) = (peer.call().await, peer.call().await);
        let third = tokio::time::timeout(Duration::from_secs(1), peer.call()).await;
        assert!(third.is_err(), "{third:?}");
        peer.answer(second).await;
        let third = peer.call().await;
        peer.answer(first).await;
        peer.answer(third).await;
    };
    let (answers, ()) = tokio::join!(calls, serve);
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
}

/// A connection whose replies come fast, with `sent` calls unanswered, numbered from 1,000 on.
async fn mk_busy_connection(sent: u32) -> (Mux, Peer) {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    for number in 0..100 {
        let serve = async {
            let call = peer.call().await;
            peer.answer(call).await;
        };
        let (answer, ()) = tokio::join!(ask(&mux, number), serve);
        assert_eq!(answer.unwrap(), number);
    }
    begin(&mux, 1000..1000 + sent);
    for _ in 0..sent {
        peer.call().await;
    }
    (mux, peer)
}

fn begin(mux: &Mux, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mux = mux.clone();
        tokio::spawn(async move { ask(&mux, number).await });
    }
}

#[tokio::test(start_paused = true)]
async fn where_replies_come_fast_a_call_waits_for_company_and_not_for_ever() {
    let (mux, mut peer) = mk_busy_connection(8).await;
    let start = Instant::now();
    begin(&mux, 1..9);
    for number in 1..9 {
        assert_eq!(peer.call().await.number, number);
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "enough to go at once");
    begin(&mux, 9..10);
    let early = tokio::time::timeout(Duration::from_millis(1), peer.call()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(peer.call().await.number, 9, "nobody joined it");
    assert!(start.elapsed() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_for_company_is_never_sent() {
    let (mux, mut peer) = mk_busy_connection(8).await;
    let mut dropped = Box::pin(ask(&mux, 1));
    assert!(dropped.as_mut().now_or_never().is_none());
    let early = tokio::time::timeout(Duration::from_millis(1), peer.call()).await;
    assert!(early.is_err(), "{early:?}");
    drop(dropped);
    tokio::time::sleep(Duration::from_millis(5)).await;
    begin(&mux, 2..3);
    assert_eq!(peer.call().await.number, 2);
    assert_eq!(mux.stats().in_flight.load(Relaxed), 9);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_company_when_the_connection_breaks_was_not_sent() {
    let (mux, mut peer) = mk_busy_connection(8).await;
    let waiting = ask(&mux, 1);
    let cut = async {
        let early = tokio::time::timeout(Duration::from_millis(1), peer.call()).await;
        assert!(early.is_err(), "{early:?}");
        drop(peer);
    };
    let (lost, ()) = tokio::join!(waiting, cut);
    let (why, sent) = why(lost);
    assert!(matches!(*why, Broken::Closed), "{why:?}");
    assert!(!sent);
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_fragments_is_one_reply() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let serve = async {
        let call = peer.call().await;
        for byte in record(&reply(call.xid, call.number), 3) {
            peer.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(ask(&mux, 5), serve);
    assert_eq!(answer.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cut_inside_a_reply_is_one_error_for_all() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let calls = join_all((0..3).map(|n| ask(&mux, n)));
    let serve = async move {
        let mut last = peer.call().await;
        for _ in 0..2 {
            last = peer.call().await;
        }
        peer.send(&record(&reply(last.xid, 0), usize::MAX)[..9])
            .await;
    };
    let (answers, ()) = tokio::join!(calls, serve);
    let errors: Vec<_> = answers.into_iter().map(why).collect();
    assert!(matches!(*errors[0].0, Broken::MidRecord), "{errors:?}");
    assert!(
        errors
            .iter()
            .all(|(why, sent)| Arc::ptr_eq(why, &errors[0].0) && *sent)
    );
    // Whoever comes later gets the same, and was not sent.
    let (later, sent) = why(ask(&mux, 9).await);
    assert!(Arc::ptr_eq(&later, &errors[0].0) && !sent);
    assert!(Arc::ptr_eq(&mux.closed().await, &later));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_framed_breaks_the_connection() {
    type Check = fn(&Broken) -> bool;
    let rows: [(&str, &[u8], Check); 4] = [
        ("a length of 2 GiB", b"\xff\xff\xff\xff", |why| {
            matches!(why, Broken::Framing(RecordError::TooLarge(_)))
        }),
        ("an empty record", b"\x80\0\0\0", |why| {
            matches!(why, Broken::Framing(RecordError::TooShort(0)))
        }),
        ("a call", b"\x80\0\0\x08\0\0\0\x01\0\0\0\0", |why| {
            matches!(why, Broken::NotAReply)
        }),
        ("text", b"HTTP/1.1 400 Bad Request\r\n\r\n", |why| {
            matches!(why, Broken::Framing(RecordError::TooLarge(_)))
        }),
    ];
    for (name, bytes, check) in rows {
        let (mux, mut peer) = mk_connection(128, 1 << 16);
        let serve = async {
            peer.call().await;
            peer.send(bytes).await;
        };
        let (answer, ()) = tokio::join!(ask(&mux, 1), serve);
        let (why, _) = why(answer);
        assert!(check(&why), "{name}: {why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_of_file_between_replies_is_told_apart() {
    let (mux, peer) = mk_connection(128, 1 << 16);
    drop(peer);
    assert!(matches!(*mux.closed().await, Broken::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_asked_for_is_dropped_and_counted() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let serve = async {
        let call = peer.call().await;
        peer.send(&record(&reply(call.xid ^ 0xffff, 13), usize::MAX))
            .await;
        peer.answer(call).await;
        peer.answer(call).await;
    };
    let (answer, ()) = tokio::join!(ask(&mux, 1), serve);
    assert_eq!(answer.unwrap(), 1);
    let serve = async { peer.call().await.xid };
    let (_, _) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(1), ask(&mux, 2)),
        serve
    );
    assert_eq!(mux.stats().late_replies(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_dropped_and_the_connection_goes_on() {
    let (mux, mut peer) = mk_connection(1, 1 << 16);
    let start = Instant::now();
    let slow = ask(&mux, 1);
    let serve = async {
        let call = peer.call().await;
        // Something is heard meanwhile, so the connection is not taken for dead.
        tokio::time::sleep(Duration::from_secs(20)).await;
        peer.send(&record(&reply(0xdead, 0), usize::MAX)).await;
        call
    };
    let (answer, call) = tokio::join!(slow, serve);
    assert!(
        matches!(answer, Err(CallError::TimedOut(DEADLINE))),
        "{answer:?}"
    );
    assert_eq!(start.elapsed(), DEADLINE);
    peer.answer(call).await;
    let serve = async {
        let call = peer.call().await;
        peer.answer(call).await;
    };
    let (answer, ()) = tokio::join!(ask(&mux, 2), serve);
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(mux.stats().late_replies(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_arrives_is_taken_for_dead() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let serve = async {
        peer.call().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    let later = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ask(&mux, 2).await
    };
    let (first, second, ()) = tokio::join!(ask(&mux, 1), later, serve);
    assert!(matches!(first, Err(CallError::TimedOut(_))), "{first:?}");
    let (why, sent) = why(second);
    assert!(matches!(*why, Broken::Silent(DEADLINE)) && sent, "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_given_up() {
    let (mux, peer) = mk_connection(128, 16);
    let start = Instant::now();
    let (why, sent) = why(ask(&mux, 1).await);
    assert!(
        matches!(*why, Broken::Stalled(DEADLINE)) && !sent,
        "{why:?}"
    );
    assert_eq!(start.elapsed(), DEADLINE);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_is_given_up() {
    let (mux, mut peer) = mk_connection(128, 16);
    let start = Instant::now();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.take_byte().await;
        }
    };
    let call = ask(&mux, 1);
    let answer = tokio::select! {
        answer = call => answer,
        () = drip => unreachable!(),
    };
    let (why, sent) = why(answer);
    assert!(
        matches!(*why, Broken::Stalled(DEADLINE)) && !sent,
        "{why:?}"
    );
    assert_eq!(start.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_swallows_those_behind_it_breaks_the_connection() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let start = Instant::now();
    let serve = async {
        peer.send(&(0x8000_0000_u32 + 100_000).to_be_bytes()).await;
        while let Ok(call) = read_call(&mut peer.stream).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
            peer.answer(call).await;
        }
    };
    let calls = async {
        let mut number = 0;
        loop {
            number += 1;
            match ask(&mux, number).await {
                Err(CallError::TimedOut(_)) => {}
                end => return why(end).0,
            }
        }
    };
    let (why, ()) = tokio::join!(calls, serve);
    assert!(matches!(*why, Broken::Unfinished(DEADLINE)), "{why:?}");
    assert!(start.elapsed() <= 2 * DEADLINE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_over_a_slow_link_is_waited_for() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let serve = async {
        let (long, short) = (peer.call().await, peer.call().await);
        // The second call came after 9 s; when the first has its answer, its caller has given up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let bytes = record(
            &[&reply(long.xid, 1)[..], &vec![0; 100_000]].concat(),
            1 << 12,
        );
        for part in bytes.chunks(bytes.len().div_ceil(25)) {
            peer.send(part).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        peer.answer(short).await;
    };
    let later = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        ask(&mux, 2).await
    };
    let (long, short, ()) = tokio::join!(ask(&mux, 1), later, serve);
    assert!(matches!(long, Err(CallError::TimedOut(_))), "{long:?}");
    assert_eq!(short.unwrap(), 2);
    assert!(mux.broken().is_none());
    assert_eq!(mux.stats().late_replies(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_when_the_call_was_sent() {
    let (mux, mut peer) = mk_connection(128, 16);
    let start = Instant::now();
    let serve = async {
        // The writer is blocked for a while, then the peer reads the call, and keeps it.
        tokio::time::sleep(Duration::from_secs(20)).await;
        peer.call().await
    };
    let (answer, _) = tokio::join!(ask(&mux, 1), serve);
    assert!(matches!(answer, Err(CallError::TimedOut(_))), "{answer:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(20) + DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_flight_keeps_its_slot_until_the_answer() {
    let (mux, mut peer) = mk_connection(1, 1 << 16);
    let mut dropped = Box::pin(ask(&mux, 1));
    assert!(dropped.as_mut().now_or_never().is_none());
    let call = peer.call().await;
    drop(dropped);
    let mut next = Box::pin(ask(&mux, 2));
    assert!(next.as_mut().now_or_never().is_none());
    let early = tokio::time::timeout(Duration::from_secs(1), peer.call()).await;
    assert!(
        early.is_err(),
        "the slot was free before the answer: {early:?}"
    );
    peer.answer(call).await;
    let serve = async {
        let call = peer.call().await;
        peer.answer(call).await;
    };
    let (answer, ()) = tokio::join!(next, serve);
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(mux.stats().abandoned(), 1);
    let cancelled = mux
        .stats()
        .calls()
        .find(|(_, outcome, _)| *outcome == "cancelled");
    assert_eq!(cancelled, Some(("getport", "cancelled", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_before_it_was_sent_is_never_sent() {
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    let mut dropped = Box::pin(ask(&mux, 1));
    assert!(dropped.as_mut().now_or_never().is_none());
    drop(dropped);
    let serve = async {
        let call = peer.call().await;
        peer.answer(call).await;
        call.number
    };
    let (answer, seen) = tokio::join!(ask(&mux, 2), serve);
    assert_eq!((answer.unwrap(), seen), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_again_when_an_abandoned_call_is_never_answered() {
    let (mux, mut peer) = mk_connection(1, 1 << 16);
    let mut dropped = Box::pin(ask(&mux, 1));
    assert!(dropped.as_mut().now_or_never().is_none());
    peer.call().await;
    drop(dropped);
    advance(Duration::from_secs(1)).await;
    peer.send(&record(&reply(0xdead, 0), usize::MAX)).await;
    let start = Instant::now();
    let serve = async {
        let call = peer.call().await;
        peer.answer(call).await;
    };
    let (answer, ()) = tokio::join!(ask(&mux, 2), serve);
    assert_eq!(answer.unwrap(), 2);
    assert!(start.elapsed() <= DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_decoded_is_its_callers_alone() {
    let good = |xid| [xid, 1, 0, 0, 0, 0];
    let rows: [(&str, Vec<u32>, Malformed); 5] = [
        ("cut short", good(1).to_vec(), Malformed::Short),
        (
            "too long",
            [&good(1)[..], &[7, 8]].concat(),
            Malformed::Trailing,
        ),
        (
            "a verifier of 4 GiB",
            vec![1, 1, 0, 0, u32::MAX, 0, 7],
            Malformed::TooLong,
        ),
        (
            "an unknown reply status",
            vec![1, 1, 2, 0, 0, 0, 7],
            Malformed::Value,
        ),
        (
            "an unknown accept status",
            vec![1, 1, 0, 0, 0, 77],
            Malformed::Value,
        ),
    ];
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    for (name, words, want) in rows {
        let serve = async {
            peer.call().await;
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
            peer.send(&record(&bytes, usize::MAX)).await;
        };
        let (answer, ()) = tokio::join!(ask(&mux, 1), serve);
        assert!(
            matches!(answer, Err(CallError::Malformed(why)) if why == want),
            "{name}: {answer:?}"
        );
    }
    assert!(mux.broken().is_none());
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_call_are_told_apart() {
    let rows: [(&str, &[u32], Refusal); 6] = [
        ("program", &[1, 1, 0, 0, 0, 1], Refusal::ProgramUnavailable),
        (
            "version",
            &[1, 1, 0, 0, 0, 2, 3, 4],
            Refusal::ProgramMismatch { low: 3, high: 4 },
        ),
        (
            "procedure",
            &[1, 1, 0, 0, 0, 3],
            Refusal::ProcedureUnavailable,
        ),
        ("arguments", &[1, 1, 0, 0, 0, 4], Refusal::GarbageArguments),
        ("system", &[1, 1, 0, 0, 0, 5], Refusal::SystemError),
        (
            "rpc",
            &[1, 1, 1, 0, 2, 2],
            Refusal::RpcMismatch { low: 2, high: 2 },
        ),
    ];
    let (mux, mut peer) = mk_connection(128, 1 << 16);
    for (name, words, want) in rows {
        let serve = async {
            peer.call().await;
            let bytes: Vec<u8> = words.iter().copied().flat_map(u32::to_be_bytes).collect();
            peer.send(&record(&bytes, usize::MAX)).await;
        };
        let (answer, ()) = tokio::join!(ask(&mux, 1), serve);
        assert!(
            matches!(answer, Err(CallError::Refused(why)) if why == want),
            "{name}: {answer:?}"
        );
    }
}

/// On real threads, because what is tried here lies between two instructions; one call in some hundred rounds used to be lost.
#[test]
fn a_call_that_is_queued_while_the_connection_breaks_is_answered() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(16)
        .enable_all()
        .build()
        .unwrap();
    for _ in 0..100 {
        runtime.block_on(async {
            let (mux, peer) = mk_connection(1 << 16, 1 << 20);
            let callers: Vec<_> = (0..16)
                .map(|caller| tokio::spawn(call_until_broken(mux.clone(), caller << 24)))
                .collect();
            drop(peer);
            for ended in join_all(callers).await {
                ended.unwrap();
            }
            assert_eq!(mux.stats().in_flight.load(Relaxed), 0);
        });
    }
}

async fn call_until_broken(mux: Mux, first: u32) {
    let mut waiting = Vec::new();
    for xid in first.. {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let waiter = Waiter {
            reply,
            _slot: mux.slot().await,
        };
        let record = vec![0x80, 0, 0, 0];
        let call = Submit {
            xid,
            record,
            waiter,
        };
        if mux.submit(call).is_err() {
            break;
        }
        waiting.push(answer);
    }
    for answer in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(10), answer);
        let answer = answer.await.expect("an answer").expect("an answer");
        assert!(matches!(answer, Err(CallError::Lost { .. })), "{answer:?}");
    }
}
