//! What has been waited for long enough: calls for their answers, a reply for its end, the output for a peer that reads.

use std::task::Context;

use tokio::time::Instant;

use super::Driver;
use crate::rpc::{Broken, CallError};

impl Driver {
    /// Whether the task wakes up before any call sent from now on is past its deadline.
    pub(super) fn is_timed(&self) -> bool {
        self.timed && !self.timer.is_elapsed()
    }

    /// Ends what is past its deadline, and sets the timer to the next one.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while let Some(wake) = self.wake() {
            // Asked of the clock and not of the timer: one that is set to what has passed meanwhile fires without being seen.
            if wake <= self.now {
                self.expire()?;
                continue;
            }
            // All deadlines are equally long, so the timer moves only when it has fired or nothing was waiting.
            if wake < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(wake);
            }
            self.timed = self.timer.as_mut().poll(cx).is_pending();
            if self.timed {
                break;
            }
            self.now = Instant::now();
        }
        Ok(())
    }

    fn wake(&mut self) -> Option<Instant> {
        [self.output.blocked(), self.unfinished]
            .into_iter()
            .flatten()
            .map(|since| since + self.deadline)
            .chain(self.table.next_deadline())
            .min()
    }

    fn expire(&mut self) -> Result<(), Broken> {
        let mut silent = false;
        while let Some(entry) = self.table.expire(self.now) {
            silent |= entry.sent.is_some_and(|sent| self.heard <= sent);
            let timed_out = CallError::TimedOut(self.deadline);
            let _ = entry.waiter.reply.send(Err(timed_out));
        }
        let is_over =
            |since: Option<Instant>| since.is_some_and(|since| since + self.deadline <= self.now);
        // A slow call is the server's affair; a connection on which nothing at all arrived is taken for dead. One on which bytes arrive
        // that come to no end has lost its place in the stream, or is too slow for any reply as long as this one.
        if silent {
            Err(Broken::Silent(self.deadline))
        } else if is_over(self.unfinished) {
            Err(Broken::Unfinished(self.deadline))
        } else if is_over(self.output.blocked()) {
            Err(Broken::Stalled(self.deadline))
        } else {
            Ok(())
        }
    }
}
