//! The kinds of PATCH.

use serde_json::json;

use super::world::{Refusal, on_both};

#[tokio::test]
async fn each_kind_of_patch_does_its_own() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        let body = json!({"metadata": {"name": "a", "finalizers": ["x.io/a"]}, "data": {"k": "v", "l": "w"}});
        world.post(&maps, body).await.unwrap();

        let merged = world.merge(&map, json!({"data": {"k": null, "m": "x"}})).await.unwrap();
        assert_eq!(merged["data"], json!({"l": "w", "m": "x"}));

        let replaced = world.merge(&map, json!({"metadata": {"finalizers": ["x.io/b"]}})).await.unwrap();
        assert_eq!(replaced["metadata"]["finalizers"], json!(["x.io/b"]));

        let finalizers = json!({"metadata": {"finalizers": ["x.io/c"]}});
        let united = world.patch(&map, "strategic-merge", finalizers).await.unwrap();
        let mut held: Vec<_> = united["metadata"]["finalizers"].as_array().unwrap().clone();
        held.sort_by_key(ToString::to_string);
        assert_eq!(held, [json!("x.io/b"), json!("x.io/c")], "strategic merge unites this list");

        let gone = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/b", "x.io/c"]}});
        let none = world.patch(&map, "strategic-merge", gone).await.unwrap();
        assert_eq!(none["metadata"].get("finalizers"), None);

        let steps = json!([
            {"op": "test", "path": "/data/l", "value": "w"},
            {"op": "replace", "path": "/data/l", "value": "y"},
            {"op": "add", "path": "/metadata/annotations", "value": {"x.io/n": "1"}},
        ]);
        let stepped = world.patch(&map, "json", steps).await.unwrap();
        assert_eq!(stepped["data"]["l"], "y");
        assert_eq!(stepped["metadata"]["annotations"]["x.io/n"], "1");
    })
    .await;
}

#[tokio::test]
async fn patch_that_does_not_fit_is_refused() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        world
            .post(
                &maps,
                json!({"metadata": {"name": "a"}, "data": {"k": "v"}}),
            )
            .await
            .unwrap();
        let unfit = "the server rejected our request due to an error in our request";
        let wrong = json!([{"op": "test", "path": "/data/k", "value": "w"}]);
        let missing = json!([{"op": "remove", "path": "/data/none"}]);
        for patch in [wrong, missing] {
            let refused = world.patch(&map, "json", patch).await.unwrap_err();
            assert_eq!(refused, Refusal::new(422, "Invalid", unfit));
        }
        let refused = world
            .patch(&map, "json", json!({"op": "remove"}))
            .await
            .unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
        let refused = world
            .merge(&map, json!({"metadata": {"name": "b"}}))
            .await
            .unwrap_err();
        let message = "the name of the object (b) does not match the name on the URL (a)";
        assert_eq!(refused, Refusal::new(400, "BadRequest", message));
        let refused = world
            .call("PATCH", &map, "application/json", b"{}")
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (415, "UnsupportedMediaType")
        );
        let refused = world
            .merge(&map, json!({"data": {"k": 5}}))
            .await
            .unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    })
    .await;
}

#[tokio::test]
async fn apply_creates_and_then_merges() {
    on_both(|world| async move {
        let map = world.local("configmaps/a");
        let apply = |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {data}\n");
        let owned = format!("{map}?fieldManager=tester");
        let kind = "application/apply-patch+yaml";
        let made = world.call("PATCH", &owned, kind, apply("{k: v}").as_bytes()).await.unwrap();
        assert_eq!(made["data"], json!({"k": "v"}));
        let merged = world.call("PATCH", &owned, kind, apply("{k: w, l: x}").as_bytes()).await.unwrap();
        assert_eq!(merged["data"], json!({"k": "w", "l": "x"}));
        let refused = world.call("PATCH", &map, kind, apply("{}").as_bytes()).await.unwrap_err();
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        assert_eq!(refused, Refusal::new(422, "Invalid", message));
    })
    .await;
}
