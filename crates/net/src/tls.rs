//! TLS 1.2 and 1.3 by rustls with ring: certificates for our side, policies for the other (RFC 8446, RFC 9325).
//!
//! Invariant: a reload never touches a connection that is open; a failed reload changes nothing.

pub(crate) mod channel;
pub(crate) mod client_certificate;
mod der;
pub(crate) mod signatures;

use client_certificate::{ClientCertificate, ClientTrust};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CipherSuite, ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use signatures::proves_its_key;
use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Why a certificate, key or policy is of no use: for people, with the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError(pub String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

fn trouble(path: &Path, why: impl fmt::Display) -> TlsError {
    TlsError(format!("{}: {why}", path.display()))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// The same, and asks for a client's certificate: for mail, not for browsers, which would ask their people.
    asking: Arc<ServerConfig>,
    fingerprint: String,
    /// For `tls-server-end-point` (RFC 5929 §4.1).
    end_point: Option<Arc<[u8]>>,
}

/// Our certificate and key.
pub struct TlsServer {
    certificate: PathBuf,
    private_key: PathBuf,
    loaded: RwLock<Loaded>,
    /// Which certificates of clients say who they are; without it none is asked for.
    clients: Option<ClientTrust>,
}

impl TlsServer {
    /// From PEM files: the chain, leaf first, and its key.
    pub fn from_pem(certificate: &Path, private_key: &Path) -> Result<TlsServer, TlsError> {
        let loaded = RwLock::new(load(certificate, private_key)?);
        Ok(TlsServer { certificate: certificate.to_path_buf(), private_key: private_key.to_path_buf(), loaded, clients: None })
    }

    /// Asks clients of mail protocols for their certificate; they may have none.
    #[must_use]
    pub fn asking_clients(self, clients: ClientTrust) -> TlsServer {
        TlsServer { clients: Some(clients), ..self }
    }

    /// A certificate for `names` (host names or addresses) that nobody vouches for: made once, kept in `dir` as
    /// `self-signed.pem` and `self-signed.key`, the same ever after.
    pub fn self_signed(dir: &Path, names: &[String]) -> Result<TlsServer, TlsError> {
        let certificate = dir.join("self-signed.pem");
        let private_key = dir.join("self-signed.key");
        if !(certificate.exists() && private_key.exists()) {
            make(dir, &certificate, &private_key, names)?;
        }
        TlsServer::from_pem(&certificate, &private_key)
    }

    /// Reads the files again: new connections get the new certificate, open ones keep theirs. On an error the old one stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.certificate, &self.private_key)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// SHA-256 of the leaf certificate, lower-case hex.
    pub fn fingerprint(&self) -> String {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).fingerprint.clone()
    }

    /// Where the certificate chain is.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate
    }

    /// For a handshake here, with what its channel is bound to.
    pub(crate) fn current(&self) -> (Arc<ServerConfig>, Option<Arc<[u8]>>) {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let config = if self.clients.is_some() { &loaded.asking } else { &loaded.config };
        (Arc::clone(config), loaded.end_point.clone())
    }

    /// The certificate a client showed, if it is one that says who the client is.
    pub(crate) fn known_client(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        self.clients.as_ref()?.know(chain)
    }

    /// For HTTPS.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner).config)
    }
}

fn load(certificate: &Path, private_key: &Path) -> Result<Loaded, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| trouble(certificate, error))?;
    let Some(leaf) = chain.first() else {
        return Err(trouble(certificate, "no certificate in this file"));
    };
    let fingerprint = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, leaf).as_ref());
    let end_point = channel::end_point(leaf).map(Arc::from);
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| trouble(private_key, error))?;
    let refused = |error| trouble(private_key, error);
    let config = offered()?.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key()).map_err(refused)?;
    let anybody = Arc::new(client_certificate::Anybody::new(provider()));
    let asking = offered()?.with_client_cert_verifier(anybody).with_single_cert(chain, key).map_err(refused)?;
    let (config, asking) = (settled(config)?, settled(asking)?);
    Ok(Loaded { config: Arc::new(config), asking: Arc::new(asking), fingerprint, end_point })
}

/// What clients are offered: as [`provider`] has it, but of the two AES of TLS 1.3 first the one with SHA-256, which processors
/// compute themselves: SHA-384 was a tenth of a handshake. Its key is long enough for anybody (RFC 9325 §4.2).
fn offered() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    let mut offered = CryptoProvider::clone(&provider());
    offered.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    ServerConfig::builder_with_provider(Arc::new(offered))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))
}

fn settled(mut config: ServerConfig) -> Result<ServerConfig, TlsError> {
    config.ignore_client_order = true;
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| TlsError(error.to_string()))?;
    // One ticket is enough for a mail client, which resumes one session at a time.
    config.send_tls13_tickets = 1;
    Ok(config)
}

fn make(dir: &Path, certificate: &Path, private_key: &Path, names: &[String]) -> Result<(), TlsError> {
    let made = |error: rcgen::Error| TlsError(format!("making a self-signed certificate: {error}"));
    let key = rcgen::KeyPair::generate().map_err(made)?;
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(made)?;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    let common_name = names.first().map_or("packetboat", String::as_str);
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let signed = params.self_signed(&key).map_err(made)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| trouble(dir, error))?;
    // The key first: a crash in between leaves no certificate, and both are made anew.
    keep(private_key, key.serialize_pem().as_bytes(), 0o600)?;
    keep(certificate, signed.pem().as_bytes(), 0o644)
}

fn keep(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| trouble(path, error))
}

/// What was wrong with the other side's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsTrouble {
    /// Its certificate's time is over, or has not come.
    Expired,
    /// Its certificate is for another name.
    OtherName,
    /// Nobody we trust vouches for its certificate.
    Untrusted,
    /// Anything else.
    Other,
}

