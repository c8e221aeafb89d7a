//! The process dies between two effects, whichever two: the next one finishes the work.
//!
//! The servers are told to swallow one call, before or after it takes effect; once it has arrived the process is killed. Then the servers behave
//! again, and another process is started. Points are found by counting: the first call of a kind, the second, until there are no more.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::api::Requests;
use testkit::nfs::{Effect, Procedure, Rule};

use crate::expect::{SOON, eventually, eventually_within};
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, entries};
use crate::world::Double;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let why = "calls are held at a given point";
    let all = [
        Scenario::of(provisioning_is_finished_after_a_crash_at_any_point),
        Scenario::of(deleting_is_finished_after_a_crash_at_any_point).with_own_rights(),
        Scenario::of(archiving_is_finished_after_a_crash_at_any_point).with_own_rights(),
        Scenario::of(deleting_under_go_rules_is_finished_after_a_crash_at_any_point),
    ];
    all.map(|scenario| scenario.alone().only_on_the_double(why))
        .into()
}

/// Where the process dies.
#[derive(Debug, Clone)]
enum Point {
    /// At the file server's Nth call of this kind, before or after it takes effect.
    Call {
        procedure: Procedure,
        after_effect: bool,
        number: u64,
    },
    /// Before a request takes effect.
    Request(Requests),
}

/// What may be called, and in how many calls of each kind the process dies.
const CALLS: [Procedure; 5] = [
    Procedure::MKDIR,
    Procedure::RENAME,
    Procedure::READDIRPLUS,
    Procedure::REMOVE,
    Procedure::RMDIR,
];
const MOST: u64 = 6;

/// Without the lock: a killed holder's lease would have to run out each time.
fn settings(stage: &Stage) -> Settings {
    stage.settings().with("ENABLE_LEADER_ELECTION", "false")
}

fn double(stage: &Stage) -> &Double {
    stage.world().double().expect("the double")
}

/// Something that the provisioner is to do, once for each point and each time with another name.
struct Work<'a, P, B, O, C> {
    stage: &'a Stage,
    /// Before the point is set: nothing of it is swallowed.
    prepare: P,
    begin: B,
    is_over: O,
    /// Looks at the result; it also gets the point's name, for its messages.
    check: C,
}

impl<P, B, O, C> Work<'_, P, B, O, C>
where
    P: AsyncFn(&str),
    B: AsyncFn(&str),
    O: AsyncFn(&str) -> bool,
    C: AsyncFn(&str, &str),
{
    /// Goes through all points there are; returns how many.
    async fn at_each_point(&self, requests: &[Requests]) -> usize {
        let mut points = 0;
        for procedure in CALLS {
            for after_effect in [false, true] {
                for number in 0..MOST {
                    let point = Point::Call {
                        procedure,
                        after_effect,
                        number,
                    };
                    if !self.at(&point, points).await {
                        break;
                    }
                    points += 1;
                }
            }
        }
        for request in requests {
            let point = Point::Request(*request);
            assert!(self.at(&point, points).await, "{point:?} was not reached");
            points += 1;
        }
        points
    }

    /// Does the work with a crash at this point. False if it was over without getting there.
    async fn at(&self, point: &Point, count: usize) -> bool {
        let (stage, name) = (
            self.stage,
            format!("case-{count}-{:04x}", fastrand::u16(..)),
        );
        let settings = settings(stage);
        let first = stage.start_with(&settings);
        (self.prepare)(&name).await;
        let reached = self.killed_at(point, first, &name).await;
        let second = stage.start_with(&settings);
        eventually(format!("{name} is finished after {point:?}"), async || {
            (self.is_over)(&name).await.then_some(())
        })
        .await;
        (self.check)(&name, &format!("{point:?}")).await;
        second.kill();
        reached
    }

    /// Begins, and kills the process when it gets to the point.
    async fn killed_at(&self, point: &Point, process: Provisioner, name: &str) -> bool {
        let double = double(self.stage);
        match point {
            Point::Call {
                procedure,
                after_effect,
                number,
            } => {
                let effect = if *after_effect {
                    Effect::LoseReply
                } else {
                    Effect::Ignore
                };
                let faults = double.nfs_faults();
                let rule = faults.inject(Rule::on(*procedure, effect).after(*number));
                (self.begin)(name).await;
                let reached = eventually(format!("{point:?} or the end"), async || {
                    let is_hit = faults.hits(rule).is_some_and(|hits| hits > 0);
                    (is_hit || (self.is_over)(name).await).then_some(is_hit)
                })
                .await;
                process.kill();
                faults.clear(rule);
                reached
            }
            Point::Request(requests) => {
                let hold = double.api().faults().hold(*requests);
                (self.begin)(name).await;
                let reached = tokio::time::timeout(SOON, hold.reached(1)).await.is_ok();
                process.kill();
                hold.release();
                reached
            }
        }
    }
}

