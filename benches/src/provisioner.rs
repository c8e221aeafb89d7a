//! The release binary as a process, under the service account with exactly the Go provisioner's rules.

use std::fs::File;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::usage::Usage;
use crate::world::World;

/// `PROVISIONER_NAME`.
pub(crate) const NAME: &str = "k8s-sigs.io/nfs-subdir-external-provisioner";
/// As the audit log calls the service account.
pub(crate) const ACCOUNT: &str = "system:serviceaccount:default:nfs-client-provisioner";
/// Time in which a clean stop must be over.
const STOP: Duration = Duration::from_secs(40);

/// A provisioner that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Provisioner {
    child: Child,
}

// === impl Provisioner ===

impl Provisioner {
    pub(crate) fn start(world: &World) -> anyhow::Result<Self> {
        Self::start_with(world, &[])
    }

    /// With more in its environment.
    pub(crate) fn start_with(world: &World, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("E2E_BINARY").context("E2E_BINARY is not set")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(world.dir.join("provisioner.log"))?;
        let child = Command::new(binary)
            .env_clear()
            .env("PROVISIONER_NAME", NAME)
            .env("KUBECONFIG", world.get("GO_RBAC_KUBECONFIG")?)
            .env("POD_NAMESPACE", world.get("GO_RBAC_NAMESPACE")?)
            .env("NFS_SERVER", world.get("NFS_SERVER")?)
            .env("NFS_PATH", world.get("NFS_PATH")?)
            .env("METRICS_ADDR", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .envs(std::env::vars().filter_map(|(key, value)| {
                // To try a setting out: BENCH_CLAIM_CONCURRENCY=32 is CLAIM_CONCURRENCY=32 for the provisioner.
                Some((key.strip_prefix("BENCH_")?.to_owned(), value))
            }))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the provisioner")?;
        Ok(Self { child })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.child.id().to_string())
    }

    /// Stands still until [`Self::go_on`], or until it is dropped.
    pub(crate) fn hold(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::STOP)?)
    }

    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// SIGTERM, and the end of the process.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let since = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the provisioner ended with {status}"),
                None if since.elapsed() > STOP => bail!("the provisioner does not stop"),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        // Only what did not stop by itself is still there; nobody is left to tell that it cannot be killed.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
