//! The process metrics that every Prometheus client has, read from /proc.
//!
//! What cannot be read (no /proc, another system) is left out.

use std::fs;

use super::{Readings, families};

/// Reads everything.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are floating point, and these numbers are far below 2^53"
)]
pub(super) fn read(out: &mut Readings) {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let Some(stat) = text("/proc/self/stat").as_deref().and_then(Stat::parse) {
        out.add(&families::PROCESS_CPU, [], stat.cpu_ticks as f64 / ticks);
        out.add(&families::PROCESS_THREADS, [], stat.threads as f64);
        out.add(&families::PROCESS_VSZ, [], stat.virtual_bytes as f64);
        out.add(
            &families::PROCESS_RSS,
            [],
            (stat.resident_pages * rustix::param::page_size() as u64) as f64,
        );
        if let Some(boot) = text("/proc/stat").as_deref().and_then(boot_time) {
            out.add(
                &families::PROCESS_START,
                [],
                boot as f64 + stat.start_ticks as f64 / ticks,
            );
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.add(&families::PROCESS_FDS, [], open.count() as f64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        out.add(&families::PROCESS_MAX_FDS, [], most as f64);
    }
}

/// Some of proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may hold blanks and parentheses itself.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: number(14)? + number(15)?,
            threads: number(20)?,
            start_ticks: number(22)?,
            virtual_bytes: number(23)?,
            resident_pages: number(24)?,
        })
    }
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let line = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 12345 1073741824 2048 18446744073709551615 1 1";
        let stat = Stat {
            cpu_ticks: 300,
            threads: 7,
            start_ticks: 12345,
            virtual_bytes: 1 << 30,
            resident_pages: 2048,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("42 (cut short) S 1"), None);
    }

    #[test]
    fn the_boot_time_is_one_line_of_many() {
        assert_eq!(
            boot_time("cpu  1 2 3\nctxt 5\nbtime 1700000000\nprocesses 9\n"),
            Some(1_700_000_000)
        );
    }
}
