//! What the double can do and a real server cannot: go wrong on purpose, say what it was asked, forget its past.

use std::{pin::pin, time::Duration};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume};
use kube::{
    Api, Client, Config, Error,
    api::{DeleteParams, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::watcher::{self, Event},
};
use serde_json::json;
use testkit::api::{Fate, Fault, Options, Requests, Server, User};

/// Nothing here takes longer on a healthy machine.
const CAP: Duration = Duration::from_secs(20);

fn mk_server() -> Server {
    Server::start(Options::default()).expect("start")
}

fn mk_maps(server: &Server) -> Api<ConfigMap> {
    let mut config = Config::new(server.url().parse().expect("url"));
    // The client would hide what is tested here behind its own retries of 429, 503 and 504.
    config.default_retry = false;
    Api::default_namespaced(Client::try_from(config).expect("client"))
}

async fn mk_client_of(server: &Server, user: User) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig(user)).expect("kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("config")).expect("client")
}

fn mk_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).expect("a ConfigMap")
}

async fn create(maps: &Api<ConfigMap>, name: &str) -> Result<ConfigMap, Error> {
    maps.create(&PostParams::default(), &mk_map(name)).await
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(CAP, what).await.expect("in time")
}

fn code(result: Result<ConfigMap, Error>) -> u16 {
    match result {
        Err(Error::Api(status)) => status.code,
        Err(_) => 0,
        Ok(_) => 200,
    }
}

#[tokio::test]
async fn faults_hit_the_next_matching_requests_and_no_others() {
    let server = mk_server();
    let maps = mk_maps(&server);
    let creates = Requests::of("create", "configmaps");
    for (fault, expected) in [
        (Fault::TooManyRequests(1), 429),
        (Fault::Internal, 500),
        (Fault::Unavailable, 503),
        (Fault::Conflict, 409),
        (Fault::Cut, 0),
    ] {
        server.faults().fail(2, creates, fault);
        maps.list(&ListParams::default()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(code(create(&maps, "a").await), expected, "{fault:?}");
        }
        assert!(
            server.get("configmaps", "default", "a").is_none(),
            "{fault:?} had an effect"
        );
    }
    create(&maps, "a").await.unwrap();
}

#[tokio::test]
async fn too_many_requests_says_when_to_come_back() {
    let server = mk_server();
    server
        .faults()
        .fail(1, Requests::all(), Fault::TooManyRequests(7));
    let Err(Error::Api(status)) = create(&mk_maps(&server), "a").await else {
        panic!("no refusal");
    };
    assert_eq!(
        (status.code, status.reason.as_str()),
        (429, "TooManyRequests")
    );
    assert_eq!(status.details.unwrap().retry_after_seconds, 7);
    // kube's own retry goes by the header, and hides the refusal.
    server
        .faults()
        .fail(1, Requests::all(), Fault::TooManyRequests(1));
    let config = Config::new(server.url().parse().unwrap());
    let patient: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config).unwrap());
    soon(create(&patient, "a")).await.unwrap();
    assert_eq!(server.audit().count(0, "create", "configmaps"), 3);
}

#[tokio::test]
async fn cut_after_loses_the_answer_and_not_the_effect() {
    let server = mk_server();
    let maps = mk_maps(&server);
    server.faults().fail(1, Requests::all(), Fault::CutAfter);
    assert_eq!(code(create(&maps, "a").await), 0);
    assert!(server.get("configmaps", "default", "a").is_some());
    assert_eq!(code(create(&maps, "a").await), 409);
}

#[tokio::test]
async fn frozen_server_answers_nothing_and_acts_when_thawed() {
    let server = mk_server();
    let maps = mk_maps(&server);
    create(&maps, "a").await.unwrap();
    server.faults().freeze();
    let mark = server.audit().mark();
    let unanswered = tokio::time::timeout(Duration::from_millis(200), create(&maps, "b")).await;
    assert!(unanswered.is_err(), "the client gave up");
    assert!(server.get("configmaps", "default", "b").is_none());
    assert_eq!(server.audit().mark(), mark);
    server.faults().thaw();
    soon(server.until(|server| server.get("configmaps", "default", "b").is_some())).await;
}

