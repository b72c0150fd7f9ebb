//! What transcripts need of TLS: the handshake, a client's certificate, and SCRAM bound to the channel (RFC 5802, RFC 9266,
//! RFC 5929), worked out here and not by our own client.
//!
//! `@tls` begins TLS on the first connection, `@tls certificate` shows the certificate that is known, `@tls stranger` another.
//! `@scram BINDING` makes «client-first», and `@scram proof`, after «server-first», makes «client-final» and «server-final».

use super::Play;
use super::office::PASSWORD;
use data_encoding::BASE64;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().der().clone();
    Identity { certificate, key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
}

fn known() -> &'static Identity {
    static KNOWN: OnceLock<Identity> = OnceLock::new();
    KNOWN.get_or_init(identity)
}

/// The certificate of `@tls certificate`, by SHA-256, speaks for this address.
pub(crate) fn certificate_of(address: &str) -> (String, String) {
    let fingerprint = digest::digest(&digest::SHA256, &known().certificate);
    (data_encoding::HEXLOWER.encode(fingerprint.as_ref()), address.to_owned())
}

/// What one TLS connection can be bound by.
pub(crate) struct Channel {
    exporter: [u8; 32],
    end_point: Vec<u8>,
}

/// A client of SCRAM in the middle of it.
pub(crate) struct Scram {
    header: String,
    bound: Vec<u8>,
    bare: String,
}

impl Scram {
    fn begin(words: &str, channel: Option<&Channel>, nonce: usize) -> Scram {
        let (kind, more) = words.split_once(' ').unwrap_or((words, ""));
        let (header, mut bound) = match kind {
            "none" => ("n,,".to_owned(), Vec::new()),
            "could" => ("y,,".to_owned(), Vec::new()),
            name => {
                let channel = channel.expect("TLS comes first");
                let octets = if name == "tls-exporter" { channel.exporter.to_vec() } else { channel.end_point.clone() };
                (format!("p={name},,"), octets)
            }
        };
        if more == "of another" {
            bound.iter_mut().for_each(|octet| *octet ^= 1);
        }
        Scram { header, bound, bare: format!("n=ann,r=nonce{nonce}of+the/client") }
    }

    /// The client's last words and the server's: RFC 5802 §3.
    fn prove(&self, server_first: &str) -> (String, String) {
        let sent = String::from_utf8(BASE64.decode(server_first.as_bytes()).unwrap()).unwrap();
        let field = |name: &str| sent.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
        assert!(field("r=").starts_with(self.bare.split("r=").nth(1).unwrap()) && field("r=").len() > 40, "{sent}");
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(field("i=").parse().unwrap()).unwrap();
        assert!(rounds.get() >= 4096, "RFC 7677 §4: {sent}");
        let salt = BASE64.decode(field("s=").as_bytes()).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, PASSWORD.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let bound = BASE64.encode(&[self.header.as_bytes(), &self.bound].concat());
        let last = format!("c={bound},r={}", field("r="));
        let all = format!("{},{sent},{last}", self.bare);
        let signature = sign(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        let verifier = sign(&sign(&salted, b"Server Key"), all.as_bytes());
        let server = format!("v={}", BASE64.encode(&verifier));
        (BASE64.encode(format!("{last},p={}", BASE64.encode(&proof)).as_bytes()), BASE64.encode(server.as_bytes()))
    }
}

impl Play {
    pub(crate) async fn tls(&mut self, whose: &str) {
        let server = CertificateDer::from_pem_file(&self.office.certificate).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(server.clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match whose {
            "" => config.with_no_client_auth(),
            "stranger" => {
                let other = identity();
                config.with_client_auth_cert(vec![other.certificate], other.key).unwrap()
            }
            _ => config.with_client_auth_cert(vec![known().certificate.clone()], known().key.clone_key()).unwrap(),
        };
        let peer = self.peers.get_mut(&1).unwrap();
        let name = ServerName::try_from("mail.here.test").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, peer.take_stream()).await.unwrap();
        let exporter = stream.get_ref().1.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
        peer.stream = Some(Box::new(stream));
        // Our own certificates are signed with SHA-256 (RFC 5929 §4.1).
        let end_point = digest::digest(&digest::SHA256, &server).as_ref().to_vec();
        self.channel = Some(Channel { exporter, end_point });
    }

    pub(crate) fn scram(&mut self, words: &str) {
        if words != "proof" {
            let begun = Scram::begin(words, self.channel.as_ref(), self.kept.len());
            self.kept.retain(|name, _| !name.starts_with("client-") && !name.starts_with("server-"));
            self.kept.insert("client-first".into(), BASE64.encode(format!("{}{}", begun.header, begun.bare).as_bytes()));
            self.scram = Some(begun);
            return;
        }
        let (client, server) = self.scram.take().expect("@scram BINDING").prove(&self.kept["server-first"]);
        self.kept.insert("client-final".into(), client);
        self.kept.insert("server-final".into(), server);
    }
}
