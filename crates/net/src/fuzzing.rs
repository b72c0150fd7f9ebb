//! Door for the fuzz targets (`fuzz/src/office.rs`) to what becomes of an answer of DNS and of a PROXY header. Not for use by anybody else.
//!
//! Whatever a name server says is bounded, ordered, and names hosts as they are dialled.

#![doc(hidden)]
#![allow(clippy::panic, clippy::missing_panics_doc)]

use crate::dns::{Answering, DnsError, MxAnswer, Name, Names, RData, RecordType, Resolver};
use crate::limits::{ADDRESSES_MAX, MX_HOSTS_MAX};
use hickory_proto::op::Message;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Says the same to every question.
struct Said(Vec<RData>);

impl Names for Said {
    fn ask(&self, _: Name, kind: RecordType) -> Answering<'_> {
        let found: Vec<RData> = self.0.iter().filter(|data| data.record_type() == kind).cloned().collect();
        Box::pin(async { if found.is_empty() { Err(DnsError::NoData) } else { Ok(found) } })
    }
}

/// Nothing here waits for anything.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn is_host(name: &str) -> bool {
    !name.is_empty() && name.is_ascii() && !name.ends_with('.') && !name.bytes().any(|octet| octet.is_ascii_uppercase())
}

/// A whole answer, as it comes in a datagram.
pub fn dns_answer(data: &[u8]) {
    let Ok(message) = Message::from_vec(data) else { return };
    let records = message.answers.iter().map(|record| record.data.clone()).collect();
    let resolver = Resolver::of(Arc::new(Said(records)));
    match now(resolver.mx("asked.test")) {
        Ok(MxAnswer::Hosts(hosts)) => {
            assert!(!hosts.is_empty() && hosts.len() <= MX_HOSTS_MAX);
            assert!(hosts.is_sorted_by_key(|(preference, _)| *preference), "{hosts:?}");
            assert!(hosts.iter().all(|(_, host)| is_host(host)), "{hosts:?}");
            // A host that is told can be asked for.
            hosts.iter().for_each(|(_, host)| drop(now(resolver.addresses(host))));
        }
        Ok(MxAnswer::Null | MxAnswer::Implicit) | Err(DnsError::NoData) => {}
        Err(error) => panic!("{error}"),
    }
    let addresses = now(resolver.addresses("asked.test")).unwrap_or_default();
    assert!(addresses.len() <= ADDRESSES_MAX);
    let _ = now(resolver.ptr([192, 0, 2, 1].into()));
    let _ = now(resolver.txt("asked.test"));
}

/// A TLSA record (four octets: usage, selector, matching, length of what is to match; then that) and a certificate held
/// against it.
pub fn tlsa(octets: &[u8]) {
    let (Some((head, rest)), true) = (octets.split_first_chunk::<4>(), octets.len() < 100_000) else { return };
    let (data, certificate) = rest.split_at(usize::from(head[3]).min(rest.len()));
    let record = crate::Tlsa { usage: head[0], selector: head[1], matching: head[2], data: data.to_vec() };
    crate::dane::hold(&record, certificate);
    let read = [&head[..3], data].concat();
    assert_eq!(crate::Tlsa::read(&read), Some(record));
}

/// What a proxy says first: the same header whatever stands behind it, and not an octet of that is read.
pub fn proxy_header(data: &[u8]) {
    let mut rest = data;
    let Ok(told) = now(crate::proxy::read(&mut rest)) else { return };
    let header = &data[..data.len() - rest.len()];
    assert!(header.len() <= 16 + crate::limits::PROXY_BYTES_MAX);
    let mut alone = header;
    assert_eq!(now(crate::proxy::read(&mut alone)).ok(), Some(told));
    assert!(alone.is_empty());
    assert!(now(crate::proxy::read(&mut &header[..header.len() - 1])).is_err(), "a part of a header is none");
}

/// All that a web server says: its body lies within it, and it is nowhere that no line can name.
pub fn https_answer(data: &[u8]) {
    if let Ok(answer) = crate::https::read(data) {
        let media_type = answer.media_type();
        assert!(answer.body.len() <= data.len() && !media_type.contains(';') && media_type.trim() == media_type);
    }
    if let Some(elsewhere) = crate::https::moved(data) {
        assert!(!elsewhere.contains("\r\n"), "{elsewhere:?}");
    }
}
