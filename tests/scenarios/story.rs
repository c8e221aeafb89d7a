//! One field follows a claim through the log, from the moment it is seen to the end of its volume.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::expect::SOON;
use crate::provisioner::Log;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(one_field_of_json_lines_tells_the_whole_story_of_a_claim),
        Scenario::of(one_text_finds_the_same_story_in_lines_for_people),
        Scenario::of(one_trouble_of_many_claims_is_one_line_and_an_event_on_each).alone(),
    ]
}

/// In this order, whatever else is said between them. Of those in one row either may be the first: the volume binder does not wait for the answer
/// that the provisioner waits for.
const STORY: [&[&str]; 4] = [
    &["claim seen"],
    &["volume provisioned", "claim bound"],
    &["directory removed"],
    &["volume deleted"],
];

/// A claim's life, beside another one of nearly the same name, until the log tells its end.
async fn live(stage: &Stage, format: &str) -> (Log, String, String) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let settings = stage
        .settings()
        .with("LOG_FORMAT", format)
        .with("LOG_LEVEL", "info");
    let provisioner = stage.start_with(&settings);
    stage.passed_by().await;
    stage.provision("data-2", &class).await;
    let volume = stage.provision("data", &class).await;
    provisioner
        .log()
        .says(&["claim bound", &name_of(&volume)])
        .await;
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    provisioner
        .log()
        .says(&["volume deleted", &name_of(&volume)])
        .await;
    let claim = format!("{}/data", stage.namespace());
    (provisioner.log().clone(), claim, name_of(&volume))
}

/// Whether all of [`STORY`] is there, in order.
fn is_whole(said: &[String]) -> bool {
    let mut from = 0;
    STORY.iter().all(|row| {
        let found = row.iter().map(|part| {
            let rest = said.iter().skip(from);
            rest.take_while(|line| !line.contains(part)).count() + from
        });
        let last = found.max().unwrap_or(from);
        from = last + 1;
        last < said.len()
    })
}

/// `jq 'select(.claim == "NAMESPACE/NAME")'`
async fn one_field_of_json_lines_tells_the_whole_story_of_a_claim(stage: Stage) {
    let (log, claim, volume) = live(&stage, "json").await;
    let lines: Vec<Value> = log
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (field, value) in [("claim", &claim), ("volume", &volume)] {
        let story: Vec<_> = lines.iter().filter(|line| line[field] == **value).collect();
        let said: Vec<_> = story
            .iter()
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect();
        assert!(is_whole(&said), "by {field}: {said:?}");
        // Whichever is asked for leads to the other.
        assert!(
            story
                .iter()
                .all(|line| line["claim"] == *claim && line["volume"] == *volume),
            "{story:#?}"
        );
    }
    assert!(lines.iter().all(|line| line.get("spans").is_none()));
    let about_both: BTreeSet<_> = lines
        .iter()
        .filter_map(|line| line["claim"].as_str())
        .collect();
    assert!(
        about_both.contains(&*format!("{claim}-2")),
        "{about_both:?}"
    );
}

/// `grep 'claim=NAMESPACE/NAME '`
async fn one_text_finds_the_same_story_in_lines_for_people(stage: Stage) {
    let (log, claim, volume) = live(&stage, "text").await;
    let story = log.with_all(&[&format!("claim={claim} ")]);
    assert!(is_whole(&story), "{story:#?}");
    assert!(is_whole(&log.with_all(&[&format!("volume={volume}")])));
    assert!(!story.iter().any(|line| line.contains("data-2")));
}

/// Within a minute. How often it was kept back is said with the next line: see `telemetry::log::Repeats`.
async fn one_trouble_of_many_claims_is_one_line_and_an_event_on_each(stage: Stage) {
    const CLAIMS: usize = 10;
    let class = stage.class("plain", json!({})).await;
    stage.world().turn(Part::Nfs, Turn::Off).await;
    let settings = stage.settings().with("LOG_LEVEL", "info");
    let provisioner = stage.start_with(&settings);
    for number in 0..CLAIMS {
        stage.claim(&format!("data-{number}"), &class).await;
    }
    for number in 0..CLAIMS {
        let claim = format!("data-{number}");
        stage
            .event_counted(SOON, &claim, "ProvisioningFailed", 2)
            .await;
    }
    let said = provisioner
        .log()
        .with_all(&["ERROR", "provisioning failed"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("kept_back=0"), "{said:?}");
    let down = provisioner
        .log()
        .with_all(&["WARN", "share does not answer"]);
    assert!(down.len() <= 2, "once for each reason: {down:#?}");
    stage.world().turn(Part::Nfs, Turn::On).await;
    for number in 0..CLAIMS {
        stage.bound(&format!("data-{number}")).await;
    }
}
