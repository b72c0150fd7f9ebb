//! The certificates of the simulation: one of the servers that demand TLS, one of whoever pretends to be them.
//!
//! Invariant: made of fixed keys that sign alike each time (Ed25519), so that a handshake has the same lengths in every run.

use net::{TlsServer, Tlsa};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Every name that TLS is spoken for.
const NAMES: &[&str] = &["mx.delta.test", "mx.sigma.test", "mta-sts.sigma.test"];
/// PKCS #8 of an Ed25519 key, up to its 32 octets (RFC 8410 §7).
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// See the module.
pub(crate) struct Certificates {
    /// Of the servers themselves.
    pub(crate) own: Arc<TlsServer>,
    /// For the same names, by somebody else.
    pub(crate) false_one: Arc<TlsServer>,
    /// What vouches for the first, PEM.
    pub(crate) authority: PathBuf,
    /// Gone when the process ends.
    _dir: tempfile::TempDir,
}

/// Made once a process.
#[allow(clippy::expect_used)]
pub(crate) static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| made().expect("certificates"));

fn made() -> Result<Certificates, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let server = |name: &str, seed: u8| -> Result<Arc<TlsServer>, Box<dyn std::error::Error>> {
        let pkcs8 = [&PKCS8_HEAD[..], &[seed; 32]].concat();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &PKCS_ED25519)?;
        let mut params = CertificateParams::new(NAMES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
        let (certificate, private_key) = (dir.path().join(format!("{name}.pem")), dir.path().join(format!("{name}.key")));
        std::fs::write(&certificate, params.self_signed(&key)?.pem())?;
        std::fs::write(&private_key, key.serialize_pem())?;
        Ok(Arc::new(TlsServer::from_pem(&certificate, &private_key)?))
    };
    let (own, false_one) = (server("own", 1)?, server("false", 2)?);
    let authority = own.certificate_path().to_path_buf();
    Ok(Certificates { own, false_one, authority, _dir: dir })
}

/// 3 0 1 of the servers' own certificate (RFC 6698).
pub(crate) fn tlsa() -> Tlsa {
    let fingerprint = CERTIFICATES.own.fingerprint();
    let octet = |at: usize| fingerprint.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    Tlsa { usage: 3, selector: 0, matching: 1, data: (0..fingerprint.len()).step_by(2).filter_map(octet).collect() }
}
