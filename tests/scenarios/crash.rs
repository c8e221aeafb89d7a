//! The process dies between two effects, whichever two: the next one finishes the work.
//!
//! The servers are told to swallow one call or request, before or after it takes effect; once it has arrived the process is killed. Then the servers
//! behave again, and another process is started. Calls are found by counting: the first of a kind, the second, until there are no more.

use std::fmt;
use std::time::Duration;

use kube::api::ListParams;
use serde_json::json;
use testkit::api::{Fate, Requests};
use testkit::nfs::{Effect, Procedure, Rule};

use crate::expect::{SOON, eventually, eventually_within};
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, entries, name_of};
use crate::world::Double;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let why = "calls are held at a given point";
    let all = [
        Scenario::of(provisioning_is_finished_after_a_crash_at_any_point),
        Scenario::of(a_crash_before_success_is_told_doubles_nothing),
        Scenario::of(deleting_is_finished_after_a_crash_at_any_point).with_own_rights(),
        Scenario::of(archiving_is_finished_after_a_crash_at_any_point).with_own_rights(),
        Scenario::of(deleting_under_go_rules_is_finished_after_a_crash_at_any_point),
    ];
    all.map(|scenario| scenario.alone().only_on_the_double(why))
        .into()
}

/// Where the process dies.
#[derive(Debug, Clone)]
struct Point {
    at: At,
    after_effect: bool,
}

#[derive(Debug, Clone)]
enum At {
    /// The file server's Nth call of this kind.
    Call { procedure: Procedure, number: u64 },
    /// The API server's first request of this kind.
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

impl fmt::Display for Point {
    /// As `before RENAME` or `after delete persistentvolumes`: the same for each number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = if self.after_effect { "after" } else { "before" };
        match &self.at {
            At::Call { procedure, .. } => {
                let name = procedure.to_string();
                write!(f, "{moment} {}", name.trim_start_matches("NFSPROC3_"))
            }
            At::Request(requests) => write!(f, "{moment} {} {}", requests.verb, requests.resource),
        }
    }
}

/// The process died before and after the effect of each of these, as [`Point`]s are written.
fn assert_reached(points: &[String], kinds: &[&str]) {
    for kind in kinds {
        for moment in ["before", "after"] {
            let point = format!("{moment} {kind}");
            assert!(points.contains(&point), "no crash {point}: {points:?}");
        }
    }
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
    /// Goes through all points there are; returns those at which the process died.
    async fn at_each_point(&self, requests: &[Requests]) -> Vec<String> {
        let mut points = Vec::new();
        for after_effect in [false, true] {
            for procedure in CALLS {
                for number in 0..MOST {
                    let at = At::Call { procedure, number };
                    let point = Point { at, after_effect };
                    if !self.at(&point, points.len()).await {
                        break;
                    }
                    points.push(point.to_string());
                }
            }
            for request in requests {
                let at = At::Request(*request);
                let point = Point { at, after_effect };
                assert!(self.at(&point, points.len()).await, "no {point:?}");
                points.push(point.to_string());
            }
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
        match point.at {
            At::Call { procedure, number } => {
                let effect = if point.after_effect {
                    Effect::LoseReply
                } else {
                    Effect::Ignore
                };
                let faults = double.nfs_faults();
                let rule = faults.inject(Rule::on(procedure, effect).after(number));
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
            At::Request(requests) => {
                let fate = if point.after_effect {
                    Fate::LoseReply
                } else {
                    Fate::Ignore
                };
                let hold = double.api().faults().stop(requests, 0, fate);
                (self.begin)(name).await;
                let reached = tokio::time::timeout(SOON, hold.reached(1)).await.is_ok();
                process.kill();
                hold.release();
                reached
            }
        }
    }
}

/// A class whose directories lie two folders deep.
async fn mk_nested(stage: &Stage) -> String {
    let parameters = json!({"pathPattern": "one/${.PVC.name}/three"});
    stage.class("nested", parameters).await
}

/// Another claim's volume, so that the process is known to be at work and to have nothing more to say about it.
async fn provision_before(stage: &Stage, class: &str, name: &str) {
    let before = format!("before-{name}");
    stage.provision(&before, class).await;
    stage.event(&before, "ProvisioningSucceeded", &[]).await;
}

/// The claim has one volume and one directory, once the process has seen all there is.
async fn assert_provisioned_once(stage: &Stage, name: &str, point: &str) {
    let volume = stage.bound(name).await;
    stage.passed_by().await;
    assert_eq!(volumes_of(stage, name).await, [name_of(&volume)], "{point}");
    let dir = format!("one/{name}/three");
    assert_eq!(stage.dir_of(&volume), dir, "{point}");
    let parent = stage.dir(&format!("one/{name}"));
    assert_eq!(entries(&parent), ["three"], "{point}");
    let mut dirs = entries(&stage.dir("one"));
    dirs.retain(|dir| dir.contains(name));
    assert_eq!(dirs, [format!("before-{name}"), name.into()], "{point}");
    let mut roots = stage.entries();
    roots.retain(|root| !root.contains("-fence-"));
    assert_eq!(roots, ["one"], "{point}");
}

async fn provisioning_is_finished_after_a_crash_at_any_point(stage: Stage) {
    let class = mk_nested(&stage).await;
    let requests = [
        Requests::of("create", "persistentvolumes"),
        Requests::of("create", "events"),
    ];
    let prepare = async |name: &str| provision_before(&stage, &class, name).await;
    let begin = async |name: &str| {
        stage.claim(name, &class).await;
    };
    let is_over = async |name: &str| stage.phase(name).await == "Bound";
    let check = async |name: &str, point: &str| assert_provisioned_once(&stage, name, point).await;
    let points = Work {
        stage: &stage,
        prepare,
        begin,
        is_over,
        check,
    }
    .at_each_point(&requests)
    .await;
    println!(
        "measured: {} points between the effects of provisioning",
        points.len()
    );
    let kinds = ["MKDIR", "create persistentvolumes", "create events"];
    assert_reached(&points, &kinds);
}

/// The first event about a claim says that it has begun, the second one that there is a volume.
async fn a_crash_before_success_is_told_doubles_nothing(stage: Stage) {
    let class = mk_nested(&stage).await;
    let settings = settings(&stage);
    let first = stage.start_with(&settings);
    provision_before(&stage, &class, "data").await;
    let api = double(&stage).api().faults();
    let creation = api.hold(Requests::of("create", "persistentvolumes"));
    stage.claim("data", &class).await;
    stage.event("data", "Provisioning", &[]).await;
    let hold = api.stop(Requests::of("create", "events"), 0, Fate::Ignore);
    creation.release();
    let told = tokio::time::timeout(SOON, hold.reached(1)).await;
    told.expect("success is told");
    let made = volumes_of(&stage, "data").await;
    assert_eq!(made.len(), 1, "there is a volume when success is told");
    first.kill();
    hold.release();
    let events = stage.events("data").await;
    let reasons: Vec<_> = events.iter().map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("Provisioning")]);
    let _second = stage.start_with(&settings);
    assert_provisioned_once(&stage, "data", "before success is told").await;
    assert_eq!(volumes_of(&stage, "data").await, made);
}