#[tokio::test]
async fn stopped_server_refuses_and_comes_back_with_its_objects() {
    let server = mk_server();
    let maps = mk_maps(&server);
    create(&maps, "a").await.unwrap();
    let mut events = pin!(watcher::watcher(maps.clone(), watcher::Config::default()));
    while !matches!(soon(events.try_next()).await, Ok(Some(Event::InitDone))) {}
    let url = server.url();
    server.stop().await;
    assert_eq!(code(create(&maps, "b").await), 0);
    assert!(
        soon(events.try_next()).await.is_err(),
        "its watches are cut"
    );
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(code(create(&maps, "a").await), 409);
    create(&maps, "b").await.unwrap();
    loop {
        if let Ok(Some(Event::Apply(map))) = soon(events.try_next()).await {
            assert_eq!(
                map.metadata.name.as_deref(),
                Some("b"),
                "the watch goes on where it was"
            );
            break;
        }
    }
}

#[tokio::test]
async fn held_request_waits_at_the_moment_before_its_effect() {
    let server = mk_server();
    let maps = mk_maps(&server);
    let hold = server.faults().hold(Requests::of("create", "configmaps"));
    let asked = tokio::spawn({
        let maps = maps.clone();
        async move { create(&maps, "a").await }
    });
    soon(hold.reached(1)).await;
    assert!(server.get("configmaps", "default", "a").is_none());
    maps.list(&ListParams::default()).await.unwrap();
    hold.release();
    soon(asked).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopped_request_is_never_answered_and_takes_effect_or_not_as_told() {
    for (fate, has_effect) in [(Fate::Ignore, false), (Fate::LoseReply, true)] {
        let server = mk_server();
        let maps = mk_maps(&server);
        let exists = |name| server.get("configmaps", "default", name).is_some();
        let creates = Requests::of("create", "configmaps");
        let hold = server.faults().stop(creates, 1, fate);
        soon(create(&maps, "passes")).await.unwrap();
        let asked = tokio::spawn({
            let maps = maps.clone();
            async move { create(&maps, "stopped").await }
        });
        soon(hold.reached(1)).await;
        assert_eq!(exists("stopped"), has_effect, "{fate:?}");
        soon(maps.list(&ListParams::default())).await.unwrap();
        assert!(!asked.is_finished(), "{fate:?} was answered");
        hold.release();
        assert_eq!(code(soon(asked).await.unwrap()), 0, "{fate:?}");
        assert_eq!(exists("stopped"), has_effect, "{fate:?}, when released");
        soon(create(&maps, "later")).await.unwrap();
    }
}

#[tokio::test]
async fn watcher_that_fell_behind_a_compaction_lists_again() {
    let server = mk_server();
    let maps = mk_maps(&server);
    create(&maps, "a").await.unwrap();
    let mut events = pin!(watcher::watcher(maps.clone(), watcher::Config::default()));
    while !matches!(soon(events.try_next()).await, Ok(Some(Event::InitDone))) {}
    server.compact();
    create(&maps, "b").await.unwrap();
    let event = soon(events.try_next()).await.unwrap();
    assert!(
        matches!(event, Some(Event::Apply(_))),
        "an open watch goes on"
    );
    let lists = server.audit().count(0, "list", "configmaps");
    let opened = server.audit().count(0, "watch", "configmaps");
    server
        .faults()
        .fail(2, Requests::of("watch", "configmaps"), Fault::Unavailable);
    server.faults().cut_watches();
    assert!(soon(events.try_next()).await.is_err());
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    server.compact();
    let mut again = Vec::new();
    loop {
        match soon(events.try_next()).await {
            Ok(Some(Event::InitApply(map))) => again.extend(map.metadata.name),
            Ok(Some(Event::InitDone)) => break,
            _ => {}
        }
    }
    assert_eq!(again, ["b"]);
    assert_eq!(server.audit().count(0, "list", "configmaps"), lists + 1);
    assert!(server.audit().count(0, "watch", "configmaps") > opened + 1);
}

#[tokio::test]
async fn old_pages_and_old_lists_are_expired_by_a_compaction() {
    let server = mk_server();
    let maps = mk_maps(&server);
    for name in ["a", "b", "c"] {
        create(&maps, name).await.unwrap();
    }
    let page = maps.list(&ListParams::default().limit(1)).await.unwrap();
    let version = page.metadata.resource_version.unwrap();
    create(&maps, "d").await.unwrap();
    server.compact();
    let token = page.metadata.continue_.unwrap();
    let next = ListParams::default().limit(1).continue_token(&token);
    let exact = ListParams::default()
        .at(&version)
        .matching(kube::api::VersionMatch::Exact);
    for params in [next, exact] {
        let Err(Error::Api(status)) = maps.list(&params).await else {
            panic!("the past is gone");
        };
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    }
}

#[tokio::test]
async fn audit_log_names_what_is_created_even_where_it_was_there_already() {
    let server = mk_server();
    let maps = mk_maps(&server);
    let mark = server.audit().mark();
    assert_eq!(code(create(&maps, "a").await), 200);
    assert_eq!(code(create(&maps, "a").await), 409);
    let records = server.audit().since(mark);
    let told: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.code)).collect();
    assert_eq!(told, [("a", 201), ("a", 409)]);
}

