//! The environment and the command line.

use serde_json::json;

use crate::provisioner::Settings;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_setting_that_is_missing_or_wrong_is_one_line_and_exit_code_2),
        Scenario::of(settings_can_be_given_as_flags),
        Scenario::of(the_flags_of_gos_logger_are_taken),
        Scenario::of(a_persistentvolumes_directory_is_neither_needed_nor_made),
        Scenario::of(sigterm_ends_the_process_cleanly),
    ]
}

async fn a_setting_that_is_missing_or_wrong_is_one_line_and_exit_code_2(stage: Stage) {
    let good = || stage.settings();
    let cases = [
        ("PROVISIONER_NAME", good().without("PROVISIONER_NAME")),
        ("PROVISIONER_NAME", good().with("PROVISIONER_NAME", "")),
        (
            "PROVISIONER_NAME",
            good().with("PROVISIONER_NAME", "not a/good name"),
        ),
        ("NFS_SERVER", good().without("NFS_SERVER")),
        ("NFS_SERVER", good().with("NFS_SERVER", "10.0.0.1:/data")),
        ("NFS_PATH", good().without("NFS_PATH")),
        ("NFS_PATH", good().with("NFS_PATH", "data/nfs")),
        ("NFS_PORT", good().with("NFS_PORT", "99999")),
        (
            "ENABLE_LEADER_ELECTION",
            good().with("ENABLE_LEADER_ELECTION", "yes"),
        ),
        ("LEASE_DURATION", good().with("LEASE_DURATION", "soon")),
        ("POD_NAMESPACE", good().with("POD_NAMESPACE", "Not_One")),
        (
            "KUBECONFIG",
            good().with("KUBECONFIG", "/nonexistent/kubeconfig"),
        ),
        // Without one it runs in a cluster, and here it does not.
        ("KUBECONFIG", good().without("KUBECONFIG")),
        ("LOG_LEVEL", good().with("LOG_LEVEL", "loud=very")),
        ("METRICS_ADDR", good().with("METRICS_ADDR", "everywhere")),
        ("--bogus", good().argument("--bogus")),
    ];
    for (name, settings) in cases {
        let ended = settings.run().await;
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{name}: {}", ended.stderr);
        assert!(lines[0].contains(name), "{name}: {}", ended.stderr);
    }
}

async fn settings_can_be_given_as_flags(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let settings: Settings = stage
        .settings()
        .without("PROVISIONER_NAME")
        .without("NFS_SERVER")
        .argument(format!("--provisioner-name={}", stage.provisioner_name()))
        .argument("--nfs-server")
        .argument(stage.share().server.as_str());
    let _provisioner = stage.start_with(&settings);
    stage.provision("data", &class).await;
}

async fn the_flags_of_gos_logger_are_taken(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let flags = [
        "-v=4",
        "-logtostderr",
        "--alsologtostderr=false",
        "-stderrthreshold=2",
    ];
    let settings = flags
        .iter()
        .fold(stage.settings(), |settings, flag| settings.argument(*flag));
    let _provisioner = stage.start_with(&settings);
    stage.provision("data", &class).await;
}

/// Go's Deployment mounts the share there; here is nothing, and nothing is made. (Where there is something, it stays as it was.)
async fn a_persistentvolumes_directory_is_neither_needed_nor_made(stage: Stage) {
    let mounted = std::path::Path::new("/persistentvolumes");
    let before = mounted.is_dir().then(|| crate::stage::entries(mounted));
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage.provision("data", &class).await;
    let after = mounted.is_dir().then(|| crate::stage::entries(mounted));
    assert_eq!(before, after);
}

async fn sigterm_ends_the_process_cleanly(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    stage.provision("data", &class).await;
    assert!(provisioner.stop().await.success());
}
