//! What reaches the socket: reading goes on while it takes nothing, and calls share a write.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::Duration,
};

use super::{
    Limits, Mux,
    peer::{DEADLINE, Peer, ask},
};

/// What became of the writes to a socket.
#[derive(Debug, Default)]
struct Meter {
    writes: AtomicUsize,
    bytes: AtomicUsize,
    /// Since the last one that was taken.
    refused: AtomicUsize,
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
