//! What reaches the socket: reading goes on while it takes nothing, and calls share a write.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::{FutureExt, future::join_all};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::{Duration, Instant},
};

use super::{
    Limits, Mux,
    peer::{DEADLINE, Peer, ask, record, reply},
};
use crate::rpc::{Broken, CallError};

/// What became of the writes to a socket.
#[derive(Debug, Default)]
struct Meter {
    writes: AtomicUsize,
    bytes: AtomicUsize,
    /// Since the last one that was taken.
    refused: AtomicUsize,
    /// The next one is to fail.
    reset: AtomicBool,
}

/// A socket that counts its writes.
struct Metered {
    stream: DuplexStream,
    meter: Arc<Meter>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.meter.reset.swap(false, Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match &wrote {
            Poll::Ready(Ok(count)) => {
                self.meter.writes.fetch_add(1, Relaxed);
                self.meter.bytes.fetch_add(*count, Relaxed);
                self.meter.refused.store(0, Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.meter.refused.fetch_add(1, Relaxed);
            }
        }
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection with room for 128 calls, its other end, and a count of what is written.
fn mk_metered_connection(buffer: usize) -> (Mux, Peer, Arc<Meter>) {
    let (ours, stream) = tokio::io::duplex(buffer);
    let meter = Arc::new(Meter::default());
    let ours = Metered {
        stream: ours,
        meter: Arc::clone(&meter),
    };
    let limits = Limits {
        in_flight: 128,
        deadline: DEADLINE,
    };
    let mux = Mux::start(ours, limits, Arc::default());
    (mux, Peer { stream }, meter)
}

#[tokio::test(start_paused = true)]
async fn an_answer_arrives_while_the_peer_takes_no_more_calls() {
    // Room for one call on its way, and not for two.
    let (mux, mut peer, meter) = mk_metered_connection(64);
    let mut first = tokio::spawn({
        let mux = mux.clone();
        async move { ask(&mux, 1).await }
    });
    let seen = peer.call().await;
    let length = meter.bytes.load(Relaxed);
    assert!((33..64).contains(&length), "{length}");
    let others = tokio::spawn(async move { join_all((2..4).map(|n| ask(&mux, n))).await });
    let blocked = async {
        while meter.refused.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), blocked)
        .await
        .expect("the writer to be blocked");
    peer.answer(seen).await;
    let answer = tokio::time::timeout(Duration::from_secs(1), &mut first).await;
    assert_eq!(answer.expect("an answer").unwrap().unwrap(), 1);
    assert_eq!(meter.bytes.load(Relaxed), length + 64, "still blocked");
    assert!(meter.refused.load(Relaxed) > 0);
    for _ in 0..2 {
        let seen = peer.call().await;
        peer.answer(seen).await;
    }
    let answers = others.await.unwrap();
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_made_together_go_out_in_one_write() {
    let (mux, mut peer, meter) = mk_metered_connection(1 << 16);
    let serve = async {
        for _ in 0..64 {
            let call = peer.call().await;
            peer.answer(call).await;
        }
    };
    let (answers, ()) = tokio::join!(join_all((0..64).map(|n| ask(&mux, n))), serve);
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(meter.writes.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn where_each_reply_brings_the_next_call_several_of_them_go_out_in_one_write() {
    const CALLERS: u32 = 32;
    const CALLS: u32 = 20;
    let (mux, mut peer, meter) = mk_metered_connection(1 << 16);
    let serve = tokio::spawn(async move {
        for _ in 0..CALLERS * CALLS {
            let call = peer.call().await;
            peer.answer(call).await;
            // So that replies come one by one: this one's caller has called again before the next.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
    });
    let callers = (0..CALLERS).map(|caller| {
        let mux = &mux;
        async move {
            for call in 0..CALLS {
                let number = caller * CALLS + call;
                assert_eq!(ask(mux, number).await.unwrap(), number);
            }
        }
    });
    join_all(callers).await;
    serve.await.unwrap();
    let writes = meter.writes.load(Relaxed);
    assert!(writes * 4 < (CALLERS * CALLS) as usize, "{writes}");
}

/// A connection on which a call was answered already.
async fn mk_warm_connection() -> (Mux, Peer, Arc<Meter>) {
    let (mux, mut peer, meter) = mk_metered_connection(1 << 16);
    let (answer, ()) = tokio::join!(ask(&mux, 0), async {
        let call = peer.call().await;
        peer.answer(call).await;
    });
    assert_eq!(answer.unwrap(), 0);
    meter.writes.store(0, Relaxed);
    (mux, peer, meter)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_alone_is_written_by_its_caller_and_others_together() {
    let (mux, mut peer, meter) = mk_warm_connection().await;
    let mut calls = Box::pin(join_all((1..64).map(|n| ask(&mux, n))));
    // The connection's task has no turn meanwhile.
    assert!(calls.as_mut().now_or_never().is_none());
    assert_eq!(meter.writes.load(Relaxed), 1);
    let serve = async {
        for _ in 1..64 {
            let call = peer.call().await;
            peer.answer(call).await;
        }
    };
    let (answers, ()) = tokio::join!(calls, serve);
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(meter.writes.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_alone_has_its_deadline_also_where_the_last_one_is_long_ago() {
    for pause in [0, 20, 40, 300] {
        let (mux, mut peer, _meter) = mk_warm_connection().await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let start = Instant::now();
        let (answer, ()) = tokio::join!(ask(&mux, 1), async {
            peer.call().await;
            // Something arrives later, so that the connection is not taken for dead.
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.send(&record(&reply(9, 9), usize::MAX)).await;
        });
        assert!(matches!(answer, Err(CallError::TimedOut(_))), "{answer:?}");
        assert_eq!(start.elapsed(), DEADLINE, "after {pause} s");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_comes_back_a_call_that_is_alone_has_its_deadline_too() {
    for pause in [0, 20, 40, 300] {
        let (mux, mut peer, _meter) = mk_warm_connection().await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let start = Instant::now();
        let (answer, _) = tokio::join!(ask(&mux, 1), peer.call());
        assert!(matches!(answer, Err(CallError::TimedOut(_))), "{answer:?}");
        assert_eq!(start.elapsed(), DEADLINE, "after {pause} s");
        assert!(matches!(*mux.closed().await, Broken::Silent(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_alone_and_too_long_for_the_socket_is_sent_when_there_is_room() {
    let (mux, mut peer, meter) = mk_metered_connection(16);
    for number in 0..3 {
        let (answer, ()) = tokio::join!(ask(&mux, number), async {
            let call = peer.call().await;
            peer.answer(call).await;
        });
        assert_eq!(answer.unwrap(), number);
    }
    assert!(meter.writes.load(Relaxed) > 6);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_alone_and_cannot_be_sent_is_lost_with_its_connection() {
    let (mux, _peer, meter) = mk_warm_connection().await;
    meter.reset.store(true, Relaxed);
    let start = Instant::now();
    let Err(CallError::Lost { why, sent: false }) = ask(&mux, 1).await else {
        panic!("it was not sent");
    };
    assert_eq!(start.elapsed(), Duration::ZERO);
    let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    assert!(
        matches!(&*why, Broken::Io(error) if is_reset(error)),
        "{why:?}"
    );
    assert!(Arc::ptr_eq(&mux.closed().await, &why));
}

#[test]
fn who_waits_when_the_runtime_ends_is_told() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (its, other) = (runtime(), runtime());
    let (mux, _peer, _meter) = its.block_on(mk_warm_connection());
    let mut call = Box::pin(ask(&mux, 1));
    assert!(
        its.block_on(async { call.as_mut().now_or_never() })
            .is_none()
    );
    drop(its);
    let told = other.block_on(call);
    assert!(
        matches!(&told, Err(CallError::Lost { why, .. }) if matches!(**why, Broken::Dropped)),
        "{told:?}"
    );
}
