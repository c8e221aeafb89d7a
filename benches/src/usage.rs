//! What a process has used: CPU and memory, from /proc.

use std::time::Duration;

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

/// CPU since its start, and memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory, MiB.
    pub(crate) rss: f64,
    /// Most that it ever was, MiB.
    pub(crate) peak: f64,
}

// === impl Usage ===

impl Usage {
    /// Of this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let usage = Self::of("self")?;
        // In /proc it is counted in steps of 10 ms.
        Ok(Self {
            cpu: Duration::try_from(cpu).context("CPU clock")?,
            ..usage
        })
    }

    /// Of process `pid`.
    pub(crate) fn of(pid: &str) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        Ok(Self {
            cpu: cpu(&stat).context("CPU time in /proc/PID/stat")?,
            rss: mebibytes(&status, "VmRSS:").context("VmRSS in /proc/PID/status")?,
            peak: mebibytes(&status, "VmHWM:").context("VmHWM in /proc/PID/status")?,
        })
    }
}

/// Fields 14 and 15, counted behind the name, which may hold anything but a closing bracket.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let ticks = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(
        Duration::from_secs(ticks).as_secs_f64() / ticks_per_second(),
    ))
}

fn ticks_per_second() -> f64 {
    Duration::from_secs(rustix::param::clock_ticks_per_second()).as_secs_f64()
}

fn mebibytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        let seconds = cpu(stat).unwrap().as_secs_f64() * ticks_per_second();
        assert!((seconds - 300.0).abs() < 1e-6, "{seconds}");
    }

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(mebibytes(status, "VmRSS:"), Some(2.0));
        assert_eq!(mebibytes(status, "VmHWM:"), Some(4.0));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
    }
}
