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
        let numbers = [
            (RECORDED_NFS_PORT, share.nfs_port),
            (RECORDED_MOUNT_PORT, share.mount_port),
        ];
        annotations.insert(RECORDED_SHARE.into(), share.root.path().into());
        annotations.extend(
            numbers
                .into_iter()
                .filter_map(|(key, port)| Some((key.to_owned(), port?.to_string()))),
        );
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::claim::{self, ClaimPlan};
    use crate::plan::facts::{Standing, Volume};
    use crate::plan::mk::{
        OURS, SERVER, mk_claim, mk_class, mk_class_of, mk_object, mk_served, mk_surroundings,
    };
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use serde_json::{Value, json};

    fn mk_volume_for(claim: &Claim, class: &Class, finalizer: bool) -> PersistentVolume {
        let served = mk_served(&[]);
        let around = mk_surroundings(&served, Some(class));
        let ClaimPlan::Provision(provision) = claim::decide(claim, &around) else {
            panic!("no volume for {claim:?}")
        };
        let Standing::Wanting(request) = &claim.standing else {
            panic!("no request")
        };
        build(&Parts {
            provisioner: OURS,
            served: &served,
            claim,
            request,
            class,
            provision: &provision,
            finalizer,
        })
    }

    /// The classes of the record; see tests/golden/README.md.
    fn mk_recorded_class(name: &str) -> Class {
        mk_class_of(match name {
            "nfs-client" => {
                json!({"metadata": {"name": name}, "parameters": {"archiveOnDelete": "false"}})
            }
            "archive" => {
                json!({"metadata": {"name": name}, "parameters": {"archiveOnDelete": "true"}})
            }
            "dflt" => json!({"metadata": {"name": name}, "mountOptions": ["nfsvers=4.1", "hard"]}),
            "retaincls" => json!({"metadata": {"name": name}, "reclaimPolicy": "Retain"}),
            "labels" => {
                json!({"metadata": {"name": name}, "parameters": {"pathPattern": "x-${.PVC.labels.app}-${.PVC.name}-${.PVC.bogus}"}})
            }
            "badbool" => {
                json!({"metadata": {"name": name}, "parameters": {"archiveOnDelete": "nope"}})
            }
            other => panic!("no class {other}"),
        })
    }

    /// The claim as it was before the volume controller bound it.
    fn unbind(mut claim: Value, resource_version: &Value) -> Claim {
        claim["spec"].as_object_mut().unwrap().remove("volumeName");
        claim["metadata"]["resourceVersion"] = resource_version.clone();
        Claim::from_object(mk_object::<PersistentVolumeClaim>(claim), OURS)
    }

    #[test]
    fn volumes_are_those_that_the_go_provisioner_wrote() {
        let objects: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/golden/objects.json")).unwrap();
        let of_kind =
            |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        let mut compared = 0;
        for recorded in of_kind("PersistentVolume") {
            let reference = &recorded["spec"]["claimRef"];
            let claim = of_kind("PersistentVolumeClaim")
                .find(|claim| claim["metadata"]["uid"] == reference["uid"])
                .unwrap();
            let claim = unbind(claim.clone(), &reference["resourceVersion"]);
            let class = mk_recorded_class(recorded["spec"]["storageClassName"].as_str().unwrap());
            let ours = serde_json::to_value(mk_volume_for(&claim, &class, false)).unwrap();

            let mut spec = recorded["spec"].clone();
            // Filled in by the API server.
            spec.as_object_mut().unwrap().remove("volumeMode");
            assert_eq!(ours["spec"], spec, "{}", claim.name);
            assert_eq!(ours["metadata"]["name"], recorded["metadata"]["name"]);
            let mut annotations = ours["metadata"]["annotations"].clone();
            assert!(
                annotations
                    .as_object_mut()
                    .unwrap()
                    .remove(RECORDED_ON_DELETE)
                    .is_some()
            );
            assert_eq!(annotations, recorded["metadata"]["annotations"]);
            assert_eq!(ours["metadata"].get("finalizers"), None);
            compared += 1;
        }
        assert_eq!(compared, 6);
    }

    #[test]
    fn claims_that_the_go_provisioner_refused_are_refused_in_its_words_and_with_a_cure() {
        let objects: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/golden/objects.json")).unwrap();
        let events: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/golden/events.json")).unwrap();
        let failed = |event: &&Value| event["reason"] == "ProvisioningFailed";
        let mut refused = 0;
        for event in events.iter().filter(failed) {
            let name = &event["involvedObject"]["name"];
            let claim = objects
                .iter()
                .find(|object| {
                    object["kind"] == "PersistentVolumeClaim" && object["metadata"]["name"] == *name
                })
                .unwrap();
            let claim = unbind(claim.clone(), &json!("1"));
            let (served, class) = (mk_served(&[]), mk_recorded_class("nfs-client"));
            let around = mk_surroundings(&served, Some(&class));
            let ClaimPlan::Refuse(refusal) = claim::decide(&claim, &around) else {
                panic!("{name} is not refused")
            };
            // Its words are all there: what stands for the class at the beginning, the reason at one of the ends.
            let golden = event["message"].as_str().unwrap();
            let (head, reason) = golden.rsplit_once(": ").unwrap_or(("", golden));
            let message = refusal.message.strip_prefix(head).unwrap();
            assert!(
                message.starts_with(reason) || message.ends_with(reason),
                "{message}"
            );
            assert!(message.contains("create the claim anew"), "{message}");
            refused += 1;
        }
        assert_eq!(refused, 2);
    }

    #[test]
    fn finalizer_is_put_on_only_where_it_can_be_taken_off() {
        let (claim, class) = (mk_claim(json!({})), mk_class(&[]));
        assert_eq!(
            mk_volume_for(&claim, &class, true)
                .metadata
                .finalizers
                .as_deref(),
            Some(&[FINALIZER.to_owned()][..])
        );
        assert_eq!(
            mk_volume_for(&claim, &class, false).metadata.finalizers,
            None
        );
    }

    #[test]
    fn policy_and_other_share_are_recorded_and_read_again() {
        let claim = mk_claim(json!({}));
        let class = mk_class(&[
            ("server", SERVER),
            ("share", "/srv"),
            ("nfsPort", "2050"),
            ("archiveOnDelete", "false"),
        ]);
        let volume = Volume::from_object(mk_volume_for(&claim, &class, true), OURS);
        assert_eq!(volume.recorded.disposal, Some(class.params.disposal()));
        assert_eq!(volume.recorded.share.as_deref(), Some("/srv"));
        assert_eq!(
            (volume.recorded.nfs_port, volume.recorded.mount_port),
            (Some(2050), None)
        );
        assert!(volume.ours && volume.finalizer);

        let plain = Volume::from_object(mk_volume_for(&claim, &mk_class(&[]), false), OURS);
        assert_eq!(
            (plain.recorded.share, plain.recorded.nfs_port),
            (None, None)
        );
    }

    #[test]
    fn a_share_at_the_servers_root_gives_paths_with_one_slash() {
        let class = mk_class(&[("share", "/"), ("pathPattern", "d")]);
        let volume = mk_volume_for(&mk_claim(json!({})), &class, false);
        assert_eq!(volume.spec.unwrap().nfs.unwrap().path, "/d");
    }
}
