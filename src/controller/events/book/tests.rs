use super::*;
use crate::controller::events::Regarding;

const REPEAT: Duration = Duration::from_secs(10);

fn mk_book(queue: usize, known: usize) -> Book {
    Book::new(Options {
        queue,
        known,
        in_flight: 2,
        repeat_every: REPEAT,
        ..Options::default()
    })
}

fn mk_event(object: &str, kind: Kind) -> Event {
    Event {
        regarding: Regarding {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            namespace: "ns".into(),
            name: object.into(),
            uid: format!("uid-{object}"),
            resource_version: "1".into(),
        },
        kind,
        reason: "Reason",
        message: "message".into(),
    }
}

fn publish(book: &mut Book, object: &str, now: Instant) {
    book.publish(mk_event(object, Kind::Warning), now, Timestamp::UNIX_EPOCH);
}

fn publish_another(book: &mut Book, object: &str, now: Instant) {
    let event = Event {
        message: "another".into(),
        ..mk_event(object, Kind::Warning)
    };
    book.publish(event, now, Timestamp::UNIX_EPOCH);
}

fn job(book: &mut Book, now: Instant) -> Job {
    match book.next(now) {
        Step::Write(job) => job,
        other => panic!("nothing to write: {other:?}"),
    }
}

fn wait(book: &mut Book, now: Instant) -> Option<Instant> {
    match book.next(now) {
        Step::Wait(until) => until,
        other => panic!("not waiting: {other:?}"),
    }
}

#[test]
fn a_repeat_is_counted_on_the_same_object_once_its_time_has_come() {
    let (mut book, start) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", start);
    let create = job(&mut book, start);
    assert!(create.create && create.count == 1);
    book.done(&create, Outcome::Written, start);
    for second in 1..=5 {
        publish(&mut book, "a", start + Duration::from_secs(second));
    }
    let now = start + Duration::from_secs(6);
    assert_eq!(wait(&mut book, now), Some(start + REPEAT));
    let recount = job(&mut book, start + REPEAT);
    assert!(!recount.create && recount.count == 6 && recount.body.name == create.body.name);
    book.done(&recount, Outcome::Written, start + REPEAT);
    assert_eq!(wait(&mut book, start + REPEAT), None);
    assert_eq!(
        book.counts(),
        Counts {
            created: 1,
            recounted: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn repeats_of_an_event_not_yet_written_are_one_object_with_a_count() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    (0..3).for_each(|_| publish(&mut book, "a", now));
    let create = job(&mut book, now);
    assert!(create.create && create.count == 3);
    assert_eq!(wait(&mut book, now), None);
}

#[test]
fn an_event_that_is_being_written_is_not_written_twice_at_once() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let create = job(&mut book, now);
    publish(&mut book, "a", now);
    assert_eq!(wait(&mut book, now + REPEAT), None);
    book.done(&create, Outcome::Written, now);
    assert_eq!(job(&mut book, now + REPEAT).count, 2);
}

#[test]
fn another_message_is_another_object() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    publish_another(&mut book, "a", now);
    let one = job(&mut book, now);
    book.done(&one, Outcome::Written, now);
    let two = job(&mut book, now);
    assert!(one.create && two.create);
    assert_ne!(one.body.name, two.body.name);
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    for name in ["a", "b", "c"] {
        publish(&mut book, name, now);
    }
    let first = job(&mut book, now);
    job(&mut book, now);
    assert_eq!(wait(&mut book, now), None);
    book.done(&first, Outcome::Written, now);
    assert_eq!(job(&mut book, now).body.event.regarding.name, "c");
}

#[test]
fn a_full_queue_drops_normal_events_before_warnings_and_counts_them() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    for number in 0..8 {
        book.publish(
            mk_event(&number.to_string(), Kind::Normal),
            now,
            Timestamp::UNIX_EPOCH,
        );
    }
    assert_eq!((book.pending(), book.counts().dropped), (7, 1));
    publish(&mut book, "warned", now);
    publish(&mut book, "too many", now);
    assert_eq!((book.pending(), book.counts().dropped), (8, 2));
}

#[test]
fn an_outage_does_not_make_the_queue_longer_than_its_bound() {
    let (mut book, mut now) = (mk_book(4, 8), Instant::now());
    for number in 0..100 {
        publish(&mut book, &number.to_string(), now);
        now += Duration::from_secs(31);
        let failing = job(&mut book, now);
        book.done(&failing, Outcome::Later(None), now);
        assert!(book.pending() <= 4);
    }
}

#[test]
fn the_event_touched_longest_ago_is_forgotten_first() {
    let (mut book, now) = (mk_book(8, 2), Instant::now());
    for name in ["a", "b", "c"] {
        publish(&mut book, name, now);
        let create = job(&mut book, now);
        book.done(&create, Outcome::Written, now);
    }
    publish(&mut book, "b", now);
    assert!(!job(&mut book, now + REPEAT).create, "b is known");
    publish(&mut book, "a", now);
    assert!(job(&mut book, now + REPEAT).create, "a was forgotten");
}

