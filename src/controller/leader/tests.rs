use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{term::Reign, *};
use crate::{
    controller::{
        double::{self, Asked, Log, mk_client},
        events,
    },
    plan::lock::{ANNOTATION, Record},
};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
const ENDPOINTS: &str = "/api/v1/namespaces/ns/endpoints";
const SECOND: Duration = Duration::from_secs(1);

/// An API server that holds what has a name, and can be frozen.
#[derive(Clone)]
struct Server {
    objects: Arc<Mutex<(u64, HashMap<String, Value>)>>,
    frozen: watch::Sender<bool>,
}

impl Server {
    fn new() -> Self {
        Self {
            objects: Arc::default(),
            frozen: watch::channel(false).0,
        }
    }

    fn client(&self) -> (Client, Log) {
        let server = self.clone();
        mk_client(move |asked| {
            let server = server.clone();
            async move {
                server
                    .frozen
                    .subscribe()
                    .wait_for(|frozen| !frozen)
                    .await
                    .unwrap();
                server.answer(asked)
            }
        })
    }

    fn answer(&self, asked: Asked) -> (StatusCode, Value) {
        let (version, objects) = &mut *self.objects.lock().unwrap();
        let mut body = asked.body;
        let path = match body["metadata"]["name"].as_str() {
            Some(name) if asked.method == Method::POST => format!("{}/{name}", asked.path),
            _ => asked.path,
        };
        let known = objects.get(&path);
        match asked.method {
            Method::GET => {
                return known.map_or_else(
                    || double::status(StatusCode::NOT_FOUND, "NotFound"),
                    |found| (StatusCode::OK, found.clone()),
                );
            }
            Method::POST if known.is_some() => {
                return double::status(StatusCode::CONFLICT, "AlreadyExists");
            }
            Method::PUT if known.is_none() => {
                return double::status(StatusCode::NOT_FOUND, "NotFound");
            }
            Method::PUT
                if known.unwrap()["metadata"]["resourceVersion"]
                    != body["metadata"]["resourceVersion"] =>
            {
                return double::status(StatusCode::CONFLICT, "Conflict");
            }
            _ => {}
        }
        *version += 1;
        body["metadata"]["resourceVersion"] = version.to_string().into();
        body["metadata"]["uid"] = "uid".into();
        objects.insert(path, body.clone());
        (StatusCode::OK, body)
    }

    fn get(&self, path: &str) -> Value {
        let name = format!("{path}/lock");
        self.objects
            .lock()
            .unwrap()
            .1
            .get(&name)
            .cloned()
            .unwrap_or_default()
    }

