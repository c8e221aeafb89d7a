//! What the settings resolve to: parsed once, so that nothing past this is checked again. Refused: anything that could only fail later, with one line
//! that names the variable.

mod log;
mod nfs;
mod value;

use crate::args::Args;
use crate::plan::class::parse_bool;
use crate::plan::lock::Terms;
use crate::plan::shares::Share;
use log::log;
pub use log::{Format, Log};
use nfs::{nfs, share};
use nfs_export::Options;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use value::{Set, duration, positive, qualified_name};

/// Where a pod finds the namespace of its service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name that classes give as their provisioner.
    pub provisioner: String,
    /// The default share.
    pub share: Share,
    /// How NFS is spoken.
    pub nfs: Options,
    /// The kubeconfig file; `None`: the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The leader lock; `None`: work without one.
    pub lock: Option<Lock>,
    /// How much is done at the same time, on each share.
    pub limits: Limits,
    /// How long what is under way may take after SIGTERM.
    pub grace: Duration,
    /// Where metrics and health are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// The log.
    pub log: Log,
}

/// Where the leader lock is, and its durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its namespace.
    pub namespace: String,
    /// Its durations.
    pub terms: Terms,
}

/// How much is done at the same time, on each share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Claims being provisioned.
    pub claims: usize,
    /// Volumes being deleted.
    pub volumes: usize,
}

/// A setting that is missing or wrong. Displayed in one line that begins with the variable's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It has no default.
    #[error("{name} is not set; {hint}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it should be.
        hint: &'static str,
    },
    /// It cannot be what it is.
    #[error("{name} is {value:?}, which is not {wanted}")]
    Bad {
        /// The variable.
        name: &'static str,
        /// What was given.
        value: String,
        /// What was expected.
        wanted: &'static str,
    },
    /// client-go's rule: a leader must stop before others begin, and have time to try twice.
    #[error("LEASE_DURATION {:?}, RENEW_DEADLINE {:?}, RETRY_PERIOD {:?}: each must be longer than the next, and the last two apart by a fifth", .0.lease, .0.renew, .0.retry)]
    Terms(Terms),
}

// === impl Config ===

impl Config {
    /// Resolves what was typed. Reads the service account's namespace from its file where `POD_NAMESPACE` is not set.
    ///
    /// # Errors
    /// The first setting that is missing or wrong.
    pub fn resolve(args: Args) -> Result<Self, ConfigError> {
        Self::resolve_in(args, Path::new(NAMESPACE_FILE))
    }

    fn resolve_in(args: Args, namespace_file: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            provisioner: provisioner(args.provisioner_name)?,
            share: share(
                args.nfs_server,
                args.nfs_path,
                args.nfs_port,
                args.mount_port,
            )?,
            nfs: nfs(
                args.nfs_uid,
                args.nfs_gid,
                args.nfs_in_flight,
                args.nfs_call_timeout,
            )?,
            kubeconfig: Set::new("KUBECONFIG", args.kubeconfig)
                .text()
                .map(PathBuf::from),
            lock: if leader_election(args.enable_leader_election)? {
                let terms = terms(args.lease_duration, args.renew_deadline, args.retry_period)?;
                Some(Lock {
                    namespace: namespace(args.pod_namespace, namespace_file)?,
                    terms,
                })
            } else {
                None
            },
            limits: Limits {
                claims: Set::new("CLAIM_CONCURRENCY", args.claim_concurrency).parse_or(
                    64,
                    "a count from 1",
                    positive,
                )?,
                volumes: Set::new("VOLUME_CONCURRENCY", args.volume_concurrency).parse_or(
                    16,
                    "a count from 1",
                    positive,
                )?,
            },
            grace: Set::new("GRACE_PERIOD", args.grace_period).parse_or(
                Duration::from_secs(25),
                value::DURATION,
                duration,
            )?,
            metrics: metrics(args.metrics_addr)?,
            log: log(
                args.log_format,
                args.rust_log,
                args.log_level,
                args.verbosity,
            )?,
        })
    }
}

fn provisioner(name: Option<String>) -> Result<String, ConfigError> {
    let set = Set::new("PROVISIONER_NAME", name);
    let name = set.required("give the name that your classes have as their provisioner, for example k8s-sigs.io/nfs-subdir-external-provisioner")?;
    set.check(
        name,
        "a name that a class can have as its provisioner, such as example.com/nfs",
        qualified_name,
    )
}