#[test]
fn an_object_that_is_gone_is_created_again_with_its_count() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let create = job(&mut book, now);
    book.done(&create, Outcome::Written, now);
    publish(&mut book, "a", now);
    let now = now + REPEAT;
    let recount = job(&mut book, now);
    book.done(&recount, Outcome::Missing, now);
    let again = job(&mut book, now);
    assert!(again.create && again.count == 2);
}

#[test]
fn an_object_that_a_lost_reply_left_behind_is_ours() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let create = job(&mut book, now);
    publish(&mut book, "a", now);
    book.done(&create, Outcome::Exists, now);
    let recount = job(&mut book, now + REPEAT);
    assert!(!recount.create && recount.count == 2);
}

#[test]
fn a_failing_api_server_is_left_alone_for_longer_and_longer_then_given_up_on() {
    let (mut book, mut now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let mut pauses = Vec::new();
    for _ in 1..ATTEMPTS {
        let failing = job(&mut book, now);
        book.done(&failing, Outcome::Later(None), now);
        let until = wait(&mut book, now).unwrap();
        pauses.push((until - now).as_secs());
        now = until;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn those_that_fail_together_are_one_failure_and_what_is_new_waits_as_well() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    publish(&mut book, "b", now);
    let (one, two) = (job(&mut book, now), job(&mut book, now));
    book.done(&one, Outcome::Later(None), now);
    book.done(&two, Outcome::Later(None), now);
    publish(&mut book, "c", now);
    assert_eq!(wait(&mut book, now), Some(now + Duration::from_secs(1)));
}

#[test]
fn retry_after_is_obeyed_within_reason() {
    for (said, waited) in [(2, 2), (3600, 30)] {
        let (mut book, now) = (mk_book(8, 8), Instant::now());
        publish(&mut book, "a", now);
        let failing = job(&mut book, now);
        book.done(
            &failing,
            Outcome::Later(Some(Duration::from_secs(said))),
            now,
        );
        assert_eq!(
            wait(&mut book, now),
            Some(now + Duration::from_secs(waited))
        );
    }
}

#[test]
fn after_too_many_attempts_an_event_is_given_up_and_counted() {
    let (mut book, mut now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    for _ in 0..ATTEMPTS {
        let failing = job(&mut book, now);
        book.done(&failing, Outcome::Later(None), now);
        now += Duration::from_secs(31);
    }
    assert_eq!(
        book.counts(),
        Counts {
            failed: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_refused_event_is_not_asked_for_again_at_each_repeat() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let refused = job(&mut book, now);
    book.done(&refused, Outcome::Refused, now);
    publish(&mut book, "a", now);
    assert_eq!(wait(&mut book, now), Some(now + REPEAT));
    assert!(job(&mut book, now + REPEAT).create);
}

#[test]
fn draining_writes_counts_before_their_time_and_then_ends() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let create = job(&mut book, now);
    book.done(&create, Outcome::Written, now);
    publish(&mut book, "a", now);
    book.drain(now);
    let recount = job(&mut book, now);
    publish(&mut book, "a", now);
    assert!(
        matches!(book.next(now), Step::Wait(None)),
        "one is in flight"
    );
    book.done(&recount, Outcome::Written, now);
    let last = job(&mut book, now);
    assert_eq!(last.count, 3);
    book.done(&last, Outcome::Written, now);
    assert!(matches!(book.next(now), Step::Done));
}

#[test]
fn nothing_is_written_where_events_are_not_allowed() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    book.set_allowed(false);
    publish(&mut book, "a", now);
    assert_eq!(wait(&mut book, now), None);
    assert_eq!(book.counts().dropped, 1);
}

#[test]
fn the_events_of_one_object_are_written_one_after_the_other() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    publish_another(&mut book, "a", now);
    publish(&mut book, "b", now);
    let first = job(&mut book, now);
    assert_eq!(wait(&mut book, now), None);
    book.done(&first, Outcome::Written, now);
    let others = [job(&mut book, now), job(&mut book, now)];
    let names = others
        .each_ref()
        .map(|job| job.body.event.regarding.name.as_str());
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_count_that_is_due_waits_for_the_request_about_its_object_and_for_no_time() {
    let (mut book, now) = (mk_book(8, 8), Instant::now());
    publish(&mut book, "a", now);
    let create = job(&mut book, now);
    book.done(&create, Outcome::Written, now);
    publish(&mut book, "a", now);
    let due = now + REPEAT;
    publish_another(&mut book, "a", due);
    let another = job(&mut book, due);
    assert_eq!(wait(&mut book, due), None);
    book.done(&another, Outcome::Written, due);
    assert_eq!(job(&mut book, due).count, 2);
}

#[test]
fn names_differ_even_when_the_clock_stands_still_or_goes_back() {
    let mut book = mk_book(8, 8);
    let at = |second| Timestamp::from_second(second).unwrap();
    let stamps = [at(100), at(100), at(50), at(101)].map(|clock| book.stamp(clock));
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}
