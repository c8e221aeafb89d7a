//! The core/v1 Event object: its name, its text, its counts.
//!
//! The shape is the one that client-go's recorder writes, so that tools which know the Go provisioner's events know these.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event as CoreEvent, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde_json::json;

use super::{Event, Kind};

/// The API server's own bound on `note` of the newer events API; `kubectl describe` shows it whole.
const TEXT: usize = 1024;
/// A name is a DNS subdomain.
const NAME: usize = 253;
const CUT: &str = "…";

/// `OBJ.HEX` as client-go names events, HEX being nanoseconds since 1970. An object's name that leaves no room for the
/// number is cut (client-go's event would be refused).
pub(super) fn name(regarding: &str, nanoseconds: u64) -> String {
    let stamp = format!(".{nanoseconds:x}");
    let room = NAME.saturating_sub(stamp.len());
    let head = cut(regarding, room).trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{head}{stamp}")
}

/// `text` in at most 1,024 bytes, with an ellipsis where something was left out.
pub(super) fn bounded(text: String) -> String {
    if text.len() <= TEXT {
        return text;
    }
    format!("{}{CUT}", cut(&text, TEXT - CUT.len()))
}

/// Where the event of an object in `namespace` is kept.
pub(super) fn namespace(namespace: &str) -> &str {
    if namespace.is_empty() {
        "default"
    } else {
        namespace
    }
}

/// The object to create.
pub(super) fn core_event(
    event: &Event,
    name: &str,
    component: &str,
    count: u32,
    first: Timestamp,
    last: Timestamp,
) -> CoreEvent {
    let regarding = &event.regarding;
    CoreEvent {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace(&regarding.namespace).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: some(regarding.api_version),
            kind: some(regarding.kind),
            namespace: some(&regarding.namespace),
            name: some(&regarding.name),
            uid: some(&regarding.uid),
            resource_version: some(&regarding.resource_version),
            field_path: None,
        },
        reason: some(event.reason),
        message: some(&event.message),
        type_: some(match event.kind {
            Kind::Normal => "Normal",
            Kind::Warning => "Warning",
        }),
        source: Some(EventSource {
            component: some(component),
            host: None,
        }),
        first_timestamp: Some(Time(first)),
        last_timestamp: Some(Time(last)),
        count: Some(saturated(count)),
        ..CoreEvent::default()
    }
}

/// The merge patch that counts a repeat.
pub(super) fn recount(count: u32, last: Timestamp) -> serde_json::Value {
    json!({ "count": saturated(count), "lastTimestamp": Time(last) })
}

fn saturated(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::events::Regarding;

    fn mk_event() -> Event {
        Event {
            regarding: Regarding {
                api_version: "v1",
                kind: "PersistentVolumeClaim",
                namespace: "default".into(),
                name: "arch".into(),
                uid: "c3c1d47e-c23a-4f68-a23f-8314532a4f75".into(),
                resource_version: "246".into(),
            },
            kind: Kind::Normal,
            reason: "Provisioning",
            message: "External provisioner is provisioning volume for claim \"default/arch\""
                .into(),
        }
    }

    #[test]
    fn an_event_is_the_one_that_the_go_provisioner_wrote() {
        let at: Timestamp = "2026-11-22T14:03:27Z".parse().unwrap();
        let component =
            "k8s-sigs.io/nfs-subdir-external-provisioner_vm_96b14afd-4577-4a06-b991-6d6cc83b4591";
        let ours = core_event(&mk_event(), "arch.18ea62f561db660b", component, 1, at, at);
        // From a recording of the Go provisioner; what the API server fills in (metadata's times, the empty reporting fields) left out.
        let theirs = json!({
            "apiVersion": "v1", "count": 1, "firstTimestamp": "2026-11-22T14:03:27Z",
            "involvedObject": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "arch", "namespace": "default",
                "resourceVersion": "246", "uid": "c3c1d47e-c23a-4f68-a23f-8314532a4f75"},
            "kind": "Event", "lastTimestamp": "2026-11-22T14:03:27Z",
            "message": "External provisioner is provisioning volume for claim \"default/arch\"",
            "metadata": {"name": "arch.18ea62f561db660b", "namespace": "default"},
            "reason": "Provisioning",
            "source": {"component": "k8s-sigs.io/nfs-subdir-external-provisioner_vm_96b14afd-4577-4a06-b991-6d6cc83b4591"},
            "type": "Normal"
        });
        assert_eq!(serde_json::to_value(ours).unwrap(), theirs);
    }

    #[test]
    fn a_volume_s_event_is_kept_in_default_and_its_reference_has_no_namespace() {
        let mut event = mk_event();
        event.regarding.namespace.clear();
        let object = core_event(
            &event,
            "n",
            "c",
            1,
            Timestamp::UNIX_EPOCH,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(object.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(object.involved_object.namespace, None);
    }

    #[test]
    fn a_name_is_the_object_s_and_a_hexadecimal_stamp() {
        assert_eq!(name("arch", 0x18ea_62f5_61db_660b), "arch.18ea62f561db660b");
    }

    #[test]
    fn a_name_stays_a_dns_subdomain_however_long_the_object_s_is() {
        let object = format!("{}.{}", "a".repeat(235), "b".repeat(17));
        let name = name(&object, 0x18ea_62f5_61db_660b);
        assert_eq!(name, format!("{}.18ea62f561db660b", "a".repeat(235)));
        assert!(name.len() <= NAME);
    }

    #[test]
    fn text_is_cut_between_characters_and_says_so() {
        assert_eq!(bounded("x".repeat(TEXT)), "x".repeat(TEXT));
        for lead in 0..4 {
            let text = format!("{}{}", "x".repeat(lead), "ü€".repeat(400));
            let cut = bounded(text.clone());
            assert!(
                cut.len() <= TEXT && cut.len() > TEXT - 8,
                "{} bytes",
                cut.len()
            );
            assert!(text.starts_with(cut.strip_suffix(CUT).unwrap()));
        }
    }

    #[test]
    fn a_repeat_changes_the_count_and_the_time_only() {
        let at = "2026-11-22T14:04:13Z".parse().unwrap();
        assert_eq!(
            recount(2, at),
            json!({"count": 2, "lastTimestamp": "2026-11-22T14:04:13Z"})
        );
    }
}