fn leader_election(text: Option<String>) -> Result<bool, ConfigError> {
    Set::new("ENABLE_LEADER_ELECTION", text).parse_or(true, "true or false", parse_bool)
}

fn terms(
    lease: Option<String>,
    renew: Option<String>,
    retry: Option<String>,
) -> Result<Terms, ConfigError> {
    let default = Terms::default();
    let terms = Terms {
        // The lock says it in whole seconds.
        lease: Set::new("LEASE_DURATION", lease).parse_or(
            default.lease,
            "a duration of whole seconds, such as 15s",
            value::whole_seconds,
        )?,
        renew: Set::new("RENEW_DEADLINE", renew).parse_or(
            default.renew,
            value::DURATION,
            duration,
        )?,
        retry: Set::new("RETRY_PERIOD", retry).parse_or(
            default.retry,
            value::DURATION,
            duration,
        )?,
    };
    if terms.lease > terms.renew && terms.renew > terms.retry.mul_f64(1.2) {
        Ok(terms)
    } else {
        Err(ConfigError::Terms(terms))
    }
}

fn namespace(text: Option<String>, file: &Path) -> Result<String, ConfigError> {
    let of_account = || {
        std::fs::read_to_string(file)
            .ok()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let set = Set::new("POD_NAMESPACE", text);
    match set.text() {
        Some(name) => set.check(name, "the name of a namespace", value::label),
        None => Ok(of_account().unwrap_or_else(|| "default".into())),
    }
}

fn metrics(text: Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
    // Here empty is not the same as not set.
    if text.as_deref() == Some("") {
        return Ok(None);
    }
    Set::new("METRICS_ADDR", text)
        .parse_or(
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080)),
            "an address with a port, such as :8080 or 127.0.0.1:8080",
            value::address,
        )
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_FILE: &str = "/nonexistent/namespace";

    /// What the Go provisioner's own Deployment sets, and more.
    fn mk_args(more: &[(&str, &str)]) -> Args {
        let mut args = Args {
            provisioner_name: Some("k8s-sigs.io/nfs-subdir-external-provisioner".into()),
            nfs_server: Some("10.3.243.101".into()),
            nfs_path: Some("/ifs/kubernetes".into()),
            ..Args::default()
        };
        for (name, value) in more {
            *field(&mut args, name) = Some((*value).to_owned());
        }
        args
    }

    fn field<'a>(args: &'a mut Args, name: &str) -> &'a mut Option<String> {
        match name {
            "PROVISIONER_NAME" => &mut args.provisioner_name,
            "NFS_SERVER" => &mut args.nfs_server,
            "NFS_PATH" => &mut args.nfs_path,
            "NFS_PORT" => &mut args.nfs_port,
            "MOUNT_PORT" => &mut args.mount_port,
            "NFS_UID" => &mut args.nfs_uid,
            "NFS_GID" => &mut args.nfs_gid,
            "NFS_IN_FLIGHT" => &mut args.nfs_in_flight,
            "NFS_CALL_TIMEOUT" => &mut args.nfs_call_timeout,
            "KUBECONFIG" => &mut args.kubeconfig,
            "ENABLE_LEADER_ELECTION" => &mut args.enable_leader_election,
            "POD_NAMESPACE" => &mut args.pod_namespace,
            "LEASE_DURATION" => &mut args.lease_duration,
            "RENEW_DEADLINE" => &mut args.renew_deadline,
            "RETRY_PERIOD" => &mut args.retry_period,
            "CLAIM_CONCURRENCY" => &mut args.claim_concurrency,
            "VOLUME_CONCURRENCY" => &mut args.volume_concurrency,
            "GRACE_PERIOD" => &mut args.grace_period,
            "METRICS_ADDR" => &mut args.metrics_addr,
            "LOG_FORMAT" => &mut args.log_format,
            "LOG_LEVEL" => &mut args.log_level,
            "RUST_LOG" => &mut args.rust_log,
            "-v" => &mut args.verbosity,
            other => panic!("no setting {other}"),
        }
    }

    fn mk_config(more: &[(&str, &str)]) -> Config {
        Config::resolve_in(mk_args(more), Path::new(NO_FILE)).unwrap()
    }

    fn namespace_of(config: &Config) -> &str {
        &config.lock.as_ref().unwrap().namespace
    }

    #[test]
    fn the_go_deployments_environment_is_enough() {
        let config = mk_config(&[]);
        assert_eq!(
            config.provisioner,
            "k8s-sigs.io/nfs-subdir-external-provisioner"
        );
        assert_eq!(
            config.share.root.to_string(),
            "10.3.243.101:/ifs/kubernetes"
        );
        assert_eq!(
            (
                config.share.nfs_port,
                config.share.mount_port,
                config.kubeconfig
            ),
            (None, None, None)
        );
        assert_eq!(
            config.lock,
            Some(Lock {
                namespace: "default".into(),
                terms: Terms::default()
            })
        );
        assert_eq!(
            (
                config.nfs.uid,
                config.nfs.gid,
                config.nfs.in_flight,
                config.nfs.deadline
            ),
            (0, 0, 128, Duration::from_secs(30))
        );
        assert_eq!(
            config.limits,
            Limits {
                claims: 64,
                volumes: 16
            }
        );
        assert_eq!(
            (config.grace, config.metrics),
            (Duration::from_secs(25), "[::]:8080".parse().ok())
        );
        assert_eq!(
            config.log,
            Log {
                format: Format::Auto,
                filter: "info".into()
            }
        );
    }

    #[test]
    fn every_setting_has_its_effect() {
        let config = mk_config(&[
            ("NFS_PATH", "//ifs/./kubernetes/"),
            ("NFS_PORT", "2050"),
            ("MOUNT_PORT", "20048"),
            ("NFS_UID", "65534"),
            ("NFS_GID", "100"),
            ("NFS_IN_FLIGHT", "8"),
            ("NFS_CALL_TIMEOUT", "1m30s"),
            ("KUBECONFIG", "/etc/kube"),
            ("POD_NAMESPACE", "storage"),
            ("LEASE_DURATION", "4s"),
            ("RENEW_DEADLINE", "3s"),
            ("RETRY_PERIOD", "500ms"),
            ("CLAIM_CONCURRENCY", "1"),
            ("VOLUME_CONCURRENCY", "2"),
            ("GRACE_PERIOD", "5s"),
            ("METRICS_ADDR", "[::]:9090"),
            ("LOG_FORMAT", "json"),
            ("LOG_LEVEL", "info,nfs_export=debug"),
        ]);
        assert_eq!(config.share.root.path(), "/ifs/kubernetes");
        assert_eq!(
            (config.share.nfs_port, config.share.mount_port),
            (Some(2050), Some(20048))
        );
        assert_eq!(
            (
                config.nfs.uid,
                config.nfs.gid,
                config.nfs.in_flight,
                config.nfs.deadline
            ),
            (65534, 100, 8, Duration::from_secs(90))
        );
        assert_eq!(config.kubeconfig.as_deref(), Some(Path::new("/etc/kube")));
        assert_eq!(namespace_of(&config), "storage");
        let terms = Terms {
            lease: Duration::from_secs(4),
            renew: Duration::from_secs(3),
            retry: Duration::from_millis(500),
        };
        assert_eq!(config.lock.unwrap().terms, terms);
        assert_eq!(
            config.limits,
            Limits {
                claims: 1,
                volumes: 2
            }
        );
        assert_eq!(
            (config.grace, config.metrics),
            (Duration::from_secs(5), "[::]:9090".parse().ok())
        );
        assert_eq!(
            config.log,
            Log {
                format: Format::Json,
                filter: "info,nfs_export=debug".into()
            }
        );
    }

    /// A setting that is wrong, and words that its one line has beside the name.
    #[test]
    fn what_is_missing_or_wrong_is_named_in_one_line() {
        for (name, value, word) in [
            ("PROVISIONER_NAME", "", "is not set"),
            ("NFS_SERVER", "", "is not set"),
            ("NFS_PATH", "", "is not set"),
            ("PROVISIONER_NAME", "a/b/c", "\"a/b/c\""),
            ("PROVISIONER_NAME", "under_score.io/x", "a class can have"),
            ("PROVISIONER_NAME", "-x", "a class can have"),
            ("NFS_SERVER", "nas:/data", "the path goes into NFS_PATH"),
            ("NFS_SERVER", "two words", "a host name or address"),
            ("NFS_PATH", "data/nfs", "an absolute path"),
            ("NFS_PORT", "0", "a port number"),
            ("MOUNT_PORT", "mountd", "a port number"),
            ("NFS_UID", "root", "a user number"),
            ("NFS_GID", "-1", "a group number"),
            ("NFS_IN_FLIGHT", "0", "a count from 1"),
            ("NFS_CALL_TIMEOUT", "0s", "a duration"),
            ("ENABLE_LEADER_ELECTION", "yes", "true or false"),
            ("POD_NAMESPACE", "Not-A-Namespace", "a namespace"),
            ("LEASE_DURATION", "1500ms", "whole seconds"),
            ("LEASE_DURATION", "10s", "each must be longer"),
            ("RENEW_DEADLINE", "soon", "a duration"),
            ("RENEW_DEADLINE", "2s", "each must be longer"),
            ("RETRY_PERIOD", "-2s", "a duration"),
            ("RETRY_PERIOD", "9s", "apart by a fifth"),
            ("CLAIM_CONCURRENCY", "0", "a count from 1"),
            ("VOLUME_CONCURRENCY", "many", "a count from 1"),
            ("GRACE_PERIOD", "25 parsecs", "a duration"),
            ("METRICS_ADDR", "8080", "an address with a port"),
            ("LOG_FORMAT", "xml", "text or json"),
            ("LOG_LEVEL", "nfs_export=loud", "a list of directives"),
            ("RUST_LOG", "a=b=c", "directives"),
            ("-v", "four", "a number"),
        ] {
            let line = Config::resolve_in(mk_args(&[(name, value)]), Path::new(NO_FILE))
                .unwrap_err()
                .to_string();
            assert!(
                line.contains(name) && line.contains(word),
                "{name}={value}: {line}"
            );
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn leader_election_is_on_unless_go_would_read_it_as_false() {
        for (text, on) in [
            ("", true),
            ("true", true),
            ("1", true),
            ("T", true),
            ("false", false),
            ("0", false),
            ("F", false),
        ] {
            assert_eq!(
                mk_config(&[("ENABLE_LEADER_ELECTION", text)])
                    .lock
                    .is_some(),
                on,
                "{text}"
            );
        }
    }

    #[test]
    fn the_locks_namespace_is_the_pods_then_the_accounts_then_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let resolve =
            |more: &[(&str, &str)]| Config::resolve_in(mk_args(more), file.path()).unwrap();
        assert_eq!(namespace_of(&resolve(&[])), "default", "the file is empty");
        std::fs::write(file.path(), "storage\n").unwrap();
        assert_eq!(namespace_of(&resolve(&[])), "storage");
        assert_eq!(
            namespace_of(&resolve(&[("POD_NAMESPACE", "other")])),
            "other"
        );
    }

    #[test]
    fn what_the_kubelet_sets_for_a_service_named_nfs_is_not_a_port() {
        let config = mk_config(&[
            ("NFS_PORT", "tcp://10.96.0.7:2049"),
            ("MOUNT_PORT", "udp://10.96.0.8:20048"),
        ]);
        assert_eq!(
            (config.share.nfs_port, config.share.mount_port),
            (None, None)
        );
    }

    #[test]
    fn metrics_are_off_only_when_the_address_is_empty() {
        assert_eq!(mk_config(&[("METRICS_ADDR", "")]).metrics, None);
        assert_eq!(
            mk_config(&[("METRICS_ADDR", ":9100")]).metrics,
            "[::]:9100".parse().ok()
        );
    }

    #[test]
    fn verbosity_is_that_of_the_go_logger_unless_a_level_is_given() {
        for (verbosity, level, filter) in [
            ("0", "", "info"),
            ("3", "", "info"),
            ("4", "", "debug"),
            ("5", "", "debug"),
            ("6", "", "trace"),
            ("9", "warn", "warn"),
        ] {
            assert_eq!(
                mk_config(&[("-v", verbosity), ("LOG_LEVEL", level)])
                    .log
                    .filter,
                filter,
                "-v={verbosity} {level}"
            );
        }
        assert_eq!(
            mk_config(&[("LOG_LEVEL", "warn"), ("RUST_LOG", "trace")])
                .log
                .filter,
            "trace"
        );
    }

    #[test]
    fn names_that_a_class_can_have_are_taken() {
        for name in [
            "fuseim.pri/ifs",
            "nfs",
            "k8s-sigs.io/nfs-subdir-external-provisioner",
            "Cluster.Local/Release_nfs.1",
            "a/b",
        ] {
            assert_eq!(mk_config(&[("PROVISIONER_NAME", name)]).provisioner, name);
        }
    }
}
