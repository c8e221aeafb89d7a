//! What was typed: every setting as a flag and as an environment variable, read as text and not judged; [`crate::config`] does that.
//!
//! The Go provisioner's flags are those of its logger (`-v=4`, `-logtostderr`); they are taken with one dash or two, so that a Deployment's `args` go on
//! working. Of these only `-v` has an effect: the log always goes to standard error.

use clap::Parser;
use std::ffi::OsString;

/// The command line and the environment.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "nfs-subdir-external-provisioner",
    version,
    about,
    max_term_width = 120
)]
#[command(
    after_help = "Durations are written 500ms, 15s or 1m30s. Flags win over the environment."
)]
pub struct Args {
    /// Name that classes give as their provisioner
    #[arg(
        long,
        env = "PROVISIONER_NAME",
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub provisioner_name: Option<String>,
    /// Host name or address of the NFS server
    #[arg(
        long,
        env = "NFS_SERVER",
        value_name = "HOST",
        allow_hyphen_values = true
    )]
    pub nfs_server: Option<String>,
    /// Absolute path of the share on that server
    #[arg(
        long,
        env = "NFS_PATH",
        value_name = "PATH",
        allow_hyphen_values = true
    )]
    pub nfs_path: Option<String>,
    /// Port of NFS on the server [default: asked of its portmapper]
    #[arg(long, env = "NFS_PORT", value_name = "PORT")]
    pub nfs_port: Option<String>,
    /// Port of MOUNT on the server [default: asked of its portmapper]
    #[arg(long, env = "MOUNT_PORT", value_name = "PORT")]
    pub mount_port: Option<String>,
    /// User that directories are made as [default: 0]
    #[arg(long, env = "NFS_UID", value_name = "UID")]
    pub nfs_uid: Option<String>,
    /// Group that directories are made as [default: 0]
    #[arg(long, env = "NFS_GID", value_name = "GID")]
    pub nfs_gid: Option<String>,
    /// Calls in flight on one NFS connection [default: 128]
    #[arg(long, env = "NFS_IN_FLIGHT", value_name = "CALLS")]
    pub nfs_in_flight: Option<String>,
    /// Time that one NFS call may take [default: 30s]
    #[arg(long, env = "NFS_CALL_TIMEOUT", value_name = "DURATION")]
    pub nfs_call_timeout: Option<String>,
    /// Kubeconfig file [default: the pod's service account]
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<String>,
    /// Whether only one of several provisioners of the same name works at a time [default: true]
    #[arg(long, env = "ENABLE_LEADER_ELECTION", value_name = "BOOL")]
    pub enable_leader_election: Option<String>,
    /// Namespace of the leader lock [default: the service account's, else "default"]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// How long others wait for a leader that is not heard of [default: 15s]
    #[arg(long, env = "LEASE_DURATION", value_name = "DURATION")]
    pub lease_duration: Option<String>,
    /// How long a leader that cannot renew its lease goes on [default: 10s]
    #[arg(long, env = "RENEW_DEADLINE", value_name = "DURATION")]
    pub renew_deadline: Option<String>,
    /// Time between two attempts to take or renew the lease [default: 2s]
    #[arg(long, env = "RETRY_PERIOD", value_name = "DURATION")]
    pub retry_period: Option<String>,
    /// Claims worked on at the same time, on each share [default: 64]
    #[arg(long, env = "CLAIM_CONCURRENCY", value_name = "COUNT")]
    pub claim_concurrency: Option<String>,
    /// Volumes deleted at the same time, on each share [default: 16]
    #[arg(long, env = "VOLUME_CONCURRENCY", value_name = "COUNT")]
    pub volume_concurrency: Option<String>,
    /// Time for what is under way to finish after SIGTERM [default: 25s]
    #[arg(long, env = "GRACE_PERIOD", value_name = "DURATION")]
    pub grace_period: Option<String>,
    /// Address for metrics and health, empty for none [default: :8080]
    #[arg(long, env = "METRICS_ADDR", value_name = "ADDRESS")]
    pub metrics_addr: Option<String>,
    /// auto (text on a terminal, else json), text or json [default: auto]
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// error, warn, info, debug, trace, or directives such as info,nfs_export=debug [default: info]
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Directives that win over LOG_LEVEL
    #[arg(long, env = "RUST_LOG", value_name = "DIRECTIVES", hide = true)]
    pub rust_log: Option<String>,
    /// As the Go provisioner's: from 4 on debug, from 6 on trace
    #[arg(
        short = 'v',
        long = "v",
        value_name = "LEVEL",
        allow_hyphen_values = true
    )]
    pub verbosity: Option<String>,
    #[command(flatten)]
    pub(crate) logger: Logger,
}

/// Flags of the Go logger, taken for the sake of Deployments that give them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Logger {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    #[arg(long = "add_dir_header", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    #[arg(long = "one_output", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    one_output: Option<String>,
    #[arg(long = "skip_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    #[arg(long, hide = true)]
    stderrthreshold: Option<String>,
    #[arg(long, hide = true)]
    vmodule: Option<String>,
    #[arg(long = "log_backtrace_at", hide = true)]
    log_backtrace_at: Option<String>,
    #[arg(long = "log_dir", hide = true)]
    log_dir: Option<String>,
    #[arg(long = "log_file", hide = true)]
    log_file: Option<String>,
    #[arg(long = "log_file_max_size", hide = true)]
    log_file_max_size: Option<String>,
}

