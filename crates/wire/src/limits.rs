//! Every limit of the protocols, by name and with its unit last; one section a protocol.
//!
//! Invariant: nothing a peer sends is held without one of these above it.

use crate::pace::Patience;

/// IMAP and POP3: silence borne from whoever has not signed in, seconds; not round, so that both sides do not close at once.
pub const BEFORE_SIGN_IN_SECS_MAX: u64 = 2 * 60 + 7;
/// Commands that lead nowhere: on IMAP and POP3 those of whoever has not signed in, on SMTP those beside messages (NOOP, RSET, VRFY
/// ...) since the last one. Past them IMAP and POP3 close and SMTP counts each as an error, so that nobody stays for ever by NOOP.
pub const IDLE_COMMANDS_MAX: u8 = 100;
/// The slowest a message, literal or line may come in, octets a second (a modem of 1985 was faster).
pub const BYTES_PER_SEC_MIN: u64 = 100;

/// What a client of IMAP or POP3 asks of an answer once it has begun, besides the silence it bears: a line of a listing in some
/// seconds (servers that look each message up first are slow), but not an octet now and then for ever.
pub(crate) const CLIENT_PATIENCE: Patience =
    Patience { before_sign_in_secs: BEFORE_SIGN_IN_SECS_MAX, silence_secs: None, bytes_per_sec_min: 10 };
/// Octets of one message, or of the literals of one response, that a client of IMAP or POP3 lets pass; past them the server has no
/// end.
pub const MESSAGE_BYTES_PASSED_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// SASL (RFC 4422).
pub mod sasl {
    /// Base64 line of an exchange, octets without CRLF (RFC 4954 §4.3 asks for 12,288).
    pub const LINE_BYTES_MAX: usize = 12_288;
    /// Login name or password, octets.
    pub const WORD_BYTES_MAX: usize = 1_024;
    /// A bearer token, octets: what fits in a line of base64 with a name beside it.
    pub const TOKEN_BYTES_MAX: usize = 8_000;
    /// A client nonce, octets.
    pub const NONCE_BYTES_MAX: usize = 256;
    /// PBKDF2 rounds a client is willing to compute.
    pub const ITERATIONS_MAX: u32 = 2_000_000;
    /// PBKDF2 rounds a client accepts at least (RFC 7677 §4).
    pub const ITERATIONS_MIN: u32 = 4_096;
}

/// SMTP and LMTP (RFC 5321 §4.5.3).
pub mod smtp {
    /// Command line, octets with CRLF: 512 and room for the parameters of DSN, AUTH and SMTPUTF8.
    pub const COMMAND_BYTES_MAX: usize = 2_048;
    /// Input a server buffers while an event waits for its answer.
    pub const INPUT_BYTES_MAX: usize = 64 * 1024;
    /// Octets of a message handed to the owner in one piece.
    pub const CHUNK_BYTES_MAX: usize = 64 * 1024;
    /// Recipients of one transaction, unless the owner says otherwise (RFC 5321 §4.5.3.1.8: at least 100).
    pub const RECIPIENTS_MAX: usize = 1_000;
    /// Commands a server answers with an error of syntax or order before it closes.
    pub const ERRORS_MAX: u32 = 20;
    /// Failed sign-ins before a server closes.
    pub const AUTH_FAILURES_MAX: u32 = 5;
    /// Octets of a message already refused that are read and thrown away before the server closes.
    pub const DRAIN_BYTES_MAX: u64 = 256 * 1024 * 1024;
    /// A server waits this long for a command or a piece of a message (RFC 5321 §4.5.3.2.7).
    pub const COMMAND_SECS_MAX: u64 = 300;
    /// Local part, octets (RFC 5321 §4.5.3.1.1 says 64; real ones are longer).
    pub const LOCAL_BYTES_MAX: usize = 128;
    /// Domain, octets (RFC 5321 §4.5.3.1.2).
    pub const DOMAIN_BYTES_MAX: usize = 255;
    /// Decoded ENVID, octets (RFC 3461 §5.4 says 100 encoded).
    pub const ENVID_BYTES_MAX: usize = 100;
    /// Decoded ORCPT with its type, octets (RFC 3461 §5.4 says 500 encoded).
    pub const ORCPT_BYTES_MAX: usize = 500;
    /// Reply line a client accepts, octets (RFC 5321 §4.5.3.1.5 says 512).
    pub const REPLY_LINE_BYTES_MAX: usize = 4_096;
    /// Lines of one reply a client accepts.
    pub const REPLY_LINES_MAX: usize = 128;
    /// Input a client buffers.
    pub const REPLY_BYTES_MAX: usize = 256 * 1024;

    /// Client: greeting, MAIL, RCPT, EHLO and the rest (RFC 5321 §4.5.3.2.1 to .3).
    pub const CLIENT_COMMAND_SECS_MAX: u64 = 300;
    /// Client: the reply to DATA (§4.5.3.2.4).
    pub const CLIENT_DATA_SECS_MAX: u64 = 120;
    /// Client: a piece of the message to leave (§4.5.3.2.5).
    pub const CLIENT_BLOCK_SECS_MAX: u64 = 180;
    /// Client: the reply to the end of the message (§4.5.3.2.6).
    pub const CLIENT_END_SECS_MAX: u64 = 600;
    /// Client: the reply to QUIT; nothing depends on it.
    pub const CLIENT_QUIT_SECS_MAX: u64 = 10;
}

/// POP3 (RFC 1939, 2449).
pub mod pop3 {
    /// Command line, octets with CRLF (RFC 2449 §4).
    pub const COMMAND_BYTES_MAX: usize = 255;
    /// The same in UTF-8 mode, where names and passwords are longer.
    pub const COMMAND_UTF8_BYTES_MAX: usize = 512;
    /// AUTH with an initial response, octets with CRLF: more than the 255 of RFC 5034 §4, since some clients do not count.
    pub const AUTH_BYTES_MAX: usize = super::sasl::LINE_BYTES_MAX + COMMAND_BYTES_MAX;
    /// Pipelined input held while an answer is under way.
    pub const INPUT_BYTES_MAX: usize = 32 * 1024;
    /// A listing is written in pieces of about this many octets.
    pub const LISTING_BYTES: usize = 64 * 1024;
    /// Octets of a message kept back until its end is known, so that the terminator never travels alone (lessons C20).
    pub const TAIL_BYTES: usize = 64;
    /// Commands answered with an error of syntax or order before the server closes.
    pub const ERRORS_MAX: u32 = 20;
    /// Failed sign-ins before the server closes.
    pub const AUTH_FAILURES_MAX: u32 = 5;
    /// Autologout (RFC 1939 §3 wants 600 or more); not round, so that both sides do not close at once.
    pub const IDLE_SECS_MAX: u64 = 630;
    /// Status line a client accepts, octets with CRLF (RFC 2449 §4 says 512; real ones are longer).
    pub const REPLY_BYTES_MAX: usize = 4_096;
    /// Capability lines a client keeps.
    pub const CAPABILITIES_MAX: usize = 128;
    /// Messages of one maildrop a client is willing to hear of, and lines of one listing.
    pub const MESSAGES_MAX: u32 = 10_000_000;
    /// Commands a client sends ahead of their answers.
    pub const PIPELINE_MAX: usize = 32;
    /// Message octets a client hands over in one piece.
    pub const CHUNK_BYTES_MAX: usize = 64 * 1024;
    /// A client waits this long for an answer to begin, and bears as long a silence within it.
    pub const CLIENT_SECS_MAX: u64 = 300;
}
