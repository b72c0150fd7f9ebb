//! Options of sign-in: mechanisms, client certificates, a token server.

use super::OptionBlock;

pub(super) const AUTH_MECHANISMS: OptionBlock = OptionBlock {
    name: "auth.mechanisms",
    doc: "SASL mechanisms in the order they are offered: \"NAME\", or \"NAME on LISTENER\" (submission, submissions, imap, imaps, pop3, pop3s) for there alone. SCRAM-SHA-256-PLUS and EXTERNAL show only under TLS that ends here, OAUTHBEARER and XOAUTH2 only with [oauth], what shows the password only where `plaintext` or TLS lets it. Leave a name out to switch it off; SCRAM-SHA-256-PLUS is, because some programs choose it and then cannot bind.",
    default: "[\"SCRAM-SHA-256\", \"OAUTHBEARER\", \"XOAUTH2\", \"EXTERNAL\", \"PLAIN\", \"LOGIN\"]",
    example: "[\"SCRAM-SHA-256\", \"PLAIN\", \"LOGIN on submission\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(str::parse) {
            config.mechanisms = list;
        }
    },
    refused: &["\"PLAIN\"", "[\"CRAM-MD5\"]", "[\"PLAIN on smtp\"]", "[1]"],
};

pub(super) const AUTH_CLIENT_CERTIFICATES: OptionBlock = OptionBlock {
    name: "auth.client_certificates",
    doc: "TLS certificates that sign in by EXTERNAL: \"ADDRESS SHA256\", the certificate's fingerprint in hex. Others are ignored, and without any (and without client_ca) no client is asked for one.",
    default: "[]",
    example: "[\"ann@example.org 2f7c1f0e7d4e6a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(pinned) {
            config.client_certificates = list;
        }
    },
    refused: &[
        "[\"ann@example.org\"]",
        "[\"ann@example.org 12ab\"]",
        "[\"ann 2f7c1f0e7d4e6a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b\"]",
        "7",
    ],
};

/// `ADDRESS SHA256`: the fingerprint and the address.
fn pinned(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("\"{text}\" is not \"ADDRESS SHA256\", 64 hex digits");
    let (address, fingerprint) = text.split_once(' ').ok_or_else(wrong)?;
    let fingerprint = fingerprint.trim().replace(':', "").to_lowercase();
    let good = address.contains('@') && fingerprint.len() == 64 && fingerprint.bytes().all(|octet| octet.is_ascii_hexdigit());
    if good { Ok((fingerprint, address.to_lowercase())) } else { Err(wrong()) }
}

pub(super) const AUTH_CLIENT_CA: OptionBlock = OptionBlock {
    name: "auth.client_ca",
    doc: "An authority of your own (PEM): whoever it gave a certificate with an email address may sign in as that address by EXTERNAL.",
    default: "",
    example: "\"ca.pem\"",
    read: |config, item| config.client_ca = item.readable_file(),
    refused: &["\"missing.pem\"", "1"],
};

pub(super) const OAUTH_ISSUER: OptionBlock = OptionBlock {
    name: "oauth.issuer",
    doc: "A token server whose tokens sign in by OAUTHBEARER and XOAUTH2: its issuer, to the letter (the `iss` of its tokens).",
    default: "",
    example: "\"https://id.example.org\"",
    read: |config, item| {
        if let Some(issuer) = item.text() {
            if issuer.is_empty() {
                item.problem("wants the issuer's URL");
            }
            config.oauth_mut().issuer = issuer;
        }
    },
    refused: &["\"\"", "1"],
};

pub(super) const OAUTH_AUDIENCE: OptionBlock = OptionBlock {
    name: "oauth.audience",
    doc: "Whom its tokens must be meant for: one of these must be in `aud`.",
    default: "",
    example: "[\"mail\"]",
    read: |config, item| {
        if let Some(list) =
            item.list_of(|text| if text.is_empty() { Err("wants a name".to_owned()) } else { Ok(text.to_owned()) })
        {
            config.oauth_mut().audience = list;
        }
    },
    refused: &["\"mail\"", "[\"\"]", "[1]"],
};

pub(super) const OAUTH_CLAIM: OptionBlock = OptionBlock {
    name: "oauth.claim",
    doc: "Which claim of a token names the account; \"email\" when nothing is given.",
    default: "",
    example: "\"email\"",
    read: |config, item| {
        if let Some(claim) = item.text() {
            if claim.is_empty() {
                item.problem("wants a claim's name");
            }
            config.oauth_mut().claim = claim;
        }
    },
    refused: &["\"\"", "1"],
};

pub(super) const OAUTH_JWKS_FILE: OptionBlock = OptionBlock {
    name: "oauth.jwks_file",
    doc: "The token server's public keys, a JSON Web Key Set (RFC 7517) in a file; it is read again when it changes, so a timer that fetches it is enough.",
    default: "",
    example: "\"jwks.json\"",
    read: |config, item| {
        if let Some(file) = item.readable_file() {
            config.oauth_mut().jwks_file = file;
        }
    },
    refused: &["\"missing.json\"", "1"],
};

pub(super) const OAUTH_JWKS_URL: OptionBlock = OptionBlock {
    name: "oauth.jwks_url",
    doc: "Instead of jwks_file: where the token server shows its keys, \"https://...\" (\"http://\" only on this machine). They are fetched when the first token comes, each hour, and when a token names a key that is not among them.",
    default: "",
    example: "\"https://id.example.org/jwks.json\"",
    read: |config, item| {
        if let Some(url) = item.text() {
            let is_near = ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
                let rest = url.strip_prefix("http://").and_then(|rest| rest.strip_prefix(host));
                rest.is_some_and(|rest| rest.starts_with([':', '/']))
            });
            if url.strip_prefix("https://").is_none_or(str::is_empty) && !is_near {
                item.problem("wants a URL that begins with https://");
            }
            config.oauth_mut().jwks_url = url;
        }
    },
    refused: &["\"\"", "1", "\"http://id.example.org/\"", "\"http://localhost.example.org/\"", "\"https://\""],
};
