//! Servers and clients on processors of their own, as on two machines. Left to the scheduler, a client shares the server's processor in one run and not
//! in the next, and the figures say that and nothing else.

use std::path::PathBuf;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::world::World;

/// While it lives, what this thread starts runs on the last processor, and the world's servers on the others.
#[derive(Debug)]
pub(super) struct Apart {
    all: CpuSet,
    servers: Vec<PathBuf>,
}

// === impl Apart ===

impl Apart {
    /// `None` where there is one processor only.
    pub(super) fn new(world: &World) -> anyhow::Result<Option<Self>> {
        let all = sched_getaffinity(None)?;
        let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|&cpu| all.is_set(cpu)) else {
            return Ok(None);
        };
        if all.count() < 2 {
            return Ok(None);
        }
        let (mut others, mut own) = (all, CpuSet::new());
        others.unset(last);
        own.set(last);
        let servers = ["nfs.pid", "knfsd.pid"].map(|name| world.dir.join(name));
        let apart = Self {
            all,
            servers: servers.into(),
        };
        apart.place_servers(&others);
        sched_setaffinity(None, &own)?;
        Ok(Some(apart))
    }

    /// A server that is not there, or has just lost a thread, is none that is measured.
    fn place_servers(&self, cpus: &CpuSet) {
        for file in &self.servers {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let Some(pid) = text.split_whitespace().next() else {
                continue;
            };
            let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for thread in threads.flatten() {
                let number = thread
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok());
                if let Some(thread) = number.and_then(Pid::from_raw) {
                    let _ = sched_setaffinity(Some(thread), cpus);
                }
            }
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.place_servers(&self.all);
        let _ = sched_setaffinity(None, &self.all);
    }
}
