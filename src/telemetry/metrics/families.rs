//! The list of all families, in one place: docs/metrics.md, the dashboard and the alerts are held to it.
//!
//! The six `controller_*` names are those of the library under the Go provisioner. Everything else begins with `nfs_provisioner_`,
//! but for the process metrics, whose names are the same in all of Prometheus' world.

use super::family::Family;

/// Bounds of durations of whole operations: a claim takes milliseconds, a removal of millions of files minutes.
const OPERATION: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
];
/// Bounds of durations of single calls: those that the NFS client counts by.
const CALL: &[f64] = &nfs_export::DURATION_BUCKETS;

// --- the library's ---

/// Claims provisioned.
pub const PROVISION_TOTAL: Family<1> = Family::counter(
    "controller_persistentvolumeclaim_provision_total",
    ["class"],
    "Claims that got their volume.",
);
/// Attempts at a claim that failed.
pub const PROVISION_FAILED: Family<1> = Family::counter(
    "controller_persistentvolumeclaim_provision_failed_total",
    ["class"],
    "Attempts at provisioning a claim that failed.",
);
/// How long a claim took.
pub const PROVISION_DURATION: Family<1> = Family::histogram(
    "controller_persistentvolumeclaim_provision_duration_seconds",
    ["class"],
    OPERATION,
    "Time from taking up a claim to its volume; failed attempts are left out.",
);
/// Volumes deleted.
pub const DELETE_TOTAL: Family<1> = Family::counter(
    "controller_persistentvolume_delete_total",
    ["class"],
    "Volumes deleted, their directories removed, archived or retained.",
);
/// Attempts at a volume that failed.
pub const DELETE_FAILED: Family<1> = Family::counter(
    "controller_persistentvolume_delete_failed_total",
    ["class"],
    "Attempts at deleting a volume that failed.",
);
/// How long a deletion took.
pub const DELETE_DURATION: Family<1> = Family::histogram(
    "controller_persistentvolume_delete_duration_seconds",
    ["class"],
    OPERATION,
    "Time from taking up a volume to the end of its deletion; failed attempts are left out.",
);

// --- work ---

/// Keys waiting.
pub const QUEUE_DEPTH: Family<1> = Family::gauge(
    "nfs_provisioner_queue_depth",
    ["work"],
    "Claims or volumes in the work queue, those that wait for another attempt included.",
);
/// How long the unluckiest claim has waited.
pub const OLDEST_WAITING: Family<0> = Family::gauge(
    "nfs_provisioner_oldest_waiting_claim_seconds",
    [],
    "Age of the oldest claim that is ours and has no volume yet; 0 when none waits.",
);
/// Work that is done again.
pub const RETRIES: Family<1> = Family::counter(
    "nfs_provisioner_retries_total",
    ["work"],
    "Attempts at a claim or a volume after one that failed.",
);
/// Claims that are ours.
pub const CLAIMS: Family<2> = Family::gauge(
    "nfs_provisioner_claims",
    ["phase", "class"],
    "Claims of our classes by phase.",
);
/// Volumes that are ours.
pub const VOLUMES: Family<2> = Family::gauge(
    "nfs_provisioner_volumes",
    ["phase", "class"],
    "Volumes of this provisioner by phase.",
);
/// What was promised.
pub const PROVISIONED_BYTES: Family<1> = Family::gauge(
    "nfs_provisioner_provisioned_bytes",
    ["class"],
    "Sum of the capacities of this provisioner's volumes.",
);
/// Removals now.
pub const REMOVALS: Family<0> = Family::gauge(
    "nfs_provisioner_removals_in_progress",
    [],
    "Directories that are being removed now.",
);
/// Files and directories removed.
pub const ENTRIES_REMOVED: Family<0> = Family::counter(
    "nfs_provisioner_entries_removed_total",
    [],
    "Files and directories removed from shares.",
);
/// Who leads.
pub const LEADER: Family<0> = Family::gauge(
    "nfs_provisioner_leader",
    [],
    "1 in the process that holds the lock, 0 in those that stand by.",
);

// --- shares ---

