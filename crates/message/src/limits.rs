//! Every limit of this crate, named. Past a limit the rest is kept as bytes but not looked into:
//! nothing here fails, and the cost stays linear in the input.

/// Multiparts and messages inside one another; a deeper one is an opaque part.
pub const DEPTH_MAX: usize = 100;
/// Entities of one message, the message itself included; later boundaries are not looked for.
pub const PARTS_MAX: usize = 10_000;
/// Header fields of one entity that facts are made of.
pub const HEADER_FIELDS_MAX: usize = 10_000;
/// Bytes of one header field's body that facts are made of.
pub const FIELD_BYTES_MAX: usize = 256 * 1024;
/// Parameters of one Content-Type or Content-Disposition field.
pub const PARAMETERS_MAX: usize = 1_000;
/// Bytes of a multipart boundary (RFC 2046 §5.1.1 allows 70; more is seen).
pub const BOUNDARY_BYTES_MAX: usize = 512;
/// Mailboxes and group marks of one address list.
pub const ADDRESSES_MAX: usize = 10_000;
/// Bytes of one encoded-word that is looked for inside an address (RFC 2047 §2 allows 75; more is seen).
pub const ENCODED_WORD_BYTES_MAX: usize = 1_024;
/// Defects of one message that are kept.
pub const DEFECTS_MAX: usize = 1_000;
/// Longest charset name that is looked at.
pub const CHARSET_NAME_BYTES_MAX: usize = 64;
/// Longest quoted string of an IMAP answer; a longer one goes as a literal.
pub const QUOTED_BYTES_MAX: usize = 1_000;
/// Languages of one Content-Language field.
pub const LANGUAGES_MAX: usize = 100;
/// An envelope address: local part, at sign and domain (RFC 5321 §4.5.3.1.3 without the angle brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;
/// Local part of an envelope address (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_BYTES_MAX: usize = 64;
/// Domain of an envelope address (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_BYTES_MAX: usize = 255;
/// A generated line aims at this length (RFC 5322 §2.1.1).
pub const LINE_BYTES_WANTED: usize = 78;
/// No generated line is longer, without its CRLF (RFC 5322 §2.1.1).
pub const LINE_BYTES_MAX: usize = 998;
/// Bytes for people: a decoded Subject or From in the facts is cut after this many.
pub const DISPLAY_BYTES_MAX: usize = 1_000;
/// Bytes of decoded text that a search looks at in one message.
pub const SEARCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Ancestors of one message that its thread keys name.
pub const REFERENCES_MAX: usize = 200;
/// Threading: steps looking for loops, in all; past them a message keeps the parent it has.
pub const THREAD_STEPS_MAX: u64 = 20_000_000;
/// Ancestors of one message whose keys are kept in its facts.
pub const REFERENCE_KEYS_MAX: usize = 32;
/// Bytes of one message id that counts as one.
pub const MESSAGE_ID_BYTES_MAX: usize = 1_000;
/// Addresses of one List-* field.
pub const LIST_ADDRESSES_MAX: usize = 20;
/// Results of one Authentication-Results field, and fields of one header.
pub const AUTHENTICATION_RESULTS_MAX: usize = 100;
/// Characters of a preview (RFC 8970 §3.1).
pub const PREVIEW_CHARS_MAX: usize = 200;
/// Bytes of one part, still encoded, that its preview is made of.
pub const PREVIEW_BYTES_MAX: usize = 256 * 1024;
/// Files that one message is seen to hold: attachments, and what is found inside them.
pub const ATTACHMENTS_MAX: usize = 10_000;
/// Bytes that the unpacking of one compressed thing (BinHex, compressed RTF) may reach.
pub const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Files inside one text (uuencode, yEnc, BinHex).
pub const INLINE_FILES_MAX: usize = 1_000;
/// TNEF messages inside one another.
pub const TNEF_DEPTH_MAX: usize = 8;
/// Groups of an RTF text inside one another that are told apart.
pub const RTF_DEPTH_MAX: usize = 100;
/// Attributes of one TNEF stream, properties of one of its property lists.
pub const TNEF_ATTRIBUTES_MAX: usize = 10_000;
/// Fragments of one message/partial.
pub const FRAGMENTS_MAX: usize = 10_000;
/// Properties and components of one calendar that are looked at.
pub const CALENDAR_LINES_MAX: usize = 100_000;
/// Groups of fields in one report (delivery status, feedback).
pub const REPORT_GROUPS_MAX: usize = 10_000;
/// Octets of HTML that are looked at for showing; the rest is left out.
pub const HTML_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Elements inside one another of shown HTML; the tags of deeper ones go, their text stays.
pub const HTML_DEPTH_MAX: usize = 200;
/// Formatting elements (`<b>`, `<font>` ...) that are open at once.
pub const HTML_FORMATTING_MAX: usize = 40;
/// Attributes of one tag that are looked at.
pub const HTML_ATTRIBUTES_MAX: usize = 100;
/// Octets of one attribute's value; a longer one is left out.
pub const HTML_ATTRIBUTE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Remote things of one message that are listed.
pub const HTML_REMOTE_MAX: usize = 10_000;
/// Octets of an address that is listed.
pub const URL_BYTES_MAX: usize = 16 * 1024;
/// Octets of style sheets of one message.
pub const CSS_BYTES_MAX: usize = 512 * 1024;
/// Parentheses and `@media` inside one another.
pub const CSS_DEPTH_MAX: usize = 8;
