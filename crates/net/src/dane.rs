//! DANE for SMTP (RFC 6698, RFC 7671, RFC 7672): TLSA records, and certificates held against them.
//!
//! Invariant: a record that is not fully understood never makes a certificate good. Only records whose DNS answer was
//! proven may come here; who asks DNS sees to that. Must not know: mail.

use crate::tls::provider;
use crate::tls::signatures::proves_its_key;
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use std::sync::Arc;

/// TLSA records considered of one host.
pub const TLSA_MAX: usize = 32;

/// One TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// 2: a trust anchor (DANE-TA). 3: the server's own (DANE-EE). 0 and 1 are of no use in SMTP (RFC 7672 §3.1.3).
    pub usage: u8,
    /// 0: the certificate. 1: its public key.
    pub selector: u8,
    /// 0: the octets. 1: SHA-256. 2: SHA-512.
    pub matching: u8,
    /// What is to be matched.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// From the octets of a record.
    pub fn read(octets: &[u8]) -> Option<Tlsa> {
        let [usage, selector, matching, data @ ..] = octets else { return None };
        Some(Tlsa { usage: *usage, selector: *selector, matching: *matching, data: data.to_vec() })
    }

    /// Can a certificate be held against it at all?
    pub fn is_usable(&self) -> bool {
        let length = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && self.selector <= 1 && length
    }

    /// Does this certificate fit?
    fn fits(&self, certificate: &[u8]) -> bool {
        let selected = match self.selector {
            0 => Some(certificate),
            1 => public_key(certificate),
            _ => None,
        };
        let Some(selected) = selected else { return false };
        match self.matching {
            0 => selected == self.data,
            1 => digest::digest(&digest::SHA256, selected).as_ref() == self.data,
            2 => digest::digest(&digest::SHA512, selected).as_ref() == self.data,
            _ => false,
        }
    }
}

/// One DER element (ITU-T X.690 §8.1).
struct Element<'a> {
    tag: u8,
    /// With its head.
    whole: &'a [u8],
    content: &'a [u8],
    /// What comes behind it.
    after: &'a [u8],
}

fn element(octets: &[u8]) -> Option<Element<'_>> {
    let [tag, first, rest @ ..] = octets else { return None };
    let (length, content) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (length, content) = rest.split_at_checked(count)?;
        (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), content)
    };
    let (content, after) = content.split_at_checked(length)?;
    let whole = octets.get(..octets.len().checked_sub(after.len())?)?;
    Some(Element { tag: *tag, whole, content, after })
}

const SEQUENCE: u8 = 0x30;

/// The SubjectPublicKeyInfo of a certificate (RFC 5280 §4.1), with its DER head.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let sequence = |octets| element(octets).filter(|element| element.tag == SEQUENCE);
    let mut rest = sequence(sequence(certificate)?.content)?.content;
    // The version is there or not; then serial number, signature, issuer, validity, subject.
    if let Some(version) = element(rest).filter(|element| element.tag == 0xa0) {
        rest = version.after;
    }
    for _ in 0..5 {
        rest = element(rest)?.after;
    }
    Some(sequence(rest)?.whole)
}

