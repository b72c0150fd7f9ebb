//! Alone in its process: it uses up all descriptors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use net::{ListenAddr, Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_lack_of_descriptors_is_waited_out() {
    let limit = Rlimit { current: Some(64), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let ListenAddr::Tcp(addr) = listener.local() else { panic!() };
    // The first one makes the runtime's own descriptors; the second waits in the kernel.
    let _first = TcpStream::connect(addr).await.unwrap();
    let _taken = listener.accept().await.unwrap();
    let _second = TcpStream::connect(addr).await.unwrap();
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!hoard.is_empty());
    let waiting = tokio::time::timeout(Duration::from_millis(150), listener.accept()).await;
    assert!(waiting.is_err(), "{:?}", waiting.map(|accepted| accepted.map(|_| ())));
    drop(hoard);
    tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
}