/// Why the process ends before it begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The help or the version was asked for: this text goes to standard output, and all is well.
    #[error("{0}")]
    Shown(String),
    /// The command line is wrong: one line, naming what is.
    #[error("{0}")]
    Usage(String),
}

// === impl Args ===

impl Args {
    /// Reads the command line (the program's name first) and the process's environment.
    ///
    /// # Errors
    /// [`Stop`]: help, version, or what is wrong.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        Self::try_parse_from(line.into_iter().map(with_two_dashes)).map_err(|error| {
            let text = error.render().to_string();
            if error.use_stderr() {
                Stop::Usage(first_line(&text))
            } else {
                Stop::Shown(text)
            }
        })
    }
}

/// Go takes `-name` for `--name`. A single letter stays as it is, and so does whatever does not begin with a dash and a letter.
fn with_two_dashes(argument: OsString) -> OsString {
    let Some(text) = argument.to_str() else {
        return argument;
    };
    let name = text
        .strip_prefix('-')
        .map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
    match name {
        Some(name)
            if name.len() > 1 && name.starts_with(|first: char| first.is_ascii_alphabetic()) =>
        {
            format!("-{text}").into()
        }
        _ => argument,
    }
}

/// What clap says in its first line; the rest repeats the usage.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(line: &[&str]) -> Result<Args, Stop> {
        Args::read(["provisioner"].iter().chain(line).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_and_a_variable_of_the_same_name() {
        let command = Args::command();
        let settings: Vec<_> = command
            .get_arguments()
            .filter(|argument| argument.get_env().is_some())
            .collect();
        for name in [
            "PROVISIONER_NAME",
            "NFS_SERVER",
            "NFS_PATH",
            "KUBECONFIG",
            "ENABLE_LEADER_ELECTION",
            "POD_NAMESPACE",
        ] {
            assert!(
                settings
                    .iter()
                    .any(|setting| setting.get_env().unwrap() == name),
                "{name} is the Go provisioner's"
            );
        }
        for setting in &settings {
            let flag = setting.get_long().unwrap().replace('-', "_").to_uppercase();
            assert_eq!(setting.get_env().unwrap().to_str(), Some(flag.as_str()));
        }
        let others = command
            .get_arguments()
            .filter(|argument| argument.get_env().is_none() && !argument.is_hide_set());
        assert_eq!(
            others
                .map(|argument| argument.get_long().unwrap_or_default())
                .collect::<Vec<_>>(),
            ["v"]
        );
    }

    #[test]
    fn flags_of_the_go_logger_are_taken_with_one_dash_or_two() {
        for line in [
            &["-v=4"][..],
            &["--v=4"],
            &["-v", "4"],
            &["--v", "4", "-logtostderr"],
            &["-logtostderr=true", "-v=4"],
            &["-alsologtostderr", "-stderrthreshold=INFO", "-v=4"],
            &[
                "-stderrthreshold",
                "INFO",
                "--vmodule=a=1",
                "-v=4",
                "-log_dir=/tmp",
                "--skip_headers",
                "-add_dir_header=false",
            ],
        ] {
            assert_eq!(
                read(line).unwrap().verbosity.as_deref(),
                Some("4"),
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_boolean_flag_of_the_go_logger_does_not_swallow_the_next_word() {
        let args = read(&["-logtostderr", "--nfs-server", "nas"]).unwrap();
        assert_eq!(args.nfs_server.as_deref(), Some("nas"));
    }

    #[test]
    fn our_flags_are_taken_with_one_dash_too() {
        let args = read(&[
            "-nfs-server=nas",
            "--nfs-path",
            "/data",
            "-provisioner-name",
            "a/b",
        ])
        .unwrap();
        let typed = (
            args.nfs_server.as_deref(),
            args.nfs_path.as_deref(),
            args.provisioner_name.as_deref(),
        );
        assert_eq!(typed, (Some("nas"), Some("/data"), Some("a/b")));
    }

    #[test]
    fn a_wrong_flag_is_told_in_one_line() {
        for (line, word) in [
            (&["--nonsense"][..], "--nonsense"),
            (&["-nonsense=1"], "--nonsense"),
            (&["word"], "word"),
            (&["--nfs-path"], "--nfs-path"),
        ] {
            match read(line) {
                Err(Stop::Usage(text)) => {
                    assert!(text.contains(word) && text.lines().count() == 1, "{text:?}");
                }
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for (line, word) in [
            ("--help", "PROVISIONER_NAME"),
            ("-h", "--nfs-server"),
            ("--version", env!("CARGO_PKG_VERSION")),
        ] {
            match read(&[line]) {
                Err(Stop::Shown(text)) => assert!(text.contains(word), "{text:?}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
