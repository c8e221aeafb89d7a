//! The NFS double by hand: `nfs_server DIRECTORY [PORT]` serves a directory as `/export` until it is interrupted, and prints each call.

use std::process::ExitCode;
use std::time::Duration;

use testkit::nfs::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let port = |port: std::ffi::OsString| port.to_str()?.parse().ok();
    let (Some(directory), Some(port)) = (args.next(), args.next().map_or(Some(0), port)) else {
        eprintln!("usage: nfs_server DIRECTORY [PORT]");
        return ExitCode::from(2);
    };
    let server = match Server::builder(directory).port(port).start().await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("cannot serve: {error}");
            return ExitCode::FAILURE;
        }
    };
    let port = server.addr().port();
    println!("nfs://127.0.0.1/export?version=3&nfsport={port}&mountport={port}");
    loop {
        let log = server.log();
        let next = log.wait_until(Duration::from_hours(1), |log| log.total() > 0);
        tokio::select! {
            _ = next => {}
            _ = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
        }
        for call in log.calls() {
            let names = call.names.iter().map(|name| String::from_utf8_lossy(name));
            println!("{} {:?}", call.procedure, names.collect::<Vec<_>>());
        }
        // Printed calls need not be kept. One that arrived in between is counted and not printed.
        log.clear();
    }
}
