//! Waiting for something to be seen, with a cap: what tests do in place of sleeping.

use std::time::Duration;

use tokio::sync::watch;

/// A condition did not come true in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not seen within {0:?}")]
pub struct NotSeen(pub Duration);

/// Asks at once and after every change, until the condition holds or the cap is reached.
pub(crate) async fn until(
    mut changed: watch::Receiver<()>,
    cap: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<(), NotSeen> {
    let wait = async {
        while !holds() {
            if changed.changed().await.is_err() {
                // Nothing changes any more, so this never comes true: the cap ends it.
                std::future::pending::<()>().await;
            }
        }
    };
    let waited = tokio::time::timeout(cap, wait).await;
    waited.map_err(|_| NotSeen(cap))
}
