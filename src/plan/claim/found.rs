//! What is under the name of a claim's volume before that is made, or when its creation runs into it.

use crate::plan::facts::{Claim, Named, Volume};
use crate::plan::place::Place;
use k8s_openapi::api::core::v1::PersistentVolume;

/// A volume under the name of the one meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The one meant: an attempt whose answer was lost has made it.
    Meant,
    /// For this claim, and with its data in another place; `None` where that is no directory on an NFS server.
    Elsewhere(Option<Place>),
    /// It is being deleted, and the claim gets another one then.
    Leaving,
    /// Not for this claim, whose volume cannot have its name: `NAMESPACE/NAME` of the claim that it is for.
    Foreign(Option<Box<str>>),
}

/// There is a volume of the name, and it is not the claim's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a PersistentVolume {volume} is there already, for {holder}; this claim's volume can have no other name: delete that volume, or delete the claim and create it anew"
)]
pub struct NameTaken {
    volume: Box<str>,
    holder: String,
}

// === impl NameTaken ===

impl NameTaken {
    /// `holder`: `NAMESPACE/NAME` of the claim that the volume is for.
    pub fn new(volume: &str, holder: Option<&str>) -> Self {
        Self {
            volume: volume.into(),
            holder: holder.map_or_else(|| "no claim".to_owned(), |claim| format!("claim {claim}")),
        }
    }
}

/// Whether `volume`, which has the name of the claim's volume, is the claim's; or will not be in the way for long.
pub(super) fn is_its_own(volume: &Volume, claim: &Claim) -> bool {
    let is_for = match volume.named {
        Named::ForItsClaim => true,
        Named::ForAnyOfThatName => volume.claim.as_deref() == Some(&*claim.key()),
        Named::ForAnother => false,
    };
    is_for || volume.deleting
}

/// What `object` is to the claim for which a volume was meant to be made with its data at `meant`.
pub fn found(object: PersistentVolume, claim: &Claim, meant: &Place, provisioner: &str) -> Found {
    let spec = object.spec.as_ref();
    let holder = spec.and_then(|spec| spec.claim_ref.as_ref()?.uid.clone());
    let volume = Volume::from_object(object, provisioner);
    if volume.deleting {
        Found::Leaving
    } else if holder.as_deref() != Some(&*claim.uid) {
        Found::Foreign(volume.claim)
    } else if volume.place() == Some(meant) {
        Found::Meant
    } else {
        Found::Elsewhere(volume.place().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{OURS, SERVER, mk_claim, mk_place};
    use serde_json::{Value, json};

    fn mk_volume(uid: &str, path: &str, metadata: &Value) -> PersistentVolume {
        let object = json!({
            "metadata": metadata,
            "spec": {
                "claimRef": {"namespace": "default", "name": "data", "uid": uid},
                "nfs": {"server": SERVER, "path": path},
            },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_is_there_is_told_apart() {
        let (claim, meant) = (mk_claim(json!({})), mk_place("/data/nfs/a"));
        let gone = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let elsewhere = Found::Elsewhere(Some(mk_place("/data/nfs/b")));
        let foreign = Found::Foreign(Some("default/data".into()));
        let none = json!({});
        for (uid, path, metadata, expected) in [
            ("u1", "/data/nfs/a", &none, Found::Meant),
            ("u1", "/data/nfs/a/", &none, Found::Meant),
            ("u1", "/data/nfs/b", &none, elsewhere),
            ("u1", "/data/nfs/a", &gone, Found::Leaving),
            ("u2", "/data/nfs/a", &none, foreign),
        ] {
            let object = mk_volume(uid, path, metadata);
            let said = format!("{object:?}");
            assert_eq!(found(object, &claim, &meant, OURS), expected, "{said}");
        }
        let nobodys = PersistentVolume::default();
        assert_eq!(found(nobodys, &claim, &meant, OURS), Found::Foreign(None));
    }
}
