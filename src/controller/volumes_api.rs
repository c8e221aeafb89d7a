//! The three requests that change the cluster: create a volume, delete it, take our finalizer off it. Each can be repeated.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::access::Write;
use super::failure::Failure;
use crate::plan::facts::{FINALIZER, Volume};

/// PersistentVolumes of the cluster, to write to.
#[derive(Debug, Clone)]
pub struct VolumesApi(Api<PersistentVolume>);

/// What a creation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The volume is new.
    Created,
    /// A volume of this name is there: made by an attempt whose answer was lost.
    Existed,
}

/// Time for one request, the client's own retries of 429 and 503 included. Each can be repeated, so giving up early costs nothing but the repeat.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<kube::Result<T>, Failure> {
    tokio::time::timeout(DEADLINE, request)
        .await
        .map_err(|_| Failure::Slow {
            what,
            after: DEADLINE,
        })
}

// === impl VolumesApi ===

impl VolumesApi {
    /// Over `client`.
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }

    /// Creates `volume`; its name is its claim's UID, so one that is there already is the same.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn create(&self, volume: &PersistentVolume) -> Result<Creation, Failure> {
        let what = "create the PersistentVolume";
        match within(what, self.0.create(&PostParams::default(), volume)).await? {
            Ok(_) => Ok(Creation::Created),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Creation::Existed),
            Err(error) => Err(Failure::api(what)(error)),
        }
    }

    /// Deletes the very volume that was decided on: one made anew under the same name stays. A missing one is success.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn delete(&self, volume: &Volume) -> Result<(), Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(volume.uid.to_string()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let what = "delete the PersistentVolume";
        match within(what, self.0.delete(&volume.name, &params)).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(Failure::api(what)(error)),
        }
    }

    /// Takes our finalizer off. Reads the volume first, since the list of finalizers is not ours alone; a change in between is a conflict and
    /// the attempt is repeated.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn release(&self, volume: &Volume, how: Write) -> Result<(), Failure> {
        let what = "remove the finalizer of the PersistentVolume";
        let mut live = match within(what, self.0.get_opt(&volume.name)).await? {
            Ok(Some(live)) if live.metadata.uid.as_deref() == Some(&*volume.uid) => live,
            Ok(_) => return Ok(()),
            Err(error) => return Err(Failure::api(what)(error)),
        };
        let mut finalizers = live.metadata.finalizers.take().unwrap_or_default();
        finalizers.retain(|name| name != FINALIZER);
        let written = match how {
            Write::Patch => {
                let patch = json!({"metadata": {"resourceVersion": live.metadata.resource_version, "finalizers": finalizers}});
                let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
                within(what, self.0.patch(&volume.name, &params, &patch)).await?
            }
            Write::Update => {
                live.metadata.finalizers = Some(finalizers);
                let params = PostParams::default();
                within(what, self.0.replace(&volume.name, &params, &live)).await?
            }
        };
        match written {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Failure::api(what)(error)),
        }
    }
}
