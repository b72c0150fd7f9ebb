//! A server that lets in a few connections at once, as Courier, Exim and Postfix can be told to.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::tests::{ann_sends, dns, here, queue_is_empty, settings};
use mta::queue::Schedule;
use net::{ListenAddr, Listener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

/// Takes its time over each message.
async fn take_mail(stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 few.test\r\n").await.ok()?;
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            _ if in_data && line != ".\r\n" => continue,
            _ if in_data => {
                in_data = false;
                tokio::time::sleep(Duration::from_millis(50)).await;
                b"250 taken\r\n"
            }
            "DATA" => {
                in_data = true;
                b"354 go\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await.ok()?;
    }
}

/// Lets in three at once; to the others it says 421, or hangs up without a word. Counts those.
async fn few() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let refused = Arc::new(AtomicUsize::new(0));
    let (places, counted) = (Arc::new(Semaphore::new(3)), Arc::clone(&refused));
    tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            let mut stream = connection.into_tcp().unwrap();
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                tokio::spawn(async move {
                    take_mail(stream).await;
                    drop(place);
                });
            } else if counted.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                let _ = stream.write_all(b"421 4.7.0 too many connections\r\n").await;
            }
        }
    });
    (address, refused)
}

#[tokio::test]
async fn who_lets_in_three_at_once_gets_everything_over_three() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, refused) = few().await;
    let mut settings = settings(&resolver, &[("mx.there.test", address)]);
    // What is put off is not seen again in this test.
    settings.schedule = Schedule { retry_secs: vec![3_600], ..Schedule::default() };
    for _ in 0..40 {
        ann_sends(&here, &["carol@there.test"]).await;
    }
    here.send(settings);
    queue_is_empty(&here).await;
    let refused = refused.load(Ordering::Relaxed);
    assert!((1..=10).contains(&refused), "it is asked for more now and then, not over and over: {refused}");
    let trace = here.context.store.trace_find("address", "carol@there.test", 500).await.unwrap();
    assert_eq!(trace.iter().filter(|event| event.what == "delivered").count(), 40);
    assert_eq!(trace.iter().filter(|event| event.what == "deferred").count(), 0, "{trace:?}");
    here.close().await;
}
