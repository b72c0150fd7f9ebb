//! Each limit that no other test holds: what is at it, and what is one past it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use message::content::{ContentFields, ContentType};
use message::limits::{
    BOUNDARY_BYTES_MAX, CHARSET_NAME_BYTES_MAX, DISPLAY_BYTES_MAX, ENCODED_WORD_BYTES_MAX, HEADER_FIELDS_MAX, LANGUAGES_MAX,
    PARAMETERS_MAX,
};
use message::{Facts, address_list, encoded_word, header, parse};

#[test]
fn header_fields() {
    let subject = |n: usize| Facts::compute(format!("{}Subject: x\r\n\r\n", "a: b\r\n".repeat(n - 1)).as_bytes()).subject;
    assert_eq!((subject(HEADER_FIELDS_MAX).as_str(), subject(HEADER_FIELDS_MAX + 1).as_str()), ("x", ""));
    // Who goes over the fields sees all of them: a rule about Bcc or From cannot be hidden from.
    assert_eq!(header::fields("a: b\r\n".repeat(HEADER_FIELDS_MAX + 1).as_bytes()).count(), HEADER_FIELDS_MAX + 1);
}

#[test]
fn parameters() {
    let count = |n: usize| ContentType::parse(format!("text/plain{}", "; a=b".repeat(n)).as_bytes()).unwrap().parameters.0.len();
    assert_eq!((count(PARAMETERS_MAX), count(PARAMETERS_MAX + 1)), (PARAMETERS_MAX, PARAMETERS_MAX));
}

#[test]
fn boundary_bytes() {
    let parts = |n: usize| {
        let boundary = "b".repeat(n);
        parse(
            format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\nx\r\n--{boundary}--\r\n")
                .as_bytes(),
        )
        .parts
        .len()
    };
    assert_eq!((parts(BOUNDARY_BYTES_MAX), parts(BOUNDARY_BYTES_MAX + 1)), (2, 1));
}

#[test]
fn languages() {
    let count = |n: usize| ContentFields::read(format!("Content-Language: {}\r\n", "en,".repeat(n)).as_bytes()).language.len();
    assert_eq!((count(LANGUAGES_MAX), count(LANGUAGES_MAX + 1)), (LANGUAGES_MAX, LANGUAGES_MAX));
}

#[test]
fn display_bytes() {
    let subject = |n: usize| Facts::compute(format!("Subject: {}\r\n\r\n", "x".repeat(n)).as_bytes()).subject.len();
    assert_eq!((subject(DISPLAY_BYTES_MAX), subject(DISPLAY_BYTES_MAX + 1)), (DISPLAY_BYTES_MAX, DISPLAY_BYTES_MAX));
    // A character is never cut in two.
    assert_eq!(
        Facts::compute(format!("Subject: {}\r\n\r\n", "☺".repeat(DISPLAY_BYTES_MAX)).as_bytes()).subject.len(),
        DISPLAY_BYTES_MAX / 3 * 3
    );
}

#[test]
fn charset_name_and_encoded_word_bytes() {
    let word = |n: usize| encoded_word::decode(format!("=?{}?Q?a?=", "x".repeat(n)).as_bytes());
    assert_eq!(word(CHARSET_NAME_BYTES_MAX - 1), "a");
    assert!(word(CHARSET_NAME_BYTES_MAX).starts_with("=?xxx"));
    // A comma inside an encoded-word parts addresses only where the word is longer than is looked for.
    let count = |n: usize| address_list::parse(format!("=?utf-8?Q?a,{}?= <a@b.test>", "x".repeat(n - 14)).as_bytes()).len();
    assert_eq!((count(ENCODED_WORD_BYTES_MAX), count(ENCODED_WORD_BYTES_MAX + 1)), (1, 2));
}
