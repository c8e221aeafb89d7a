//! Waiting for a condition, with a cap.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long what should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// How long after its beginning a wait is told of that should take moments, on a busy machine.
pub const LASTING: Duration = Duration::from_secs(100);

/// Between two looks. Not how long anything takes, only how late it is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When `cap` is over before.
pub async fn eventually_within<T>(
    cap: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + cap;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {cap:?}: {what}");
        sleep(LOOK_AGAIN).await;
    }
}

/// [`eventually_within`] a time that is ample for what happens at once.
pub async fn eventually<T>(what: impl Display, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, look).await
}

/// Waits for a condition that is seen without asking anybody.
pub async fn until(what: impl Display, mut holds: impl FnMut() -> bool) {
    eventually(what, async || holds().then_some(())).await;
}