/// Holds a server's certificate against usable TLSA records.
#[derive(Debug)]
pub(crate) struct DaneVerifier {
    records: Vec<Tlsa>,
    /// Names a certificate under a trust anchor may be for (RFC 7672 §3.2.2).
    names: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl DaneVerifier {
    pub(crate) fn new(records: &[Tlsa], names: &[String]) -> DaneVerifier {
        let names = names.iter().filter_map(|name| ServerName::try_from(name.trim_end_matches('.').to_owned()).ok());
        DaneVerifier { records: records.to_vec(), names: names.collect(), provider: provider() }
    }

    /// DANE-TA: a certificate of the chain is the anchor, or the record is the anchor itself.
    fn by_anchor(&self, record: &Tlsa, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let in_record = (record.selector, record.matching) == (0, 0);
        let anchors = chain.iter().filter(|certificate| record.fits(certificate)).map(|certificate| certificate.to_vec());
        anchors.chain(in_record.then(|| record.data.clone())).any(|anchor| {
            let mut roots = RootCertStore::empty();
            if roots.add(CertificateDer::from(anchor)).is_err() {
                return false;
            }
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
            let Ok(verifier) = built else { return false };
            self.names.iter().any(|name| verifier.verify_server_cert(leaf, chain, name, &[], now).is_ok())
        })
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // RFC 7672 §3.1.1: with DANE-EE neither names nor dates are looked at.
        let fits = |record: &Tlsa| match record.usage {
            3 => record.fits(end_entity),
            2 => self.by_anchor(record, end_entity, intermediates, now),
            _ => false,
        };
        if self.records.iter().filter(|record| record.is_usable()).any(fits) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    proves_its_key!(provider);
}

/// For the fuzz target: whatever the octets are, they are held against the record as a chain of one and the same.
pub(crate) fn hold(record: &Tlsa, certificate: &[u8]) {
    let leaf = CertificateDer::from(certificate);
    let verifier = DaneVerifier::new(std::slice::from_ref(record), &["mx.there.test".to_owned()]);
    let Ok(name) = ServerName::try_from("mx.there.test") else { return };
    let good = verifier.verify_server_cert(
        &leaf,
        std::slice::from_ref(&leaf),
        &name,
        &[],
        UnixTime::since_unix_epoch(Default::default()),
    );
    assert!(good.is_err() || record.is_usable(), "a record without use made a certificate good");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    struct Pki {
        authority: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
        /// The leaf's public key with its DER head, as the library that made it writes it.
        key: Vec<u8>,
    }

    fn pki(name: &str) -> Pki {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "our own");
        let authority = params.self_signed(&authority_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &authority_key);
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        Pki { authority: authority.der().clone(), leaf: leaf.der().clone(), key: spki }
    }

    fn tlsa(usage: u8, selector: u8, matching: u8, selected: &[u8]) -> Tlsa {
        let data = match matching {
            1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
            2 => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
            _ => selected.to_vec(),
        };
        Tlsa { usage, selector, matching, data }
    }

    fn good(pki: &Pki, records: &[Tlsa], names: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let name = ServerName::try_from("whatever.test").unwrap();
        let chain = [pki.authority.clone()];
        DaneVerifier::new(records, &names).verify_server_cert(&pki.leaf, &chain, &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn the_servers_own_certificate_or_key() {
        let pki = pki("mx.there.test");
        assert_eq!(public_key(&pki.leaf), Some(pki.key.as_slice()));
        for matching in 0..=2 {
            assert!(good(&pki, &[tlsa(3, 0, matching, &pki.leaf)], &[]), "3 0 {matching}");
            assert!(good(&pki, &[tlsa(3, 1, matching, &pki.key)], &[]), "3 1 {matching}");
            assert!(!good(&pki, &[tlsa(3, 1, matching, b"another key")], &["mx.there.test"]), "3 1 {matching}");
        }
        assert!(!good(&pki, &[tlsa(1, 1, 1, &pki.key)], &["mx.there.test"]), "PKIX-EE is of no use in SMTP");
        assert!(good(&pki, &[tlsa(3, 1, 1, b"old key"), tlsa(3, 1, 1, &pki.key)], &[]), "one of several, in a key rollover");
    }

    #[test]
    fn an_anchor_of_the_chain_and_the_name() {
        let pki = pki("mx.there.test");
        let key = public_key(&pki.authority).unwrap().to_vec();
        for record in [tlsa(2, 0, 1, &pki.authority), tlsa(2, 1, 1, &key), tlsa(2, 1, 2, &key), tlsa(2, 0, 0, &pki.authority)] {
            assert!(good(&pki, std::slice::from_ref(&record), &["mx.there.test"]), "{record:?}");
            assert!(good(&pki, std::slice::from_ref(&record), &["other.test", "mx.there.test"]), "{record:?}");
            assert!(!good(&pki, std::slice::from_ref(&record), &["other.test"]), "the name counts: {record:?}");
        }
        let foreign = super::tests::pki("mx.there.test");
        assert!(!good(&pki, &[tlsa(2, 0, 1, &foreign.authority)], &["mx.there.test"]));
        assert!(!good(&pki, &[tlsa(2, 0, 1, &pki.leaf)], &["mx.there.test"]), "the leaf is no anchor");
    }

    #[test]
    fn what_can_be_used() {
        assert!(tlsa(3, 1, 1, b"x").is_usable() && tlsa(2, 0, 2, b"x").is_usable());
        assert!(!tlsa(0, 1, 1, b"x").is_usable() && !tlsa(1, 1, 1, b"x").is_usable());
        assert!(!tlsa(3, 2, 1, b"x").is_usable() && !tlsa(3, 1, 3, b"x").is_usable());
        assert!(!Tlsa { usage: 3, selector: 1, matching: 1, data: vec![1; 31] }.is_usable());
        assert_eq!(Tlsa::read(&[3, 1]), None);
        assert_eq!(Tlsa::read(&[3, 1, 1, 7]), Some(Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7] }));
    }

    #[test]
    fn no_octets_break_the_reading_of_a_certificate() {
        let pki = pki("mx.there.test");
        for end in 0..pki.leaf.len() {
            assert!(public_key(&pki.leaf[..end]).is_none());
        }
        for at in 0..pki.leaf.len() {
            let mut octets = pki.leaf.to_vec();
            octets[at] ^= 0xff;
            let _ = public_key(&octets);
        }
    }
}
