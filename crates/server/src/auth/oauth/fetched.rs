//! A token server's key set by HTTPS: fetched when it is first needed, then each hour, and when a token names a key it lacks.
//!
//! Invariant: whatever tokens come, it is fetched at most once a minute; what was fetched stays good for a day while the server
//! is away. Must not know: tokens.

use super::jwks::KeySet;
use net::Outside;
use net::outside::Asked;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// As old as this it is not asked for again.
const FRESH: Duration = Duration::from_secs(3_600);
/// As old as this it is still used when the server does not answer.
const KEPT: Duration = Duration::from_secs(86_400);
/// Between two attempts, when there is a set to go on with, and when there is none.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_WITHOUT: Duration = Duration::from_secs(5);
/// Octets of a set.
const SET_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Default)]
struct Held {
    keys: Option<(Instant, Arc<KeySet>)>,
    tried: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fetched {
    url: String,
    outside: Outside,
    held: Mutex<Held>,
    /// One asks, the others wait for what it gets.
    turn: tokio::sync::Mutex<()>,
}

impl Fetched {
    pub(super) fn new(url: String, outside: Outside) -> Fetched {
        Fetched { url, outside, held: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The set; `key_id`: the key that is wanted of it.
    pub(super) async fn keys(&self, key_id: Option<&str>) -> Result<Arc<KeySet>, String> {
        if let Some(said) = self.at_hand(key_id) {
            return said;
        }
        let _turn = self.turn.lock().await;
        if let Some(said) = self.at_hand(key_id) {
            return said;
        }
        let fetched = self.fetch().await;
        let now = Instant::now();
        let mut held = self.held();
        held.tried = Some(now);
        match (fetched, &held.keys) {
            (Ok(keys), _) => {
                held.keys = Some((now, Arc::clone(&keys)));
                Ok(keys)
            }
            (Err(why), Some((at, keys))) if now - *at < KEPT => {
                tracing::warn!(why, "the token server's keys are those of before");
                Ok(Arc::clone(keys))
            }
            (Err(why), _) => Err(why),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What can be said without asking.
    fn at_hand(&self, key_id: Option<&str>) -> Option<Result<Arc<KeySet>, String>> {
        let (now, held) = (Instant::now(), self.held());
        let pause = if held.keys.is_some() { PAUSE } else { PAUSE_WITHOUT };
        let just_tried = held.tried.is_some_and(|tried| now - tried < pause);
        match &held.keys {
            Some((at, keys)) if now - *at < FRESH && key_id.is_none_or(|id| keys.has(id)) => Some(Ok(Arc::clone(keys))),
            Some((at, keys)) if just_tried && now - *at < KEPT => Some(Ok(Arc::clone(keys))),
            _ => just_tried.then(|| Err(format!("{} did not answer a moment ago", self.url))),
        }
    }

    async fn fetch(&self) -> Result<Arc<KeySet>, String> {
        let asked = Asked { url: &self.url, post: None, bytes_max: SET_BYTES_MAX };
        let got = self.outside.ask(&asked).await.map_err(|error| format!("{}: {error}", self.url))?;
        if got.status != 200 {
            return Err(format!("{}: the answer is {}", self.url, got.status));
        }
        KeySet::parse(&got.body).map(Arc::new).map_err(|why| format!("{}: {why}", self.url))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use net::{Dial, Dialling, Network, Reach, Resolver, TlsClient};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers with this, and counts how often.
    #[derive(Default)]
    struct Site(Mutex<(String, u32)>);

    struct Road(Arc<Site>);

    impl Dial for Road {
        fn dial(&self, to: SocketAddr) -> Dialling {
            let site = Arc::clone(&self.0);
            Box::pin(async move {
                let (near, mut far) = tokio::io::duplex(1 << 16);
                let answer = {
                    let mut site = site.0.lock().unwrap();
                    site.1 += 1;
                    format!("HTTP/1.1 {}", site.0)
                };
                tokio::spawn(async move {
                    assert!(far.read(&mut [0; 4096]).await.unwrap() > 0);
                    far.write_all(answer.as_bytes()).await.unwrap();
                });
                let near: Box<dyn net::Octets> = Box::new(near);
                Ok((near, to))
            })
        }
    }

    fn set(id: &str) -> String {
        let body = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{}"}}]}}"#, "A".repeat(43));
        format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_fetched_rarely_and_outlives_its_server_for_a_day() {
        let site = Arc::new(Site::default());
        let resolver = Resolver::with_servers(vec!["127.0.0.1:9".parse().unwrap()]).unwrap();
        let network = Network::Other(Arc::new(Road(Arc::clone(&site))));
        let outside = Outside::new(network, resolver, TlsClient::verified(None).unwrap(), Reach::Anywhere);
        let fetched = Fetched::new("http://127.0.0.1/keys".to_owned(), outside);
        let says = |answer: String| site.0.lock().unwrap().0 = answer;
        let times = || site.0.lock().unwrap().1;
        let later = |secs| tokio::time::advance(Duration::from_secs(secs));

        says("503 Busy\r\n\r\n".to_owned());
        assert!(fetched.keys(Some("one")).await.unwrap_err().contains("503"));
        assert!(fetched.keys(Some("one")).await.unwrap_err().contains("a moment ago"));
        assert_eq!(times(), 1);
        says(set("one"));
        later(6).await;
        assert!(fetched.keys(Some("one")).await.unwrap().has("one"));
        later(3_000).await;
        assert!(fetched.keys(None).await.unwrap().has("one"));
        assert_eq!(times(), 2);
        // A key it lacks: asked, and then not for a minute however many such tokens come.
        for _ in 0..9 {
            assert!(!fetched.keys(Some("two")).await.unwrap().has("two"));
        }
        assert_eq!(times(), 3);
        says(set("two"));
        later(61).await;
        assert!(fetched.keys(Some("two")).await.unwrap().has("two"));
        assert_eq!(times(), 4);
        says("404 Not Found\r\n\r\n".to_owned());
        later(80_000).await;
        assert!(fetched.keys(Some("two")).await.unwrap().has("two"), "old, and the server is away");
        assert_eq!(times(), 5);
        later(7_000).await;
        assert!(fetched.keys(Some("two")).await.is_err(), "older than a day");
    }
}