/// A volume with something in it, beside another one that must not be touched.
async fn mk_full(stage: &Stage, class: &str, name: &str) {
    stage.provision(name, class).await;
    stage.write(&format!("teams/{name}/data/sub"), "inner");
    stage.write(&format!("teams/{name}/data"), "canary");
}

/// The names of a claim's volumes.
async fn volumes_of(stage: &Stage, claim: &str) -> Vec<String> {
    let all = stage.volumes().list(&ListParams::default()).await;
    let mut volumes = all.expect("volumes").items;
    volumes.retain(|volume| {
        let of = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.claim_ref.as_ref());
        of.is_some_and(|of| {
            of.name.as_deref() == Some(claim) && of.namespace.as_deref() == Some(stage.namespace())
        })
    });
    volumes.iter().map(name_of).collect()
}

fn is_gone(stage: &Stage) -> impl AsyncFn(&str) -> bool {
    async |name: &str| volumes_of(stage, name).await.is_empty()
}

/// Returns the points at which the process died.
async fn delete_at_each_point(stage: &Stage, requests: &[Requests]) -> Vec<String> {
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
    println!(
        "measured: {} points between the effects of deleting",
        points.len()
    );
    assert_reached(&points, &["RENAME", "REMOVE", "RMDIR"]);
    assert_reached(&points, &["delete persistentvolumes"]);
    assert_eq!(entries(&stage.dir("teams")), ["neighbour"]);
    assert!(stage.dir("teams/neighbour").join("canary").is_file());
    points
}

async fn deleting_is_finished_after_a_crash_at_any_point(stage: Stage) {
    let requests = [
        Requests::of("delete", "persistentvolumes"),
        Requests::of("patch", "persistentvolumes"),
    ];
    let points = delete_at_each_point(&stage, &requests).await;
    // The finalizer is taken off.
    assert_reached(&points, &["patch persistentvolumes"]);
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
    println!(
        "measured: {} points between the effects of archiving",
        points.len()
    );
    assert_reached(&points, &["RENAME", "delete persistentvolumes"]);
    assert_reached(&points, &["patch persistentvolumes"]);
}