    fn lease_holder(&self) -> String {
        self.get(LEASE)["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    }

    fn endpoints_record(&self) -> Record {
        Record::from_annotation(
            self.get(ENDPOINTS)["metadata"]["annotations"][ANNOTATION]
                .as_str()
                .unwrap(),
        )
    }

    /// Writes the Endpoints object as a Go provisioner does.
    fn go_holds(&self, holder: &str) {
        // The real clock stands still here; a stamp that changes is what shows a renewal.
        let renewals = i64::try_from(self.objects.lock().unwrap().0).unwrap();
        let now = Timestamp::from_second(1_800_000_000 + renewals).unwrap();
        let record = Record {
            holder_identity: holder.into(),
            lease_duration_seconds: 15,
            acquire_time: Some(now),
            renew_time: Some(now),
            leader_transitions: 0,
        };
        let known = self.get(ENDPOINTS)["metadata"]["resourceVersion"].clone();
        let body = json!({"metadata": {"name": "lock", "namespace": "ns", "resourceVersion": known, "annotations": {ANNOTATION: record.to_annotation()}}});
        let asked = match known {
            Value::Null => Asked {
                method: Method::POST,
                path: ENDPOINTS.into(),
                body,
            },
            _ => Asked {
                method: Method::PUT,
                path: format!("{ENDPOINTS}/lock"),
                body,
            },
        };
        let (status, _) = self.answer(asked);
        assert_eq!(status, StatusCode::OK);
    }
}

struct Running {
    leadership: Leadership,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    log: Log,
    health: Health,
    events: events::Counts,
    handle: Events,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        timeout(10 * SECOND, self.task).await.unwrap().unwrap();
    }

    async fn leads_within(&mut self, most: Duration) -> Option<(Term, Duration)> {
        let begun = Instant::now();
        let term = timeout(most, self.leadership.term()).await.ok()??;
        Some((term, begun.elapsed()))
    }
}

fn go() -> Access {
    Access::of_go()
}

fn leases() -> Access {
    Access {
        leases: true,
        ..Access::of_go()
    }
}

fn mk_leader(server: &Server, identity: &str, access: Access) -> Running {
    let (client, log) = server.client();
    let (handle, writer) = Events::new(client.clone(), "component", events::Options::default());
    drop(writer);
    let setup = Setup {
        at: LockAt {
            namespace: "ns".into(),
            name: "lock".into(),
        },
        identity: identity.into(),
        terms: Terms::default(),
    };
    let (leader, leadership) = Leader::new(client, setup, handle.clone());
    let stop = CancellationToken::new();
    let (health, until) = (Health::default(), stop.clone());
    let task = tokio::spawn({
        let health = health.clone();
        async move { leader.run(access, &health, until).await }
    });
    Running {
        leadership,
        stop,
        task,
        log,
        health,
        events: handle.counts(),
        handle,
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lock_is_taken_at_once_and_given_back_at_the_end() {
    for (access, path) in [(leases(), LEASE), (go(), ENDPOINTS)] {
        let server = Server::new();
        let mut a = mk_leader(&server, "a", access.clone());
        let (term, took) = a.leads_within(SECOND).await.unwrap();
        assert!(took < SECOND / 10 && term.holds() && a.leadership.is_leading());
        assert_ne!(server.get(path), Value::Null, "the right object");
        let mut leadership = a.leadership.clone();
        a.stop().await;
        assert!(!term.holds() && leadership.term().await.is_none());
        let mut b = mk_leader(&server, "b", access);
        let (_, took) = b.leads_within(SECOND).await.unwrap();
        assert!(took < SECOND / 10, "given back: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_object_holds_what_client_go_writes() {
    let server = Server::new();
    let mut a = mk_leader(&server, "a", go());
    a.leads_within(SECOND).await.unwrap();
    let text = server.get(ENDPOINTS)["metadata"]["annotations"][ANNOTATION]
        .as_str()
        .unwrap()
        .to_owned();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    for stamp in ["acquireTime", "renewTime"] {
        let value = record[stamp].take();
        assert!(
            value.as_str().unwrap().len() == "2026-11-22T14:03:26Z".len(),
            "{value}"
        );
    }
    let theirs = json!({"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": null, "renewTime": null, "leaderTransitions": 0});
    assert_eq!(record, theirs);
}

#[tokio::test(start_paused = true)]
async fn what_else_is_on_the_endpoints_object_stays() {
    let server = Server::new();
    let body = json!({"metadata": {"name": "lock", "labels": {"a": "b"}}, "subsets": [{"ports": [{"port": 1}]}]});
    server.answer(Asked {
        method: Method::POST,
        path: ENDPOINTS.into(),
        body,
    });
    let mut a = mk_leader(&server, "a", go());
    a.leads_within(SECOND).await.unwrap();
    let object = server.get(ENDPOINTS);
    assert_eq!(
        (
            &object["metadata"]["labels"]["a"],
            &object["subsets"][0]["ports"][0]["port"]
        ),
        (&"b".into(), &1.into())
    );
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_takes_over_when_it_ends() {
    for access in [leases(), go()] {
        let server = Server::new();
        let mut a = mk_leader(&server, "a", access.clone());
        a.leads_within(SECOND).await.unwrap();
        let mut b = mk_leader(&server, "b", access);
        assert!(b.leads_within(120 * SECOND).await.is_none());
        assert!(a.leadership.is_leading());
        a.stop().await;
        let (_, took) = b.leads_within(3 * SECOND).await.unwrap();
        assert!(took <= 3 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_after_its_lease_and_a_retry() {
    for access in [leases(), go()] {
        let server = Server::new();
        let mut a = mk_leader(&server, "a", access.clone());
        a.leads_within(SECOND).await.unwrap();
        let mut b = mk_leader(&server, "b", access);
        tokio::time::sleep(5 * SECOND).await;
        a.task.abort();
        let (_, took) = b.leads_within(60 * SECOND).await.unwrap();
        let Terms { lease, retry, .. } = Terms::default();
        assert!(
            took + 3 * retry > lease && took < lease + retry + SECOND / 2,
            "{took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_can_begin_and_stands_by_again() {
    let server = Server::new();
    let mut a = mk_leader(&server, "a", leases());
    let (term, _) = a.leads_within(SECOND).await.unwrap();
    let mut b = mk_leader(&server, "b", leases());
    tokio::time::sleep(30 * SECOND).await;
    let begun = Instant::now();
    server.frozen.send_replace(true);
    timeout(11 * SECOND, term.ended())
        .await
        .expect("ended at the renewal deadline");
    assert!(begun.elapsed() <= Terms::default().renew && !a.leadership.is_leading());
    assert!(!b.leadership.is_leading(), "nobody else leads yet");
    tokio::time::sleep_until(begun + 60 * SECOND).await;
    server.frozen.send_replace(false);
    let first = tokio::select! {
        term = a.leadership.term() => ("a", term.unwrap()),
        term = b.leadership.term() => ("b", term.unwrap()),
    };
    assert!(
        first.1.holds() && !a.task.is_finished(),
        "one of them leads again: {}",
        first.0
    );
    tokio::time::sleep(20 * SECOND).await;
    assert_ne!(a.leadership.is_leading(), b.leadership.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_go_provisioner_at_work_keeps_ours_waiting_whichever_lock_ours_is() {
    for access in [leases(), go()] {
        let server = Server::new();
        server.go_holds("go");
        let mut a = mk_leader(&server, "a", access);
        for _renewal in 0..20 {
            assert!(a.leads_within(2 * SECOND).await.is_none());
            server.go_holds("go");
        }
        let (_, took) = a.leads_within(60 * SECOND).await.unwrap();
        assert!(
            took > 12 * SECOND && took < 18 * SECOND,
            "a stale one does not: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ours_yields_to_a_go_provisioner_that_starts_beside_our_lease() {
    let server = Server::new();
    let mut a = mk_leader(&server, "a", leases());
    let (term, _) = a.leads_within(SECOND).await.unwrap();
    server.go_holds("go");
    timeout(3 * SECOND, term.ended()).await.unwrap();
    assert_eq!(server.lease_holder(), "a");
    assert!(a.leads_within(12 * SECOND).await.is_none());
    assert!(
        a.leads_within(10 * SECOND).await.is_some(),
        "the Go one is gone again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_go_provisioner_that_was_outlived_once_is_not_waited_for_at_each_start() {
    let server = Server::new();
    server.go_holds("go");
    let mut a = mk_leader(&server, "a", leases());
    let (_, took) = a.leads_within(60 * SECOND).await.unwrap();
    assert!(took >= 15 * SECOND);
    a.stop().await;
    let mut b = mk_leader(&server, "b", leases());
    let (_, took) = b.leads_within(SECOND).await.unwrap();
    assert!(took < SECOND / 10, "{took:?}");
    b.stop().await;
    server.go_holds("go is back");
    let mut c = mk_leader(&server, "c", leases());
    assert!(c.leads_within(14 * SECOND).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn another_holder_on_the_lock_ends_the_term() {
    let server = Server::new();
    let mut a = mk_leader(&server, "a", go());
    let (term, _) = a.leads_within(SECOND).await.unwrap();
    server.go_holds("somebody");
    timeout(3 * SECOND, term.ended()).await.unwrap();
    assert_eq!(server.endpoints_record().holder_identity, "somebody");
}

#[tokio::test(start_paused = true)]
async fn a_leader_at_rest_makes_one_or_two_small_requests_a_period_and_none_is_forbidden() {
    for (access, allowed) in [(leases(), "leases endpoints"), (go(), "endpoints")] {
        let server = Server::new();
        let mut a = mk_leader(&server, "a", access.clone());
        a.leads_within(SECOND).await.unwrap();
        let before = a.log.all().len();
        tokio::time::sleep(60 * SECOND).await;
        let asked = a.log.all();
        let most = if access.leases { 60 } else { 30 };
        assert!(
            asked.len() - before <= most,
            "{} requests in 60 s",
            asked.len() - before
        );
        assert!(asked.iter().all(|asked| {
            asked
                .path
                .split('/')
                .any(|part| allowed.split(' ').any(|one| one == part))
        }));
        assert!(
            !access.leases
                || asked
                    .iter()
                    .all(|asked| asked.method == Method::GET || !asked.path.contains("endpoints")),
            "the old lock is only read"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_right_to_a_lock_nothing_is_tried() {
    let server = Server::new();
    let access = Access {
        old_lock: OldLock::Readable,
        ..Access::default()
    };
    let mut a = mk_leader(&server, "a", access);
    assert!(a.leads_within(ASK_AGAIN * 9 / 10).await.is_none());
    assert_eq!(a.log.all(), []);
}

#[tokio::test(start_paused = true)]
async fn an_election_that_an_api_server_keeps_waiting_is_alive() {
    for access in [leases(), go(), Access::default()] {
        let server = Server::new();
        let mut a = mk_leader(&server, "a", access);
        let may_lead = a.leads_within(SECOND).await.is_some();
        let alive_for = async |minutes: u32, when: &str| {
            for _ in 0..60 * minutes {
                tokio::time::sleep(SECOND).await;
                assert!(a.health.alive().is_well(), "{when}, may lead: {may_lead}");
            }
        };
        alive_for(5, "with an answer").await;
        server.frozen.send_replace(true);
        alive_for(10, "without").await;
        server.frozen.send_replace(false);
        alive_for(5, "with an answer again").await;
    }
}

#[tokio::test(start_paused = true)]
async fn leading_is_told_as_an_event_on_the_lock() {
    let server = Server::new();
    let mut a = mk_leader(&server, "a", go());
    a.leads_within(SECOND).await.unwrap();
    assert_eq!((a.events.pending, a.handle.counts().pending), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn without_election_this_process_always_leads() {
    let mut leadership = Leadership::always();
    let term = leadership.term().await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(term.holds() && leadership.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_term_whose_deadline_passed_unnoticed_does_not_hold() {
    let reign = Reign::begin(Instant::now() + SECOND);
    let term = reign.term();
    assert!(term.holds());
    tokio::time::advance(SECOND).await;
    assert!(
        !term.holds() && !term.token().is_cancelled(),
        "a process that was stopped wakes up like this"
    );
    reign.extend(Instant::now() + SECOND);
    assert!(term.holds());
    drop(reign);
    assert!(!term.holds());
    term.ended().await;
}
