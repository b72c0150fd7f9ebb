//! The seam to DNS: questions out, answers in. Who answers is the caller's business (`net` in the server, a table in tests).
//!
//! Invariant: [`DnsError::NotFound`] is only said by an authority; trouble is [`DnsError::Temporary`].

use crate::limits::{RECORDED_ANSWERS_MAX, RECORDED_BYTES_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsError {
    /// NXDOMAIN.
    NotFound,
    /// The name is there, nothing of the kind asked for.
    NoData,
    /// It may work later.
    Temporary(String),
}

impl DnsError {
    /// Worth another try later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, DnsError::Temporary(_))
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsError::NotFound => f.write_str("no such name"),
            DnsError::NoData => f.write_str("nothing of that kind"),
            DnsError::Temporary(why) => write!(f, "no answer: {why}"),
        }
    }
}

/// Answers to come.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<T>, DnsError>> + Send + 'a>>;

/// Somebody who answers. Names come without the final dot.
pub trait Dns: Send + Sync {
    /// TXT, each record's strings joined.
    fn txt<'a>(&'a self, name: &'a str) -> Answer<'a, String>;
    /// A.
    fn ipv4<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv4Addr>;
    /// AAAA.
    fn ipv6<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv6Addr>;
    /// MX, best first; hosts without the final dot, the null MX as an empty name.
    fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, (u16, String)>;
    /// PTR.
    fn ptr(&self, ip: IpAddr) -> Answer<'_, String>;
}

/// Waits for all of them at once, in their order.
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    type Slot<F> = (Pin<Box<F>>, Option<<F as Future>::Output>);
    let mut slots: Vec<Slot<F>> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, done) in slots.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    slots.into_iter().filter_map(|(_, done)| done).collect()
}

/// Passes questions on and keeps what was answered, for the trace.
pub struct Recorder<'d> {
    inner: &'d dyn Dns,
    told: Mutex<Vec<String>>,
}

impl<'d> Recorder<'d> {
    /// In front of `inner`.
    pub fn new(inner: &'d dyn Dns) -> Recorder<'d> {
        Recorder { inner, told: Mutex::new(Vec::new()) }
    }

    /// `TXT here.test: "v=spf1 -all"`, in the order they came; bounded.
    pub fn answers(&self) -> Vec<String> {
        self.told.lock().map(|told| told.clone()).unwrap_or_default()
    }

    fn note<T: fmt::Debug>(&self, kind: &str, name: &str, answer: &Result<Vec<T>, DnsError>) {
        let Ok(mut told) = self.told.lock() else { return };
        if told.len() >= RECORDED_ANSWERS_MAX {
            return;
        }
        let what = match answer {
            Ok(found) => found.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        let line: String = format!("{kind} {name}: {what}").chars().take(RECORDED_BYTES_MAX).collect();
        if !told.contains(&line) {
            told.push(line);
        }
    }
}

impl Dns for Recorder<'_> {
    fn txt<'a>(&'a self, name: &'a str) -> Answer<'a, String> {
        Box::pin(async move {
            let answer = self.inner.txt(name).await;
            self.note("TXT", name, &answer);
            answer
        })
    }
    fn ipv4<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv4Addr> {
        Box::pin(async move {
            let answer = self.inner.ipv4(name).await;
            self.note("A", name, &answer);
            answer
        })
    }
    fn ipv6<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv6Addr> {
        Box::pin(async move {
            let answer = self.inner.ipv6(name).await;
            self.note("AAAA", name, &answer);
            answer
        })
    }
    fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, (u16, String)> {
        Box::pin(async move {
            let answer = self.inner.mx(name).await;
            self.note("MX", name, &answer);
            answer
        })
    }
    fn ptr(&self, ip: IpAddr) -> Answer<'_, String> {
        Box::pin(async move {
            let answer = self.inner.ptr(ip).await;
            self.note("PTR", &ip.to_string(), &answer);
            answer
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::task::{Context, Waker};

    /// Zones as a table. Whatever is not in it does not exist.
    #[derive(Default)]
    pub(crate) struct Table {
        txt: HashMap<String, Vec<String>>,
        a: HashMap<String, Vec<Ipv4Addr>>,
        aaaa: HashMap<String, Vec<Ipv6Addr>>,
        mx: HashMap<String, Vec<(u16, String)>>,
        ptr: HashMap<IpAddr, Vec<String>>,
        broken: HashSet<String>,
    }

    impl Table {
        pub(crate) fn txt(mut self, name: &str, text: &str) -> Table {
            self.txt.entry(name.to_owned()).or_default().push(text.to_owned());
            self
        }
        pub(crate) fn ip(mut self, name: &str, ip: &str) -> Table {
            match ip.parse().unwrap() {
                IpAddr::V4(ip) => self.a.entry(name.to_owned()).or_default().push(ip),
                IpAddr::V6(ip) => self.aaaa.entry(name.to_owned()).or_default().push(ip),
            }
            self
        }
        pub(crate) fn mx(mut self, name: &str, host: &str) -> Table {
            self.mx.entry(name.to_owned()).or_default().push((10, host.to_owned()));
            self
        }
        pub(crate) fn ptr(mut self, ip: &str, name: &str) -> Table {
            self.ptr.entry(ip.parse().unwrap()).or_default().push(name.to_owned());
            self
        }
        pub(crate) fn broken(mut self, name: &str) -> Table {
            self.broken.insert(name.to_owned());
            self
        }
        fn find<T: Clone + Send + 'static>(&self, kind: &HashMap<String, Vec<T>>, name: &str) -> Answer<'static, T> {
            let name = name.to_ascii_lowercase();
            let known = self.txt.contains_key(&name)
                || self.a.contains_key(&name)
                || self.aaaa.contains_key(&name)
                || self.mx.contains_key(&name);
            let answer = match kind.get(&name) {
                _ if self.broken.contains(&name) => Err(DnsError::Temporary("SERVFAIL".to_owned())),
                Some(found) => Ok(found.clone()),
                None if known => Err(DnsError::NoData),
                None => Err(DnsError::NotFound),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    impl Dns for Table {
        fn txt<'a>(&'a self, name: &'a str) -> Answer<'a, String> {
            self.find(&self.txt, name)
        }
        fn ipv4<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv4Addr> {
            self.find(&self.a, name)
        }
        fn ipv6<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv6Addr> {
            self.find(&self.aaaa, name)
        }
        fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, (u16, String)> {
            self.find(&self.mx, name)
        }
        fn ptr(&self, ip: IpAddr) -> Answer<'_, String> {
            let answer = match self.ptr.get(&ip) {
                Some(found) => Ok(found.clone()),
                None if self.broken.contains(&ip.to_string()) => Err(DnsError::Temporary("SERVFAIL".to_owned())),
                None => Err(DnsError::NotFound),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    /// A table never makes anybody wait.
    pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a table never waits"),
        }
    }

    #[test]
    fn all_are_waited_for_and_what_was_answered_is_kept() {
        let table = Table::default().txt("a.test", "one").broken("b.test");
        let recorder = Recorder::new(&table);
        let answers = now(together(["a.test", "b.test", "c.test"].map(|name| recorder.txt(name))));
        assert_eq!(answers[0], Ok(vec!["one".to_owned()]));
        assert!(answers[1].as_ref().unwrap_err().is_temporary());
        assert_eq!(answers[2], Err(DnsError::NotFound));
        assert_eq!(recorder.answers(), ["TXT a.test: \"one\"", "TXT b.test: no answer: SERVFAIL", "TXT c.test: no such name"]);
    }
}
