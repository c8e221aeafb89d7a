//! Whether the API server answers, asked only after an attempt found that it does not.
//!
//! A watch that was cut resumes in silence until the next change, so it cannot tell when waiting work may go on. `/version` can: every
//! cluster lets everybody read it.

use std::time::Duration;

use kube::Client;
use tokio::sync::Notify;
use tracing::{info, warn};

/// Asks after the API server while it is in doubt.
#[derive(Debug, Default)]
pub struct Pulse {
    doubt: Notify,
}

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(700);
/// An API server that takes longer for `/version` is not one that work can go on with.
const PATIENCE: Duration = Duration::from_secs(5);

// === impl Pulse ===

impl Pulse {
    /// An attempt found the API server out of reach.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Calls `back` each time the API server answers after it was seen not to; for ever. A doubt that the first question clears
    /// calls nobody: the work's own backoff is the right pace for a request that fails on a server that is there.
    pub async fn run(&self, client: Client, back: impl Fn()) {
        loop {
            self.doubt.notified().await;
            if answers(&client).await {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            warn!("API server does not answer; waiting work goes on when it does");
            while !answers(&client).await {
                tokio::time::sleep(PAUSE).await;
            }
            info!("API server answers");
            back();
        }
    }
}

/// Whether `error` says that the request never got an answer of substance, so that asking again later may help every waiting key.
pub fn is_out_of_reach(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 502..=504),
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

async fn answers(client: &Client) -> bool {
    match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
        Ok(Ok(_)) => true,
        // Refused or not understood is an answer all the same.
        Ok(Err(error)) => !is_out_of_reach(&error),
        Err(_) => false,
    }
}
