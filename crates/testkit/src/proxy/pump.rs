//! Moving bytes one way: taken in with the time they are due, passed on when it has come, in the pieces and the state that the link says.
//!
//! Chance is spent by place in the stream: the n-th piece and the n-th flipped bit are where the seed says, however the bytes arrive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::Closing;
use super::link::{Cut, Link, Split, Weather};
use super::marks::Marks;

const CHUNK: usize = 16 * 1024;

/// Bytes held back at most; past them the sender is.
const HELD: usize = 4 * 1024 * 1024;

/// Why a connection ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// One side closed or failed, and the other was told.
    Finished,
    Cut,
    Closed(Closing),
}

/// One connection's one direction.
pub(super) struct Direction<'a> {
    link: &'a Link,
    weather: watch::Receiver<Weather>,
    dice: fastrand::Rng,
    marks: Marks,
    until_split: usize,
    until_flip: Option<u64>,
}

#[derive(Debug)]
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

enum Stop {
    Cut,
    Failed,
}

// === impl Direction ===

impl<'a> Direction<'a> {
    pub(super) fn new(link: &'a Link, seed: u64) -> Self {
        Self {
            link,
            weather: link.weather(),
            dice: fastrand::Rng::with_seed(seed),
            marks: Marks::default(),
            until_split: 0,
            until_flip: None,
        }
    }

    /// Runs two directions of a connection until both sides closed, or one failed, or a cut.
    pub(super) async fn pump_with(
        self,
        back: Self,
        (client_in, server_out): (ReadHalf<'_>, WriteHalf<'_>),
        (server_in, client_out): (ReadHalf<'_>, WriteHalf<'_>),
    ) -> End {
        let there = self.pump(client_in, server_out);
        let back = back.pump(server_in, client_out);
        match tokio::try_join!(there, back) {
            Err(Stop::Cut) => End::Cut,
            Ok(_) | Err(Stop::Failed) => End::Finished,
        }
    }

    async fn pump(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Stop> {
        let room = Semaphore::new(HELD);
        let (chunks_in, chunks) = mpsc::unbounded_channel();
        let jitter = fastrand::Rng::with_seed(self.dice.clone().u64(..));
        let weather = self.weather.clone();
        let mut cover = self.weather.clone();
        let take = async {
            let taken = take_in(from, chunks_in, weather, jitter, &room).await;
            if taken.is_err() {
                clear_sky(&mut cover).await;
            }
            taken.map_err(|_| Stop::Failed)
        };
        tokio::try_join!(take, self.pass_on(to, chunks, &room))?;
        Ok(())
    }

    async fn pass_on(
        mut self,
        mut to: WriteHalf<'_>,
        mut chunks: mpsc::UnboundedReceiver<Chunk>,
        room: &Semaphore,
    ) -> Result<(), Stop> {
        while let Some(mut chunk) = chunks.recv().await {
            let length = chunk.bytes.len();
            tokio::time::sleep_until(chunk.due).await;
            let mut weather = self.weather.clone();
            let now = weather.wait_for(|weather| !weather.is_stalled).await;
            let now = *now.map_err(|_| Stop::Failed)?;
            if now.is_blackhole {
                self.link.lost(length);
            } else {
                self.corrupt(&mut chunk.bytes, now.corrupt_every);
                self.write(&mut to, &chunk.bytes, now.split).await?;
            }
            room.add_permits(length);
        }
        clear_sky(&mut self.weather).await;
        to.shutdown().await.map_err(|_| Stop::Failed)
    }

    fn corrupt(&mut self, bytes: &mut [u8], every: Option<u64>) {
        let Some(every) = every else {
            self.until_flip = None;
            return;
        };
        for byte in bytes {
            let left = match self.until_flip {
                Some(left) => left,
                None => self.dice.u64(0..2 * every),
            };
            if left == 0 {
                *byte ^= 1 << self.dice.u8(0..8);
                self.link.flipped();
            }
            self.until_flip = left.checked_sub(1);
        }
    }

    async fn write(
        &mut self,
        to: &mut WriteHalf<'_>,
        bytes: &[u8],
        split: Option<Split>,
    ) -> Result<(), Stop> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(self.piece_of(rest.len(), split));
            let (allowed, cut) = self.allowance(piece);
            let piece = &piece[..allowed];
            to.write_all(piece).await.map_err(|_| Stop::Failed)?;
            let records = self.marks.pass(piece);
            self.link.wrote(piece.len(), records);
            if cut {
                return Err(Stop::Cut);
            }
            match split {
                Some(Split { pause, .. }) if pause > Duration::ZERO => {
                    tokio::time::sleep(pause).await;
                }
                Some(_) => tokio::task::yield_now().await,
                None => {}
            }
            rest = later;
        }
        Ok(())
    }

    /// Length of the next piece: what is there, or up to where the dice say.
    fn piece_of(&mut self, available: usize, split: Option<Split>) -> usize {
        let Some(split) = split else {
            self.until_split = 0;
            return available;
        };
        if self.until_split == 0 {
            self.until_split = self.dice.usize(1..=split.longest);
        }
        let piece = available.min(self.until_split);
        self.until_split -= piece;
        piece
    }

    /// How much of a piece may pass, and whether the connection is cut there.
    fn allowance(&self, piece: &[u8]) -> (usize, bool) {
        let mut cut = self.link.cut();
        let (allowed, is_cut) = match &mut *cut {
            None => return (piece.len(), false),
            Some(Cut::AfterBytes(left)) => {
                let allowed = piece
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= allowed as u64;
                (allowed, *left == 0)
            }
            Some(Cut::InRecord(left)) => self.marks.cut_within(piece, left),
        };
        if is_cut {
            *cut = None;
        }
        (allowed, is_cut)
    }
}

/// The end of a stream, too, does not get through what holds back or swallows.
async fn clear_sky(weather: &mut watch::Receiver<Weather>) {
    // The sender outlives every connection; were it gone there would be nothing to wait for.
    let _ = weather
        .wait_for(|weather| !weather.is_stalled && !weather.is_blackhole)
        .await;
}

async fn take_in(
    mut from: ReadHalf<'_>,
    chunks: mpsc::UnboundedSender<Chunk>,
    weather: watch::Receiver<Weather>,
    mut jitter: fastrand::Rng,
    room: &Semaphore,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut last = Instant::now();
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let now = *weather.borrow();
        let extra = now.jitter.mul_f64(jitter.f64());
        last = last.max(Instant::now() + now.delay + extra);
        let chunk = Chunk {
            due: last,
            bytes: buffer[..read].to_vec(),
        };
        if let Ok(taken) = room
            .acquire_many(u32::try_from(read).unwrap_or(u32::MAX))
            .await
        {
            // Given back when the chunk has been passed on.
            taken.forget();
        }
        if chunks.send(chunk).is_err() {
            return Ok(());
        }
    }
}