/// Whether a share answers.
pub const SHARE_UP: Family<1> = Family::gauge(
    "nfs_provisioner_share_up",
    ["share"],
    "1 when the share is connected and mounted, 0 when it does not answer.",
);
/// Round trip.
pub const SHARE_ROUND_TRIP: Family<1> = Family::gauge(
    "nfs_provisioner_share_round_trip_seconds",
    ["share"],
    "Time that the last call to the share took, from sent to answered.",
);
/// Room in all.
pub const SHARE_SIZE: Family<1> = Family::gauge(
    "nfs_provisioner_share_size_bytes",
    ["share"],
    "Size of the share's file system (FSSTAT).",
);
/// Room left.
pub const SHARE_AVAILABLE: Family<1> = Family::gauge(
    "nfs_provisioner_share_available_bytes",
    ["share"],
    "Bytes that can still be written to the share (FSSTAT).",
);
/// Inodes in all.
pub const SHARE_INODES: Family<1> = Family::gauge(
    "nfs_provisioner_share_inodes",
    ["share"],
    "File slots of the share's file system (FSSTAT).",
);
/// Inodes left.
pub const SHARE_INODES_AVAILABLE: Family<1> = Family::gauge(
    "nfs_provisioner_share_available_inodes",
    ["share"],
    "File slots that are still free on the share (FSSTAT).",
);
/// Archives.
pub const ARCHIVES: Family<1> = Family::gauge(
    "nfs_provisioner_share_archives",
    ["share"],
    "Directories at the share's root whose name begins with archived-.",
);
/// NFS calls.
pub const NFS_CALLS: Family<3> = Family::counter(
    "nfs_provisioner_nfs_calls_total",
    ["share", "procedure", "status"],
    "Calls ended, by procedure and NFS status; status timeout, lost or cancelled when there was no answer.",
);
/// NFS call durations.
pub const NFS_DURATION: Family<2> = Family::histogram(
    "nfs_provisioner_nfs_call_duration_seconds",
    ["share", "procedure"],
    CALL,
    "Time from handing a call to the connection to its end.",
);
/// NFS calls now.
pub const NFS_IN_FLIGHT: Family<1> = Family::gauge(
    "nfs_provisioner_nfs_calls_in_flight",
    ["share"],
    "Calls sent and not answered yet.",
);
/// Calls sent again.
pub const NFS_RETRANSMITS: Family<1> = Family::counter(
    "nfs_provisioner_nfs_retransmits_total",
    ["share"],
    "Calls sent again on a new connection.",
);
/// New connections.
pub const NFS_RECONNECTS: Family<1> = Family::counter(
    "nfs_provisioner_nfs_reconnects_total",
    ["share"],
    "Connections to the share after the first.",
);

// --- API server, events, process ---

/// API requests.
pub const API_REQUESTS: Family<2> = Family::counter(
    "nfs_provisioner_api_requests_total",
    ["verb", "code"],
    "Requests to the API server by verb and HTTP status; code error without an answer, dropped when cancelled.",
);
/// API request durations.
pub const API_DURATION: Family<1> = Family::histogram(
    "nfs_provisioner_api_request_duration_seconds",
    ["verb"],
    CALL,
    "Time from a request to the head of its answer; watches count until they begin.",
);
/// Events by what became of them.
pub const EVENTS: Family<1> = Family::counter(
    "nfs_provisioner_events_total",
    ["outcome"],
    "Events by outcome: created, recounted (a repeat), dropped (no room), failed.",
);
/// Events waiting.
pub const EVENTS_PENDING: Family<0> = Family::gauge(
    "nfs_provisioner_events_pending",
    [],
    "Events not written yet.",
);
/// Which program this is.
pub const BUILD_INFO: Family<1> = Family::gauge(
    "nfs_provisioner_build_info",
    ["version"],
    "Always 1; the label says which version runs.",
);
/// Process: CPU.
pub const PROCESS_CPU: Family<0> = Family::counter(
    "process_cpu_seconds_total",
    [],
    "Total user and system CPU time spent in seconds.",
);
/// Process: resident memory.
pub const PROCESS_RSS: Family<0> = Family::gauge(
    "process_resident_memory_bytes",
    [],
    "Resident memory size in bytes.",
);
/// Process: virtual memory.
pub const PROCESS_VSZ: Family<0> = Family::gauge(
    "process_virtual_memory_bytes",
    [],
    "Virtual memory size in bytes.",
);
/// Process: threads.
pub const PROCESS_THREADS: Family<0> = Family::gauge(
    "process_threads",
    [],
    "Number of OS threads in the process.",
);
/// Process: file descriptors.
pub const PROCESS_FDS: Family<0> =
    Family::gauge("process_open_fds", [], "Number of open file descriptors.");
/// Process: bound on file descriptors.
pub const PROCESS_MAX_FDS: Family<0> = Family::gauge(
    "process_max_fds",
    [],
    "Maximum number of open file descriptors.",
);
/// Process: start.
pub const PROCESS_START: Family<0> = Family::gauge(
    "process_start_time_seconds",
    [],
    "Start time of the process since unix epoch in seconds.",
);
