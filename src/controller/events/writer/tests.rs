use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::controller::{
    double::{self, Asked, Log, mk_client},
    events::{Event, Events, Kind, Regarding},
};
use crate::telemetry::health::{Health, PATIENCE};

const MINUTE: Duration = Duration::from_mins(1);

fn mk_event(name: &str) -> Event {
    Event {
        regarding: Regarding {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            namespace: "ns".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            resource_version: "7".into(),
        },
        kind: Kind::Warning,
        reason: "ProvisioningFailed",
        message: "why".into(),
    }
}

/// Answers of an API server, in order; after the last one it takes everything.
fn mk_events(answers: Vec<(StatusCode, Value)>) -> (Events, Log) {
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let (client, log) = mk_client(move |asked| {
        let next = answers.lock().unwrap().next();
        async move { next.unwrap_or_else(|| taken(&asked)) }
    });
    let (events, writer) = Events::new(client, "component", Options::default());
    tokio::spawn(writer.run(mk_heart()));
    (events, log)
}

fn mk_heart() -> Heart {
    Health::default().heart("events", PATIENCE)
}

fn taken(asked: &Asked) -> (StatusCode, Value) {
    if asked.method == Method::POST {
        return (StatusCode::CREATED, asked.body.clone());
    }
    let stub = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "n", "namespace": "ns"}, "involvedObject": {}});
    (StatusCode::OK, stub)
}

fn methods(log: &Log) -> Vec<Method> {
    log.all().into_iter().map(|asked| asked.method).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_posted_once_and_its_repeats_are_patched() {
    let (events, log) = mk_events(vec![]);
    events.publish(mk_event("a"));
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        events.publish(mk_event("a"));
    }
    assert_eq!(events.drain(MINUTE).await, 0);
    let all = log.all();
    assert_eq!(
        methods(&log),
        [Method::POST, Method::PATCH, Method::PATCH, Method::PATCH]
    );
    assert_eq!(all[0].path, "/api/v1/namespaces/ns/events");
    assert_eq!(
        all[1].path,
        format!(
            "/api/v1/namespaces/ns/events/{}",
            all[0].body["metadata"]["name"].as_str().unwrap()
        )
    );
    assert_eq!(all[3].body["count"], 26);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_to_live_is_over_is_posted_again() {
    let (events, log) = mk_events(vec![
        taken(&Asked {
            method: Method::PATCH,
            path: String::new(),
            body: Value::Null,
        }),
        not_found(),
    ]);
    events.publish(mk_event("a"));
    tokio::time::sleep(MINUTE).await;
    events.publish(mk_event("a"));
    assert_eq!(events.drain(MINUTE).await, 0);
    assert_eq!(methods(&log), [Method::POST, Method::PATCH, Method::POST]);
    assert_eq!(log.all()[2].body["count"], 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_may_change_are_asked_for_again_and_others_are_not() {
    let rows = [
        ("too many requests", StatusCode::TOO_MANY_REQUESTS, 2),
        ("server in trouble", StatusCode::INTERNAL_SERVER_ERROR, 2),
        ("server not up", StatusCode::SERVICE_UNAVAILABLE, 2),
        ("token just rotated", StatusCode::UNAUTHORIZED, 2),
        ("an earlier attempt arrived", StatusCode::CONFLICT, 1),
        (
            "not allowed, or namespace terminating",
            StatusCode::FORBIDDEN,
            1,
        ),
        ("namespace gone", StatusCode::NOT_FOUND, 1),
        ("gone", StatusCode::GONE, 1),
        ("invalid", StatusCode::UNPROCESSABLE_ENTITY, 1),
    ];
    for (name, code, requests) in rows {
        let (events, log) = mk_events(vec![double::status(code, "Reason")]);
        events.publish(mk_event("a"));
        assert_eq!(events.drain(MINUTE).await, 0, "{name}");
        assert_eq!(log.all().len(), requests, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_written_eight_at_a_time() {
    let (gate, most, now) = (
        Arc::new(Semaphore::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (client, log) = mk_client({
        let (gate, most, now) = (gate.clone(), most.clone(), now.clone());
        move |asked| {
            let (gate, most, now) = (gate.clone(), most.clone(), now.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                taken(&asked)
            }
        }
    });
    let (events, writer) = Events::new(client, "component", Options::default());
    tokio::spawn(writer.run(mk_heart()));
    for number in 0..1000 {
        events.publish(mk_event(&number.to_string()));
    }
    let full = async {
        while now.load(Ordering::SeqCst) < 8 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(MINUTE, full).await.unwrap();
    gate.add_permits(1000);
    assert_eq!(events.drain(MINUTE).await, 0);
    assert_eq!((log.all().len(), most.load(Ordering::SeqCst)), (1000, 8));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_and_says_what_is_left() {
    let (client, _log) = mk_client(|_| std::future::pending());
    let (events, writer) = Events::new(client, "component", Options::default());
    tokio::spawn(writer.run(mk_heart()));
    (0..10).for_each(|number| events.publish(mk_event(&number.to_string())));
    let start = Instant::now();
    assert_eq!(events.drain(Duration::from_secs(3)).await, 10);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_writer_that_is_gone() {
    let (client, _log) = mk_client(|_| std::future::pending());
    let (events, writer) = Events::new(client, "component", Options::default());
    events.publish(mk_event("a"));
    drop(writer);
    let start = Instant::now();
    assert_eq!(events.drain(MINUTE).await, 1);
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_made_again() {
    let first = Arc::new(Mutex::new(true));
    let (client, log) = mk_client(move |asked| {
        let hang = std::mem::take(&mut *first.lock().unwrap());
        async move {
            if hang {
                std::future::pending::<()>().await;
            }
            taken(&asked)
        }
    });
    let (events, writer) = Events::new(client, "component", Options::default());
    tokio::spawn(writer.run(mk_heart()));
    events.publish(mk_event("a"));
    assert_eq!(events.drain(MINUTE).await, 0);
    assert_eq!(methods(&log), [Method::POST, Method::POST]);
    assert_eq!(
        log.all()[0],
        log.all()[1],
        "the same object, so that a lost reply does not make two"
    );
}

fn not_found() -> (StatusCode, Value) {
    double::status(StatusCode::NOT_FOUND, "NotFound")
}

#[tokio::test(start_paused = true)]
async fn a_writer_without_work_or_without_an_answer_is_alive() {
    for work in 0..2 {
        let (client, _log) = mk_client(|_| std::future::pending());
        let (events, writer) = Events::new(client, "component", Options::default());
        let health = Health::default();
        tokio::spawn(writer.run(health.heart("events", PATIENCE)));
        (0..work).for_each(|_| events.publish(mk_event("a")));
        tokio::time::sleep(PATIENCE * 10).await;
        assert!(health.alive().is_well());
        assert_eq!(health.alive().0.len(), 1);
    }
}
