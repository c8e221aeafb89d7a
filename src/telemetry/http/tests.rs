use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;

const CAP: Duration = Duration::from_secs(10);

fn mk_pages() -> Pages {
    Pages {
        metrics: Metrics::new().unwrap(),
        health: Health::default(),
    }
}

async fn mk_server() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(serve(listener, mk_pages(), shutdown.clone()));
    (address, shutdown, task)
}

#[tokio::test]
async fn all_addresses_are_those_of_both_families() {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let listener = bind(everywhere).await;
    let port = listener.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, mk_pages(), shutdown.clone()));
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let reply = get((Ipv4Addr::LOCALHOST, port).into(), request).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
        let reply = get((Ipv6Addr::LOCALHOST, port).into(), request).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    } else {
        println!("no IPv6 on this machine: only IPv4 tried");
    }
    shutdown.cancel();
    task.await.unwrap();
}

#[test]
fn a_kernel_without_ipv6_is_served_over_ipv4() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(
        candidates(at("[::]:8080")),
        [at("[::]:8080"), at("0.0.0.0:8080")]
    );
    assert_eq!(candidates(at("[::1]:8080")), [at("[::1]:8080")]);
    assert_eq!(candidates(at("0.0.0.0:8080")), [at("0.0.0.0:8080")]);
}

async fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    timeout(CAP, stream.read_to_string(&mut reply))
        .await
        .unwrap()
        .unwrap();
    reply
}

#[tokio::test]
async fn pages_are_served_over_a_socket() {
    let (address, shutdown, task) = mk_server().await;
    let reply = get(
        address,
        "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nok"),
        "{reply}"
    );
    let head = get(
        address,
        "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    shutdown.cancel();
    timeout(CAP, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let (address, shutdown, task) = mk_server().await;
    let _idle = TcpStream::connect(address).await.unwrap();
    // Its accept has happened once a later connection is answered.
    get(
        address,
        "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    shutdown.cancel();
    timeout(CAP, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_is_no_http_or_too_large_is_refused() {
    let (address, _shutdown, _task) = mk_server().await;
    assert!(
        get(address, "no such thing\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    let huge = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 * 1024));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close while this is still being sent.
    let _ = stream.write_all(huge.as_bytes()).await;
    let mut reply = Vec::new();
    let _ = timeout(CAP, stream.read_to_end(&mut reply)).await.unwrap();
    assert!(
        !reply.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&reply)
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_waited_for() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(address, mk_pages(), shutdown.clone()));
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    shutdown.cancel();
    timeout(CAP, task).await.unwrap().unwrap();
}
