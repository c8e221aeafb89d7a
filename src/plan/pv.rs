//! The PersistentVolume of a claim: to the field what the Go provisioner writes, and beside it what we will want to know when it goes.

use crate::plan::claim::Provision;
use crate::plan::facts::{
    Claim, Class, FINALIZER, PROVISIONED_BY, RECORDED_MOUNT_PORT, RECORDED_NFS_PORT,
    RECORDED_ON_DELETE, RECORDED_SHARE, Request,
};
use crate::plan::shares::Served;
use k8s_openapi::api::core::v1::{
    NFSVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// What a volume is built from.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// `PROVISIONER_NAME`
    pub provisioner: &'a str,
    /// The shares; what is as for the default one is not recorded.
    pub served: &'a Served,
    /// The claim.
    pub claim: &'a Claim,
    /// What it asked for.
    pub request: &'a Request,
    /// Its class.
    pub class: &'a Class,
    /// What was decided.
    pub provision: &'a Provision,
    /// Whether we are allowed to take [`FINALIZER`] off again.
    pub finalizer: bool,
}

/// The object to create.
pub fn build(parts: &Parts<'_>) -> PersistentVolume {
    let Parts {
        claim,
        request,
        class,
        provision,
        ..
    } = *parts;
    let place = provision.share.place(&provision.dir);
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(provision.volume.clone()),
            annotations: Some(annotations(parts)),
            finalizers: parts.finalizer.then(|| vec![FINALIZER.into()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: Some(request.access_modes.clone()),
            capacity: Some(BTreeMap::from([(
                "storage".into(),
                Quantity(request.storage.clone()),
            )])),
            claim_ref: Some(claim_ref(claim, request)),
            mount_options: (!class.mount_options.is_empty()).then(|| class.mount_options.clone()),
            nfs: Some(NFSVolumeSource {
                server: place.server().into(),
                path: place.path().into(),
                read_only: None,
            }),
            persistent_volume_reclaim_policy: Some(class.reclaim_policy.to_string()),
            // As the claim named it: under this name it is looked for again.
            storage_class_name: request.class.as_deref().map(Into::into),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn claim_ref(claim: &Claim, request: &Request) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        namespace: Some(claim.namespace.to_string()),
        name: Some(claim.name.to_string()),
        uid: Some(claim.uid.to_string()),
        resource_version: Some(request.resource_version.to_string()),
        ..ObjectReference::default()
    }
}

fn annotations(parts: &Parts<'_>) -> BTreeMap<String, String> {
    let (share, default) = (&parts.provision.share, parts.served.default_share());
    let mut annotations = BTreeMap::from([
        (PROVISIONED_BY.to_owned(), parts.provisioner.to_owned()),
        (
            RECORDED_ON_DELETE.to_owned(),
            parts.class.params.disposal().record(),
        ),
    ]);
    if share != default {
        let ports = [
            (RECORDED_NFS_PORT, share.nfs_port),
            (RECORDED_MOUNT_PORT, share.mount_port),
        ];
        annotations.insert(RECORDED_SHARE.into(), share.root.path().into());
        annotations.extend(
            ports
                .into_iter()
                .filter_map(|(key, port)| Some((key.to_owned(), port?.to_string()))),
        );
    }
    annotations
}
