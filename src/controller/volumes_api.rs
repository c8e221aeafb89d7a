//! The three requests that change the cluster: create a volume, delete it, take our finalizer off it. Each can be repeated. And the one that makes sure
//! before anything is taken away.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use super::access::Write;
use super::failure::Failure;
use super::retry_after;
use crate::plan::facts::{FINALIZER, Volume};

/// PersistentVolumes of the cluster, to write to.
#[derive(Debug, Clone)]
pub struct VolumesApi(Api<PersistentVolume>);

/// What a creation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The volume is new.
    Created,
    /// A volume of this name is there: most often made by an attempt whose answer was lost.
    Existed,
}

/// Time for one request, and for its repeats where the API server asks for patience. Each can be repeated, so giving up early costs nothing but the repeat.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long an attempt waits in all because the API server asks for it: it keeps its place meanwhile, so that no more requests come than before. Who is
/// asked for more gives up, and comes back when it is time.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often somebody else may be quicker before an attempt fails.
const CONFLICTS: usize = 10;

async fn within<T, R>(
    what: &'static str,
    mut request: impl FnMut() -> R,
) -> Result<kube::Result<T>, Failure>
where
    R: Future<Output = kube::Result<T>>,
{
    let patient = async {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = request().await;
            match answer.as_ref().err().and_then(retry_after::of) {
                Some(pause) if Instant::now() + pause <= end => {
                    debug!(?pause, what, "API server asks for patience");
                    // Not all at the same moment.
                    tokio::time::sleep(pause.mul_f64(1.0 + 0.2 * fastrand::f64())).await;
                }
                _ => return answer,
            }
        }
    };
    tokio::time::timeout(DEADLINE, patient)
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

    /// Creates `volume`, unless one of its name is there.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn create(&self, volume: &PersistentVolume) -> Result<Creation, Failure> {
        let (what, params) = ("create the PersistentVolume", PostParams::default());
        match within(what, || self.0.create(&params, volume)).await? {
            Ok(_) => Ok(Creation::Created),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Creation::Existed),
            Err(error) => Err(Failure::api(what)(error)),
        }
    }

    /// The volume as it is now, not as a watch or a cache had it; `None` where it is gone.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn read(&self, name: &str) -> Result<Option<PersistentVolume>, Failure> {
        let what = "read the PersistentVolume";
        within(what, || self.0.get_opt(name))
            .await?
            .map_err(Failure::api(what))
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
        match within(what, || self.0.delete(&volume.name, &params)).await? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(Failure::api(what)(error)),
        }
    }

    /// Takes our finalizer off. Reads the volume first, since the list of finalizers is not ours alone. A change in between is the rule: Kubernetes takes its
    /// own finalizer off at the same moment. Then it is read again, and each time somebody has got further.
    ///
    /// # Errors
    /// [`Failure::Api`] and [`Failure::Slow`].
    pub async fn release(&self, volume: &Volume, how: Write) -> Result<(), Failure> {
        let mut conflicts = 0;
        loop {
            let what = "remove the finalizer of the PersistentVolume";
            let live = match within(what, || self.0.get_opt(&volume.name)).await? {
                Ok(Some(live)) if live.metadata.uid.as_deref() == Some(&*volume.uid) => live,
                Ok(_) => return Ok(()),
                Err(error) => return Err(Failure::api(what)(error)),
            };
            match within(what, || Box::pin(self.write_released(live.clone(), how))).await? {
                Ok(()) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 && conflicts < CONFLICTS => {
                    conflicts += 1;
                }
                Err(error) => return Err(Failure::api(what)(error)),
            }
        }
    }

    /// Without our finalizer, if the volume is still what was read.
    async fn write_released(&self, mut live: PersistentVolume, how: Write) -> kube::Result<()> {
        let name = live.metadata.name.clone().unwrap_or_default();
        let mut finalizers = live.metadata.finalizers.take().unwrap_or_default();
        finalizers.retain(|name| name != FINALIZER);
        match how {
            Write::Patch => {
                let patch = json!({"metadata": {"resourceVersion": live.metadata.resource_version, "finalizers": finalizers}});
                let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
                self.0.patch(&name, &params, &patch).await.map(drop)
            }
            Write::Update => {
                live.metadata.finalizers = Some(finalizers);
                let params = PostParams::default();
                self.0.replace(&name, &params, &live).await.map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, StatusCode};
    use serde_json::Value;

    use super::*;
    use crate::controller::double::{self, Log, mk_client};

    /// An API server on which somebody else changes the volume so often between our look and our write.
    fn mk_api(changes: usize) -> (VolumesApi, Log) {
        let seen = Arc::new(AtomicUsize::new(0));
        let (client, log) = mk_client(move |asked| {
            let seen = seen.clone();
            async move {
                let live = json!({"apiVersion": "v1", "kind": "PersistentVolume",
                    "metadata": {"name": "pvc-1", "uid": UID, "resourceVersion": "7", "finalizers": [FINALIZER, "another"]}});
                match asked.method {
                    Method::GET => (StatusCode::OK, live),
                    _ if seen.fetch_add(1, Ordering::Relaxed) < changes => {
                        double::status(StatusCode::CONFLICT, "Conflict")
                    }
                    _ => (StatusCode::OK, live),
                }
            }
        });
        (VolumesApi::new(client), log)
    }

    const UID: &str = "uid-1";

    fn mk_mine() -> Volume {
        let object = json!({"metadata": {"name": "pvc-1", "uid": UID}});
        Volume::from_object(serde_json::from_value(object).unwrap(), "ours")
    }

    #[tokio::test]
    async fn a_volume_that_others_change_meanwhile_is_looked_at_again() {
        for how in [Write::Patch, Write::Update] {
            let (api, log) = mk_api(2);
            api.release(&mk_mine(), how).await.unwrap();
            let asked = log.all();
            assert_eq!(asked.len(), 6, "three looks and three writes");
            let written: Vec<&Value> = asked
                .iter()
                .filter(|asked| asked.method != Method::GET)
                .map(|asked| &asked.body["metadata"])
                .collect();
            for metadata in written {
                assert_eq!(metadata["finalizers"], json!(["another"]));
                assert_eq!(metadata["resourceVersion"], "7");
            }
        }
    }

    #[tokio::test]
    async fn one_that_never_rests_is_a_failure_in_the_end() {
        let (api, log) = mk_api(usize::MAX);
        let failure = api.release(&mk_mine(), Write::Patch).await.unwrap_err();
        assert!(failure.message().contains("Conflict"), "{failure:?}");
        assert_eq!(log.all().len(), 2 * (CONFLICTS + 1));
    }
}
