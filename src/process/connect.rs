//! The way to the API server: the kubeconfig where one is named, else the pod's service account.

use std::time::Duration;

use http::HeaderName;
use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::util::AndThenLayer;

use super::RunError;
use crate::config::Config;
use crate::controller::retry_after;
use crate::telemetry::metrics::Metrics;

/// A connection on which nothing arrives for so long is taken for dead. Each watch brings a bookmark every minute, and all other requests
/// have shorter deadlines of their own.
const SILENCE: Duration = Duration::from_secs(150);

/// A client whose requests are counted, and bear the identity of this process. It repeats none by itself. No request is made yet.
///
/// # Errors
/// [`RunError::Kubeconfig`].
pub(super) async fn connect(
    config: &Config,
    identity: &str,
    metrics: &Metrics,
) -> Result<Client, RunError> {
    let mut kube = match &config.kubeconfig {
        Some(file) => {
            let file =
                Kubeconfig::read_from(file).map_err(|error| RunError::Kubeconfig(error.into()))?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|error| RunError::Kubeconfig(error.into()))?
        }
        None => kube::Config::incluster().map_err(|error| RunError::Kubeconfig(error.into()))?,
    };
    kube.headers.extend(user_agent(identity));
    kube.read_timeout = Some(SILENCE);
    // Its pauses double up to minutes, without a word, and a watch that sleeps sees no claim.
    kube.default_retry = false;
    let builder =
        ClientBuilder::try_from(kube).map_err(|error| RunError::Kubeconfig(error.into()))?;
    Ok(builder
        .with_layer(&metrics.api_layer())
        .with_layer(&AndThenLayer::new(retry_after::noted))
        .build())
}

/// Program, version, and which process it is: so that the API server's audit log tells a leader from the one before it.
fn user_agent(identity: &str) -> Option<(HeaderName, HeaderValue)> {
    let agent = format!(
        "{}/{} ({identity})",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION")
    );
    Some((USER_AGENT, HeaderValue::from_str(&agent).ok()?))
}
