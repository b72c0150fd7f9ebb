//! Channel bindings: `tls-exporter` (RFC 9266) and `tls-server-end-point` (RFC 5929 §4).
//!
//! Invariant: the exporter is used under TLS 1.3 only; in 1.2 it binds nothing without the extended master secret.

use super::der;
use ring::digest;
use rustls::ProtocolVersion;

/// RFC 9266 §4.2; the context is empty.
pub(crate) const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Octets of the exporter, by `export`, where they bind.
pub(crate) fn exporter(version: Option<ProtocolVersion>, export: impl FnOnce(&mut [u8; 32]) -> bool) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    (version == Some(ProtocolVersion::TLSv1_3) && export(&mut out)).then_some(out)
}

/// The hash of a server's certificate, with the hash of its signature; SHA-256 in place of MD5 and SHA-1. `None` where
/// the signature has none of its own (Ed25519).
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, mut algorithm) = der::certificate(certificate)?;
    let oid = der::expect(&mut algorithm, der::OID)?;
    let hash = match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => pss(algorithm)?,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
            0x04 | 0x05 | 0x0b => &digest::SHA256,
            0x0c => &digest::SHA384,
            0x0d => &digest::SHA512,
            _ => return None,
        },
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => &digest::SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

/// The hash that RSASSA-PSS-params name (RFC 4055 §3.1); SHA-1 is the default.
fn pss(parameters: &[u8]) -> Option<&'static digest::Algorithm> {
    let mut input = parameters;
    let mut fields = der::expect(&mut input, der::SEQUENCE)?;
    let Some(mut hash) = der::expect(&mut fields, 0xa0) else { return Some(&digest::SHA256) };
    let mut hash = der::expect(&mut hash, der::SEQUENCE)?;
    match der::expect(&mut hash, der::OID)? {
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(&digest::SHA256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(&digest::SHA384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(&digest::SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let made = |algorithm| {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap().der().to_vec()
        };
        let p256 = made(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&p256).unwrap(), digest::digest(&digest::SHA256, &p256).as_ref());
        let p384 = made(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&p384).unwrap(), digest::digest(&digest::SHA384, &p384).as_ref());
        assert_eq!(end_point(&made(&rcgen::PKCS_ED25519)), None);
        assert_eq!(end_point(b"nonsense"), None);
    }
}
