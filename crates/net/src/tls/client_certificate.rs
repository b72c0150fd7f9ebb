//! Certificates of clients, for EXTERNAL (RFC 4422, appendix A): asked for where the configuration knows some, never demanded.
//!
//! Invariant: a certificate that nobody vouches for is as if none had come; no handshake fails over it (lessons C17).
//! Must not know: accounts. A name that a certificate speaks for is text here.

use super::signatures::proves_its_key;
use super::{TlsError, der, provider, trouble};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, RootCertStore};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A client that showed a certificate we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of it, lower-case hex.
    pub fingerprint: String,
    /// Whom it speaks for.
    pub names: Vec<String>,
}

/// Which certificates are known.
#[derive(Debug, Default)]
pub struct ClientTrust {
    /// Names by SHA-256 in lower-case hex.
    pinned: HashMap<String, Vec<String>>,
    authority: Option<Arc<dyn ClientCertVerifier>>,
}

impl ClientTrust {
    /// `pinned`: a certificate's SHA-256 in hex and a name it speaks for. `authority`: PEM; whoever it certifies speaks
    /// for the email addresses in the certificate.
    pub fn new(pinned: &[(String, String)], authority: Option<&Path>) -> Result<ClientTrust, TlsError> {
        let mut trust = ClientTrust::default();
        for (fingerprint, name) in pinned {
            let fingerprint = fingerprint.replace(':', "").to_lowercase();
            trust.pinned.entry(fingerprint).or_default().push(name.to_lowercase());
        }
        if let Some(path) = authority {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| trouble(path, error))? {
                let certificate = certificate.map_err(|error| trouble(path, error))?;
                roots.add(certificate).map_err(|error| trouble(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            trust.authority = Some(verifier.build().map_err(|error| trouble(path, error))?);
        }
        Ok(trust)
    }

    /// Whom the first certificate of a chain speaks for; `None` where nobody vouches for it.
    pub(super) fn know(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (leaf, intermediates) = chain.split_first()?;
        let fingerprint = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, leaf).as_ref());
        let mut names = self.pinned.get(&fingerprint).cloned().unwrap_or_default();
        if let Some(authority) = &self.authority
            && authority.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
        {
            names.extend(der::email_addresses(leaf).unwrap_or_default());
        }
        (!names.is_empty()).then_some(ClientCertificate { fingerprint, names })
    }
}

/// Lets every certificate through the handshake, as long as the client has its key; who is known is looked at later.
#[derive(Debug)]
pub(super) struct Anybody(Arc<CryptoProvider>);

impl Anybody {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Anybody {
        Anybody(provider)
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    proves_its_key!(0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pinned_or_certified_or_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, authority.pem()).unwrap();

        let client = |address: &str| {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.subject_alt_names.push(rcgen::SanType::Rfc822Name(address.try_into().unwrap()));
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            (params, rcgen::KeyPair::generate().unwrap())
        };
        let issuer = rcgen::Issuer::from_params(&params, &authority_key);
        let (params, key) = client("Ann@here.test");
        let certified = params.signed_by(&key, &issuer).unwrap();
        let (params, key) = client("eve@here.test");
        let own = params.self_signed(&key).unwrap();

        let fingerprint = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, own.der()).as_ref());
        let trust = ClientTrust::new(&[(fingerprint.to_uppercase(), "bob@here.test".to_owned())], Some(&path)).unwrap();
        let names = |der: &CertificateDer<'static>| trust.know(std::slice::from_ref(der)).map(|known| known.names);
        assert_eq!(names(certified.der()), Some(vec!["ann@here.test".to_owned()]));
        assert_eq!(names(own.der()), Some(vec!["bob@here.test".to_owned()]), "what it says of itself counts for nothing");
        assert_eq!(ClientTrust::default().know(&[own.der().clone()]), None);
        assert_eq!(trust.know(&[CertificateDer::from(vec![1, 2, 3])]), None);
        assert!(ClientTrust::new(&[], Some(&dir.path().join("none.pem"))).is_err());
    }
}
