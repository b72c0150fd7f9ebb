//! Every bound of this crate, by name.

/// Terms of SPF that ask DNS, one evaluation (RFC 7208 §4.6.4).
pub const SPF_LOOKUPS_MAX: usize = 10;
/// Answers without anything in them, one evaluation (RFC 7208 §4.6.4).
pub const SPF_VOID_LOOKUPS_MAX: usize = 2;
/// Hosts of one `mx` term (RFC 7208 §4.6.4).
pub const SPF_MX_HOSTS_MAX: usize = 10;
/// Names of an address that `ptr` and `%{p}` look at (RFC 7208 §4.6.4).
pub const SPF_PTR_NAMES_MAX: usize = 10;
/// Octets of one SPF record.
pub const SPF_RECORD_BYTES_MAX: usize = 8 * 1024;
/// Terms of one SPF record.
pub const SPF_TERMS_MAX: usize = 256;
/// Octets of an explanation.
pub const SPF_EXPLANATION_BYTES_MAX: usize = 500;
/// Signatures of one message that are looked at (RFC 6376 §6.1 lets the verifier choose).
pub const DKIM_SIGNATURES_MAX: usize = 8;
/// Octets of one signature field.
pub const DKIM_FIELD_BYTES_MAX: usize = 16 * 1024;
/// Names in `h=`.
pub const DKIM_HEADERS_MAX: usize = 256;
/// Key records tried for one signature.
pub const DKIM_KEYS_MAX: usize = 3;
/// Smallest RSA key that counts, bits (RFC 8301 §3.2).
pub const RSA_BITS_MIN: usize = 1024;
/// Tags of one list.
pub const TAGS_MAX: usize = 64;
/// Fields of a header that are looked at.
pub const HEADER_FIELDS_MAX: usize = 5_000;
/// Instances of an ARC chain (RFC 8617 §4.2.1).
pub const ARC_SETS_MAX: usize = 50;
/// Questions of one tree walk (RFC 9989 §4.10).
pub const DMARC_WALK_MAX: usize = 8;
/// Author domains of one message that are looked at.
pub const DMARC_AUTHORS_MAX: usize = 5;
/// Where a DMARC record wants reports: URIs that are kept.
pub const DMARC_URIS_MAX: usize = 5;
/// Octets of a TLS report: its JSON takes many times that in memory.
pub const TLS_REPORT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Policies of one TLS report, and lines of one policy.
pub const TLS_POLICIES_MAX: usize = 100;
/// Kinds of failure of one policy.
pub const TLS_FAILURES_MAX: usize = 100;
/// Octets of one text of a TLS report.
pub const TLS_TEXT_BYTES_MAX: usize = 1_000;
/// Where one domain wants TLS reports.
pub const TLS_URIS_MAX: usize = 4;
/// Answers that [`crate::Recorder`] keeps.
pub const RECORDED_ANSWERS_MAX: usize = 64;
/// Octets of one of them.
pub const RECORDED_BYTES_MAX: usize = 300;
