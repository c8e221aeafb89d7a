//! Lists: pages, selectors, versions.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use super::world::{Refusal, World, on_both, version};

async fn mk_maps(world: &World, count: usize) {
    for i in 0..count {
        let labels = json!({"parity": if i % 2 == 0 { "even" } else { "odd" }});
        let body = json!({"metadata": {"name": format!("m{i}"), "labels": labels}});
        world.post(&world.local("configmaps"), body).await.unwrap();
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    let items = list["items"].as_array().expect("items");
    let names = items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().expect("name"));
    // A real controller manager puts this one into every namespace.
    names
        .filter(|name| *name != "kube-root-ca.crt")
        .map(str::to_owned)
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn pages_show_one_moment() {
    on_both(|world| async move {
        mk_maps(&world, 5).await;
        let maps = world.local("configmaps");
        let first = world
            .get(&format!("{maps}?limit=2&labelSelector=parity"))
            .await
            .unwrap();
        assert_eq!(first["kind"], "ConfigMapList");
        assert_eq!(names(&first), set(&["m0", "m1"]));
        assert_eq!(
            first["items"][0].get("kind"),
            None,
            "items do not repeat the kind"
        );
        world
            .delete(&format!("{maps}/m3"), Value::Null)
            .await
            .unwrap();
        world
            .merge(&format!("{maps}/m4"), json!({"data": {"late": "yes"}}))
            .await
            .unwrap();
        world
            .post(
                &maps,
                json!({"metadata": {"name": "m9", "labels": {"parity": "odd"}}}),
            )
            .await
            .unwrap();
        let token = first["metadata"]["continue"].as_str().unwrap();
        let rest = world
            .get(&format!(
                "{maps}?limit=9&labelSelector=parity&continue={token}"
            ))
            .await
            .unwrap();
        assert_eq!(names(&rest), set(&["m2", "m3", "m4"]));
        assert_eq!(rest["metadata"].get("continue"), None);
        assert_eq!(
            rest["items"][2].get("data"),
            None,
            "the change is later than the list"
        );
        assert_eq!(version(&rest), version(&first));
    })
    .await;
}

#[tokio::test]
async fn kubes_client_reads_all_pages() {
    on_both(|world| async move {
        mk_maps(&world, 7).await;
        let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
        let mut params = ListParams::default().limit(3).labels("parity");
        let mut seen = BTreeSet::new();
        loop {
            let page = api.list(&params).await.unwrap();
            assert!(page.items.len() <= 3);
            seen.extend(page.items.into_iter().filter_map(|map| map.metadata.name));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        assert_eq!(seen.len(), 7);
    })
    .await;
}

#[tokio::test]
async fn selectors_narrow_a_list() {
    on_both(|world| async move {
        mk_maps(&world, 4).await;
        for (query, expected) in [
            ("labelSelector=parity%3Deven", set(&["m0", "m2"])),
            ("labelSelector=parity%21%3Deven,parity", set(&["m1", "m3"])),
            ("labelSelector=parity%20in%20(odd,none)", set(&["m1", "m3"])),
            ("fieldSelector=metadata.name%3Dm2", set(&["m2"])),
            ("fieldSelector=metadata.name%3Dm2&labelSelector=parity%3Dodd", set(&[])),
            ("fieldSelector=metadata.namespace%3Dother", set(&[])),
        ] {
            let path = world.local(&format!("configmaps?{query}"));
            let list = world.get(&path).await.unwrap();
            assert_eq!(names(&list), expected, "{query}");
        }
        let refused = world.get(&world.local("configmaps?fieldSelector=data.x%3Dy")).await.unwrap_err();
        let message = "\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
        assert_eq!(refused, Refusal::new(400, "BadRequest", message));
    })
    .await;
}

#[tokio::test]
async fn events_are_selected_by_what_they_are_about() {
    on_both(|world| async move {
        let events = world.local("events");
        for name in ["a", "b"] {
            let body = json!({
                "metadata": {"name": format!("{name}.1")}, "reason": "Tried", "type": "Warning",
                "involvedObject": {"kind": "PersistentVolumeClaim", "name": name, "namespace": world.namespace},
                "source": {"component": "tester"},
            });
            world.post(&events, body).await.unwrap();
        }
        let query = "fieldSelector=involvedObject.name%3Da,type%3DWarning,source%3Dtester,involvedObject.kind%3DPersistentVolumeClaim";
        let list = world.get(&format!("{events}?{query}")).await.unwrap();
        assert_eq!(names(&list), set(&["a.1"]));
        let refused = world.get(&format!("{events}?fieldSelector=message%3Da")).await.unwrap_err();
        assert_eq!(refused, Refusal::new(400, "BadRequest", "field label not supported: message"));
    })
    .await;
}

#[tokio::test]
async fn version_rules_of_lists_hold() {
    on_both(|world| async move {
        mk_maps(&world, 1).await;
        let maps = world.local("configmaps");
        let then = world.get(&maps).await.unwrap();
        let then = version(&then);
        world
            .delete(&format!("{maps}/m0"), Value::Null)
            .await
            .unwrap();
        let exact = format!("{maps}?resourceVersion={then}&resourceVersionMatch=Exact");
        assert_eq!(names(&world.get(&exact).await.unwrap()), set(&["m0"]));
        let at_least = format!("{maps}?resourceVersion={then}&resourceVersionMatch=NotOlderThan");
        world.get(&at_least).await.unwrap();
        for (query, code, reason) in [
            ("resourceVersion=999999999", 504, "Timeout"),
            ("resourceVersion=abc", 400, "BadRequest"),
            ("continue=bad", 400, "BadRequest"),
            ("resourceVersionMatch=Exact", 422, "Invalid"),
        ] {
            let refused = world.get(&format!("{maps}?{query}")).await.unwrap_err();
            assert_eq!(
                (refused.code, refused.reason.as_str()),
                (code, reason),
                "{query}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn collection_delete_takes_what_is_selected() {
    on_both(|world| async move {
        mk_maps(&world, 4).await;
        let maps = world.local("configmaps");
        let gone = world
            .delete(&format!("{maps}?labelSelector=parity%3Dodd"), Value::Null)
            .await
            .unwrap();
        assert_eq!(names(&gone), set(&["m1", "m3"]));
        assert_eq!(names(&world.get(&maps).await.unwrap()), set(&["m0", "m2"]));
    })
    .await;
}

#[tokio::test]
async fn metadata_alone_can_be_asked_for() {
    on_both(|world| async move {
        mk_maps(&world, 1).await;
        let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
        let list = api
            .list_metadata(&ListParams::default().labels("parity"))
            .await
            .unwrap();
        let names: Vec<_> = list
            .items
            .into_iter()
            .filter_map(|item| item.metadata.name)
            .collect();
        assert_eq!(names, ["m0"]);
    })
    .await;
}
