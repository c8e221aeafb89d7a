//! Watches, raw and through kube's watcher.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::WatchEvent,
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};

use super::world::{on_both, version};

/// `WORD NAME` of an event, and the version at which it happened.
fn told(event: WatchEvent<Value>) -> (String, String) {
    let (word, object) = match event {
        WatchEvent::Added(object) => ("ADDED", object),
        WatchEvent::Modified(object) => ("MODIFIED", object),
        WatchEvent::Deleted(object) => ("DELETED", object),
        WatchEvent::Bookmark(_) => return ("BOOKMARK".to_owned(), String::new()),
        WatchEvent::Error(status) => return (format!("ERROR {}", status.code), String::new()),
    };
    let name = object["metadata"]["name"].as_str().expect("name");
    (format!("{word} {name}"), version(&object).to_owned())
}

#[tokio::test]
async fn watch_tells_each_change_after_its_version() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let labels = json!({"mine": "yes"});
        world
            .post(&maps, json!({"metadata": {"name": "a", "labels": labels}}))
            .await
            .unwrap();
        let list = world.get(&maps).await.unwrap();
        let path = format!(
            "{maps}?watch=1&labelSelector=mine&resourceVersion={}",
            version(&list)
        );
        let mut events = world.watch(&path).await;
        let made = world
            .post(&maps, json!({"metadata": {"name": "b", "labels": labels}}))
            .await
            .unwrap();
        let changed = world
            .merge(&format!("{maps}/a"), json!({"data": {"k": "v"}}))
            .await
            .unwrap();
        world
            .delete(&format!("{maps}/a"), Value::Null)
            .await
            .unwrap();
        let mut next = async || told(events.next().await.expect("an event"));
        assert_eq!(
            next().await,
            ("ADDED b".to_owned(), version(&made).to_owned())
        );
        assert_eq!(
            next().await,
            ("MODIFIED a".to_owned(), version(&changed).to_owned())
        );
        let (word, at) = next().await;
        assert_eq!(word, "DELETED a");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert!(
            number(&at) > number(version(&changed)),
            "a deletion has a version of its own"
        );
    })
    .await;
}

/// So that a watch of what seldom changes can be resumed from where the rest of the cluster is. A real server sends one two seconds before the end.
#[tokio::test]
async fn a_bookmark_tells_how_far_a_quiet_watch_has_come() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let list = world.get(&maps).await.unwrap();
        let path = format!(
            "{maps}?watch=1&allowWatchBookmarks=true&timeoutSeconds=8&labelSelector=mine&resourceVersion={}",
            version(&list)
        );
        let events = world.watch(&path).await;
        let unseen = world
            .post(&maps, json!({"metadata": {"name": "a"}}))
            .await
            .unwrap();
        let events: Vec<_> = events.collect().await;
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let mut reached = 0;
        for event in events {
            let WatchEvent::Bookmark(bookmark) = event else {
                panic!("nothing that matches was made: {event:?}");
            };
            reached = number(&bookmark.metadata.resource_version);
        }
        assert!(reached >= number(version(&unseen)), "{reached}");
    })
    .await;
}

#[tokio::test]
async fn object_that_leaves_the_selection_is_deleted_to_the_watcher() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        world
            .post(&maps, json!({"metadata": {"name": "a"}}))
            .await
            .unwrap();
        let list = world.get(&maps).await.unwrap();
        let path = format!(
            "{maps}?watch=1&labelSelector=mine&resourceVersion={}",
            version(&list)
        );
        let mut events = world.watch(&path).await;
        let map = format!("{maps}/a");
        for labels in [
            json!({"mine": "1"}),
            json!({"mine": "2"}),
            json!({"mine": null}),
        ] {
            world
                .merge(&map, json!({"metadata": {"labels": labels}}))
                .await
                .unwrap();
        }
        for expected in ["ADDED a", "MODIFIED a", "DELETED a"] {
            assert_eq!(told(events.next().await.unwrap()).0, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn watch_without_a_version_begins_with_what_is_there() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        for name in ["a", "b"] {
            world
                .post(
                    &maps,
                    json!({"metadata": {"name": name, "labels": {"mine": "1"}}}),
                )
                .await
                .unwrap();
        }
        let events = world
            .watch(&format!(
                "{maps}?watch=1&labelSelector=mine&timeoutSeconds=1"
            ))
            .await;
        let words: Vec<_> = events.map(|event| told(event).0).collect().await;
        assert_eq!(words, ["ADDED a", "ADDED b"], "and its timeout ends it");
    })
    .await;
}

#[tokio::test]
async fn deletion_with_finalizers_is_told_step_by_step() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        let body =
            json!({"metadata": {"name": "a", "labels": {"mine": "1"}, "finalizers": ["x.io/f"]}});
        world.post(&maps, body).await.unwrap();
        let mut events = world
            .watch(&format!("{maps}?watch=1&labelSelector=mine"))
            .await;
        world.delete(&map, Value::Null).await.unwrap();
        world
            .merge(&map, json!({"metadata": {"finalizers": null}}))
            .await
            .unwrap();
        for expected in ["ADDED a", "MODIFIED a", "DELETED a"] {
            assert_eq!(told(events.next().await.unwrap()).0, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn streamed_list_ends_with_a_marked_bookmark() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        world.post(&maps, json!({"metadata": {"name": "a", "labels": {"mine": "1"}}})).await.unwrap();
        let query = "watch=1&labelSelector=mine&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
        let mut events = world.watch(&format!("{maps}?{query}")).await;
        assert_eq!(told(events.next().await.unwrap()).0, "ADDED a");
        let Some(WatchEvent::Bookmark(mark)) = events.next().await else {
            panic!("no bookmark after the initial objects");
        };
        assert_eq!(mark.metadata.annotations["k8s.io/initial-events-end"], "true");
        let refused = world.get(&format!("{maps}?watch=1&sendInitialEvents=true")).await.unwrap_err();
        let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        assert_eq!(refused.message, message);
    })
    .await;
}

#[tokio::test]
async fn kubes_watcher_follows_by_either_strategy() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
        let config = watcher::Config::default().labels("mine").page_size(2);
        for (round, config) in [config.clone(), config.streaming_lists()]
            .into_iter()
            .enumerate()
        {
            let names: Vec<_> = (0..5).map(|i| format!("m{round}{i}")).collect();
            for name in &names {
                world
                    .post(
                        &maps,
                        json!({"metadata": {"name": name, "labels": {"mine": "1"}}}),
                    )
                    .await
                    .unwrap();
            }
            let mut events = pin!(watcher::watcher(api.clone(), config));
            let mut seen = Vec::new();
            loop {
                match events.try_next().await.unwrap().unwrap() {
                    Event::InitApply(map) => seen.extend(map.metadata.name),
                    Event::InitDone => break,
                    Event::Init => {}
                    other => panic!("{other:?} before the list was done"),
                }
            }
            assert_eq!(seen, names);
            for name in &names {
                world
                    .delete(&format!("{maps}/{name}"), Value::Null)
                    .await
                    .unwrap();
                let event = events.try_next().await.unwrap().unwrap();
                assert!(
                    matches!(event, Event::Delete(map) if map.metadata.name.as_ref() == Some(name))
                );
            }
        }
    })
    .await;
}