#[tokio::test]
async fn audit_log_tells_who_asked_what_and_how_it_ended() {
    let server = mk_server();
    let client = mk_client_of(&server, User::service_account("storage", "tester")).await;
    let volumes: Api<PersistentVolume> = Api::all(client);
    let mark = server.audit().mark();
    assert!(volumes.get("x").await.is_err());
    assert!(volumes.list(&ListParams::default()).await.is_err());
    let records = server.audit().since(mark);
    let told: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r.user.as_str(),
                r.verb,
                r.resource.as_str(),
                r.name.as_str(),
                r.code,
            )
        })
        .collect();
    let user = "system:serviceaccount:storage:tester";
    assert_eq!(
        told,
        [
            (user, "get", "persistentvolumes", "x", 403),
            (user, "list", "persistentvolumes", "", 403)
        ]
    );
    assert_eq!(server.audit().forbidden(mark).len(), 2);
    assert_eq!(
        server.audit().counts(mark)[&("get", "persistentvolumes".to_owned())],
        1
    );
}

#[tokio::test]
async fn unknown_token_is_nobodys() {
    let server = mk_server();
    let mut config = Config::new(server.url().parse().unwrap());
    config.auth_info.token = Some("guess".to_owned().into());
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config).unwrap());
    assert_eq!(code(maps.get("a").await), 401);
}

#[tokio::test]
async fn applied_rules_hold_for_a_service_account() {
    let server = mk_server();
    server
        .apply_yaml(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/go-deploy/rbac.yaml"
        )))
        .unwrap();
    let user = User::service_account("default", "nfs-client-provisioner");
    let volumes: Api<PersistentVolume> = Api::all(mk_client_of(&server, user).await);
    volumes.list(&ListParams::default()).await.unwrap();
    let Err(Error::Api(status)) = volumes.get_status("x").await else {
        panic!("the rules do not name the status");
    };
    assert_eq!(status.code, 403);
}

#[tokio::test]
async fn claims_stay_as_they_are_while_the_controllers_are_off() {
    let server = Server::start(Options {
        controllers: false,
        ..Options::default()
    })
    .unwrap();
    let class = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: sc}\nprovisioner: x.io/y\n";
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {storageClassName: sc, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    server.apply_yaml(&format!("{class}---\n{claim}")).unwrap();
    let annotated = |server: &Server| {
        let claim = server
            .get("persistentvolumeclaims", "default", "c")
            .unwrap();
        claim["metadata"].get("annotations").is_some()
    };
    assert!(!annotated(&server));
    server.set_controllers(true);
    soon(server.until(annotated)).await;
}