async fn provisioning_is_finished_after_a_crash_at_any_point(stage: Stage) {
    let class = stage
        .class("nested", json!({"pathPattern": "one/${.PVC.name}/three"}))
        .await;
    let requests = [
        Requests::of("create", "persistentvolumes"),
        Requests::of("create", "events"),
    ];
    let prepare = async |name: &str| {
        // So that the process is known to be at work.
        stage.provision(&format!("before-{name}"), &class).await;
    };
    let begin = async |name: &str| {
        stage.claim(name, &class).await;
    };
    let is_over = async |name: &str| stage.phase(name).await == "Bound";
    let check = async |name: &str, point: &str| {
        let volume = stage.bound(name).await;
        assert_eq!(
            stage.dir_of(&volume),
            format!("one/{name}/three"),
            "{point}"
        );
        assert_eq!(
            entries(&stage.dir(&format!("one/{name}"))),
            ["three"],
            "{point}"
        );
    };
    let points = Work {
        stage: &stage,
        prepare,
        begin,
        is_over,
        check,
    }
    .at_each_point(&requests)
    .await;
    println!("measured: {points} points between the effects of provisioning");
    assert!(points >= 6, "{points}");
}

/// A volume with something in it, beside another one that must not be touched.
async fn mk_full(stage: &Stage, class: &str, name: &str) {
    stage.provision(name, class).await;
    stage.write(&format!("teams/{name}/data/sub"), "inner");
    stage.write(&format!("teams/{name}/data"), "canary");
}

fn is_gone(stage: &Stage) -> impl AsyncFn(&str) -> bool {
    async |name: &str| {
        let listed = stage
            .volumes()
            .list(&kube::api::ListParams::default())
            .await
            .expect("volumes");
        let of = |volume: &Value| volume["spec"]["claimRef"]["name"] == name;
        !listed
            .items
            .iter()
            .any(|volume| of(&serde_json::to_value(volume).expect("json")))
    }
}

async fn delete_at_each_point(stage: &Stage, requests: &[Requests]) {
    let parameters = json!({"onDelete": "delete", "pathPattern": "teams/${.PVC.name}/data"});
    let class = stage.class("del", parameters).await;
    let prepare = async |name: &str| mk_full(stage, &class, name).await;
    let begin = async |name: &str| stage.delete_claim(name).await;
    let hidden = stage.dir(".nfs-subdir-external-provisioner");
    let check = async |name: &str, point: &str| {
        // What was on its way out is taken along at the start, which may be a moment later.
        eventually_within(
            Duration::from_secs(10),
            format!("nothing left after {point}"),
            async || {
                let is_empty = !hidden.exists() || entries(&hidden).is_empty();
                (is_empty && !stage.dir(&format!("teams/{name}")).exists()).then_some(())
            },
        )
        .await;
    };
    let neighbour = stage
        .class("neighbour", json!({"pathPattern": "teams/neighbour"}))
        .await;
    let process = stage.start_with(&settings(stage));
    let volume = stage.provision("neighbour", &neighbour).await;
    stage.write(&stage.dir_of(&volume), "canary");
    process.kill();
    let points = Work {
        stage,
        prepare,
        begin,
        is_over: is_gone(stage),
        check,
    }
    .at_each_point(requests)
    .await;
    println!("measured: {points} points between the effects of deleting");
    assert!(points >= 12, "{points}");
    assert_eq!(entries(&stage.dir("teams")), ["neighbour"]);
    assert!(stage.dir("teams/neighbour").join("canary").is_file());
}

async fn deleting_is_finished_after_a_crash_at_any_point(stage: Stage) {
    let requests = [
        Requests::of("delete", "persistentvolumes"),
        Requests::of("patch", "persistentvolumes"),
    ];
    delete_at_each_point(&stage, &requests).await;
}

async fn deleting_under_go_rules_is_finished_after_a_crash_at_any_point(stage: Stage) {
    delete_at_each_point(&stage, &[Requests::of("delete", "persistentvolumes")]).await;
}

async fn archiving_is_finished_after_a_crash_at_any_point(stage: Stage) {
    let class = stage
        .class("arch", json!({"pathPattern": "teams/${.PVC.name}/data"}))
        .await;
    let requests = [
        Requests::of("delete", "persistentvolumes"),
        Requests::of("patch", "persistentvolumes"),
    ];
    let prepare = async |name: &str| {
        mk_full(&stage, &class, name).await;
        // Archives of all cases have the same name but for the volume's.
        std::fs::write(stage.dir(&format!("teams/{name}/data")).join(name), "").expect("a file");
    };
    let begin = async |name: &str| stage.delete_claim(name).await;
    let check = async |name: &str, point: &str| {
        let archives = stage
            .entries()
            .into_iter()
            .filter(|entry| entry.starts_with("archived-data"));
        let mine: Vec<_> = archives
            .filter(|archive| stage.dir(archive).join(name).is_file())
            .collect();
        assert_eq!(mine.len(), 1, "{point}: {mine:?}");
        assert_eq!(
            entries(&stage.dir(&mine[0])),
            vec!["canary", name, "sub"],
            "{point}"
        );
        assert!(!stage.dir(&format!("teams/{name}")).exists(), "{point}");
    };
    let points = Work {
        stage: &stage,
        prepare,
        begin,
        is_over: is_gone(&stage),
        check,
    }
    .at_each_point(&requests)
    .await;
    println!("measured: {points} points between the effects of archiving");
    assert!(points >= 4, "{points}");
}
