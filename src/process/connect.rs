//! The way to the API server: the kubeconfig where one is named, else the pod's service account.

use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::RunError;
use crate::config::Config;
use crate::telemetry::metrics::Metrics;

/// A client whose requests are counted. No request is made yet.
///
/// # Errors
/// [`RunError::Kubeconfig`].
pub(super) async fn connect(config: &Config, metrics: &Metrics) -> Result<Client, RunError> {
    let kube = match &config.kubeconfig {
        Some(file) => {
            let file =
                Kubeconfig::read_from(file).map_err(|error| RunError::Kubeconfig(error.into()))?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|error| RunError::Kubeconfig(error.into()))?
        }
        None => kube::Config::incluster().map_err(|error| RunError::Kubeconfig(error.into()))?,
    };
    let builder =
        ClientBuilder::try_from(kube).map_err(|error| RunError::Kubeconfig(error.into()))?;
    Ok(builder.with_layer(&metrics.api_layer()).build())
}