impl TlsTrouble {
    /// Of a connection that broke; `None`: it was not TLS.
    pub fn of(error: &std::io::Error) -> Option<TlsTrouble> {
        use rustls::CertificateError as Bad;
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(bad) = error else { return Some(TlsTrouble::Other) };
        Some(match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => TlsTrouble::Expired,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsTrouble::OtherName,
            Bad::UnknownIssuer => TlsTrouble::Untrusted,
            _ => TlsTrouble::Other,
        })
    }
}

/// How we look at the other side's certificate.
#[derive(Clone)]
pub struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
    verified: bool,
    certificate: bool,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("verified", &self.verified).finish()
    }
}

impl TlsClient {
    /// Any certificate will do: better than none at all against somebody who only listens (RFC 7435, RFC 3207).
    pub fn opportunistic() -> Result<TlsClient, TlsError> {
        let config =
            builder()?.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider()))).with_no_client_auth();
        Ok(TlsClient { config: Arc::new(config), verified: false, certificate: false })
    }

    /// The certificate must fit one of these TLSA records, which DNSSEC proved (RFC 7672); `names` are those a certificate
    /// under a trust anchor may be for.
    pub fn dane(records: &[crate::Tlsa], names: &[String]) -> Result<TlsClient, TlsError> {
        let verifier = Arc::new(crate::dane::DaneVerifier::new(records, names));
        let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(TlsClient { config: Arc::new(config), verified: true, certificate: false })
    }

    /// The certificate must be the server name's and lead to a public root, or to one in the PEM file `extra_ca`.
    pub fn verified(extra_ca: Option<&Path>) -> Result<TlsClient, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = extra_ca {
            let extra: Vec<CertificateDer<'static>> =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| trouble(path, error))?;
            for certificate in extra {
                roots.add(certificate).map_err(|error| trouble(path, error))?;
            }
        }
        let config = builder()?.with_root_certificates(roots).with_no_client_auth();
        Ok(TlsClient { config: Arc::new(config), verified: true, certificate: false })
    }

    /// The same policy, and where the server asks who we are this certificate (PEM, leaf first) says so.
    pub fn with_certificate(self, certificate: &Path, private_key: &Path) -> Result<TlsClient, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| trouble(certificate, error))?;
        let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| trouble(private_key, error))?;
        let certified =
            rustls::sign::CertifiedKey::from_der(chain, key, &provider()).map_err(|error| trouble(private_key, error))?;
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        Ok(TlsClient { config: Arc::new(config), certificate: true, ..self })
    }

    /// The handshake itself verifies.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }

    /// We have a certificate of our own to show.
    pub(crate) fn has_certificate(&self) -> bool {
        self.certificate
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))
}

/// Does this chain, whose key was proven, belong to that name by a public root?
pub(crate) fn is_public(chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> bool {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() else { return false };
    let Some((leaf, intermediates)) = chain.split_first() else { return false };
    verifier.verify_server_cert(leaf, intermediates, name, &[], UnixTime::now()).is_ok()
}

/// `name` for the handshake; a name that is none (it came from DNS) becomes the address.
pub(crate) fn server_name(name: &str, address: Option<IpAddr>) -> std::io::Result<ServerName<'static>> {
    let bare = name.trim_end_matches('.');
    let bare = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare);
    match (ServerName::try_from(bare.to_owned()), address) {
        (Ok(name), _) => Ok(name),
        (Err(_), Some(ip)) => Ok(ServerName::IpAddress(ip.into())),
        (Err(error), None) => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, error)),
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    proves_its_key!(0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn self_signed_is_made_once_and_reload_takes_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["mail.here.test".to_owned(), "127.0.0.1".to_owned()];
        let first = TlsServer::self_signed(dir.path(), &names).unwrap();
        assert_eq!(first.fingerprint().len(), 64);
        let again = TlsServer::self_signed(dir.path(), &names).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        let mode = std::fs::metadata(dir.path().join("self-signed.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let other = tempfile::tempdir().unwrap();
        let fresh = TlsServer::self_signed(other.path(), &names).unwrap();
        assert_ne!(first.fingerprint(), fresh.fingerprint());
        for file in ["self-signed.pem", "self-signed.key"] {
            std::fs::copy(other.path().join(file), dir.path().join(file)).unwrap();
        }
        first.reload().unwrap();
        assert_eq!(first.fingerprint(), fresh.fingerprint());

        std::fs::write(dir.path().join("self-signed.key"), "nonsense").unwrap();
        let error = first.reload().unwrap_err();
        assert!(error.to_string().contains("self-signed.key"), "{error}");
        assert_eq!(first.fingerprint(), fresh.fingerprint());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = vec!["a.test".to_owned()];
        TlsServer::self_signed(one.path(), &names).unwrap();
        TlsServer::self_signed(two.path(), &names).unwrap();
        let mixed = TlsServer::from_pem(&one.path().join("self-signed.pem"), &two.path().join("self-signed.key"));
        assert!(mixed.is_err());
        assert!(
            TlsServer::from_pem(Path::new("/nonexistent.pem"), Path::new("/k")).err().unwrap().0.contains("/nonexistent.pem")
        );
    }

    #[test]
    fn names_for_the_handshake() {
        assert_eq!(server_name("mx.here.test.", None).unwrap().to_str(), "mx.here.test");
        assert_eq!(server_name("[127.0.0.1]", None).unwrap().to_str(), "127.0.0.1");
        assert_eq!(server_name("not a name", Some([127, 0, 0, 2].into())).unwrap().to_str(), "127.0.0.2");
        assert!(server_name("not a name", None).is_err());
    }
}
