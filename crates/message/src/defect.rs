//! What was wrong with a message and how it was read all the same: a closed list.
//!
//! Nothing of this crate fails, so this is where a reader learns what was repaired. [`crate::parse`] notes what it meets on
//! its way ([`crate::Message::defects`]); [`crate::Message::examine`] also decodes every body and reads every field.
//! Invariant: a defect lies inside the part it names; at most [`crate::limits::DEFECTS_MAX`] are kept.

/// One repair: what, in which part, and where.
///
/// ```
/// use message::defect::DefectKind;
/// let message = message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nnever closed");
/// let defect = &message.defects[0];
/// assert_eq!((defect.kind, defect.part, message.path(defect.part)), (DefectKind::BoundaryNotClosed, 0, vec![]));
/// assert_eq!(defect.to_string(), "boundary-not-closed at octet 64");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Defect {
    /// Octet of the message where it was seen.
    pub at: usize,
    /// Index in [`crate::Message::parts`]; [`crate::Message::path`] makes it a number for people.
    pub part: usize,
    /// What was seen.
    pub kind: DefectKind,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at octet {}", self.kind.word(), self.at)
    }
}

/// One table makes the enum, its words, its explanations and its examples, so none of them can be missing.
macro_rules! defects {
    ($($name:ident, $word:literal, $meaning:literal, $example:literal;)*) => {
        /// Every kind of defect. [`DefectKind::example`] is a message that has it.
        ///
        /// ```
        /// use message::defect::DefectKind;
        /// for kind in DefectKind::ALL {
        ///     let example = kind.example();
        ///     assert!(message::parse(&example).examine().iter().any(|d| d.kind == *kind), "{}", kind.word());
        /// }
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DefectKind {
            $(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!("Example: `", stringify!($example), "`")]
                $name,
            )*
        }

        impl DefectKind {
            /// All of them, in the order of their declaration.
            ///
            /// ```
            /// assert!(message::defect::DefectKind::ALL.len() > 40);
            /// ```
            pub const ALL: &'static [DefectKind] = &[$(DefectKind::$name),*];

            /// Its name in words, for printing and for JSON.
            ///
            /// ```
            /// assert_eq!(message::defect::DefectKind::BareCr.word(), "bare-cr");
            /// ```
            pub fn word(self) -> &'static str {
                match self { $(DefectKind::$name => $word),* }
            }

            /// What it means and what was done about it.
            ///
            /// ```
            /// assert!(message::defect::DefectKind::BareCr.meaning().contains("line end"));
            /// ```
            pub fn meaning(self) -> &'static str {
                match self { $(DefectKind::$name => $meaning),* }
            }

            /// A short message that has it. In the limits' examples `{n*text}` stands for `n` times that text.
            ///
            /// ```
            /// assert_eq!(message::defect::DefectKind::BareCr.example(), b"A: b\rc\r\n\r\n");
            /// ```
            pub fn example(self) -> Vec<u8> {
                expand(match self { $(DefectKind::$name => $example),* })
            }
        }
    };
}

/// `{3*ab}` to `ababab`.
fn expand(example: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = example;
    while let Some((before, repeat, after)) = next_repeat(rest) {
        out.extend_from_slice(before);
        let (count, text) = repeat;
        out.extend_from_slice(&text.repeat(count));
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

type Repeat<'a> = (&'a [u8], (usize, &'a [u8]), &'a [u8]);

fn next_repeat(text: &[u8]) -> Option<Repeat<'_>> {
    let open = memchr::memchr(b'{', text)?;
    let inner = text.get(open + 1..)?;
    let close = memchr::memchr(b'}', inner)?;
    let (repeat, after) = (inner.get(..close)?, inner.get(close + 1..)?);
    let star = memchr::memchr(b'*', repeat)?;
    let count = std::str::from_utf8(repeat.get(..star)?).ok()?.parse().ok()?;
    Some((text.get(..open)?, (count, repeat.get(star + 1..)?), after))
}

defects! {
    MboxFromLine, "mbox-from-line", "A `From ` line of an mbox file stands on top; it is no field.", b"From ann Mon Jan  1 00:00:00 2024\r\nA: b\r\n\r\n";
    MalformedHeaderLine, "malformed-header-line", "A line in the header is neither a field nor a continuation; it is skipped.", b"A: b\r\nno field\r\nC: d\r\n\r\n";
    EmptyLineMissing, "empty-line-missing", "No empty line parts header and body; the body begins with the first line that is no field.", b"A: b\r\nHello,\r\n\r\nthis is the body\r\n";
    ContinuationFirst, "continuation-first", "The header begins with a continuation line, which continues nothing; it is skipped.", b" first\r\nA: b\r\n\r\n";
    EmptyContinuation, "empty-continuation", "A continuation line holds only blanks (RFC 5322 \u{a7}4.2); the field goes on behind it.", b"A: b\r\n \r\n c\r\n\r\n";
    BlankBeforeColon, "blank-before-colon", "Blanks stand between a field's name and its colon (RFC 5322 \u{a7}4.5); they are dropped.", b"A : b\r\n\r\n";
    BareLf, "bare-lf", "A line ends with LF alone; it counts as a line end.", b"A: b\nC: d\r\n\r\n";
    BareCr, "bare-cr", "A CR stands without LF; it is no line end.", b"A: b\rc\r\n\r\n";
    Nul, "nul", "A NUL octet; it is kept.", b"A: b\0\r\n\r\n";
    LineTooLong, "line-too-long", "A line is longer than 998 octets (RFC 5322 \u{a7}2.1.1); it is kept.", b"A: b\r\n\r\n{999*x}\r\n";
    EightBitHeader, "eight-bit-header", "A field holds octets above 127 that are not UTF-8; they are read in the charset of the text, else as windows-1252.", b"Subject: Gr\xfc\xdfe\r\n\r\n";
    DuplicateField, "duplicate-field", "A field that may stand once stands twice (RFC 5322 \u{a7}3.6); the first counts.", b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n";
    ContentTypeUnreadable, "content-type-unreadable", "A Content-Type is no `type/subtype`; the part is text/plain (RFC 2045 \u{a7}5.2).", b"Content-Type: text\r\n\r\n";
    EncodingUnknown, "encoding-unknown", "A Content-Transfer-Encoding nobody knows; the body stays as it is.", b"Content-Transfer-Encoding: x-secret\r\n\r\n";
    EncodedMultipart, "encoded-multipart", "A multipart has an encoding that only leaves may have (RFC 2045 \u{a7}6.4); it is not applied.", b"Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: base64\r\n\r\n--a\r\n\r\n--a--\r\n";
    EncodedMessage, "encoded-message", "A message inside is encoded (RFC 2046 \u{a7}5.2.1 forbids it); it is one part whose decoded content is that message.", b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQTogYg0KDQo=\r\n";
    BoundaryMissing, "boundary-missing", "A multipart has no boundary, or an empty one; it is shown as text.", b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n";
    BoundaryTooLong, "boundary-too-long", "A boundary is longer than the 70 of RFC 2046 \u{a7}5.1.1; it is used all the same.", b"Content-Type: multipart/mixed; boundary={71*b}\r\n\r\n--{71*b}\r\n\r\n--{71*b}--\r\n";
    BoundaryNotFound, "boundary-not-found", "No line with a multipart's boundary; it is shown as text.", b"Content-Type: multipart/mixed; boundary=a\r\n\r\ntext\r\n";
    BoundaryNotClosed, "boundary-not-closed", "A multipart's closing boundary is missing; its last part ends where the multipart does.", b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\ntext\r\n";
    PartAfterEnd, "part-after-end", "A part stands behind the closing boundary; it is taken as one of the multipart's.", b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n--a--\r\nepilogue\r\n--a\r\n\r\nlate\r\n--a--\r\n";
    TooDeep, "too-deep", "Deeper than this library looks (`DEPTH_MAX`); the part is opaque.", b"{101*Content-Type: message/rfc822\r\n\r\n}";
    TooManyParts, "too-many-parts", "More parts than this library looks for (`PARTS_MAX`); the rest belongs to the last one.", b"Content-Type: multipart/mixed; boundary=a\r\n\r\n{10001*--a\r\n\r\n}";
    TooManyFields, "too-many-fields", "More fields in one header than this library reads (`HEADER_FIELDS_MAX`).", b"{10001*a:\r\n}\r\n";
    TooManyParameters, "too-many-parameters", "More parameters than this library reads (`PARAMETERS_MAX`).", b"Content-Type: a/b{1001*;c=d}\r\n\r\n";
    TooManyAddresses, "too-many-addresses", "More addresses in one field than this library reads (`ADDRESSES_MAX`).", b"To: {10001*a@b,}\r\n\r\n";
    FieldTooLong, "field-too-long", "A field is longer than this library reads (`FIELD_BYTES_MAX`).", b"A: {262145*b}\r\n\r\n";
    EightBitBody, "eight-bit-body", "A body that says it is 7bit holds octets above 127; they are kept.", b"Content-Transfer-Encoding: 7bit\r\n\r\n\xc3\xa4\r\n";
    Base64Foreign, "base64-foreign", "Octets that are not base64 stand in a base64 body; they are skipped (RFC 2045 \u{a7}6.8).", b"Content-Transfer-Encoding: base64\r\n\r\naGVs!!bG8=\r\n";
    Base64Padding, "base64-padding", "The padding of a base64 body is missing or too short; what is there is decoded.", b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8\r\n";
    Base64AfterPadding, "base64-after-padding", "Something stands behind a base64 body's padding: more base64 is decoded as a second piece, text is left out.", b"Content-Transfer-Encoding: base64\r\n\r\naGk=aGk=\r\n";
    Base64LoneDigit, "base64-lone-digit", "One base64 digit is left over at the end, six bits that make no octet; it is dropped.", b"Content-Transfer-Encoding: base64\r\n\r\naGkhQ\r\n";
    QuotedPrintableBroken, "quoted-printable-broken", "An equals sign without two hexadecimal digits; it stays as it is.", b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=zz\r\n";
    UuencodeBroken, "uuencode-broken", "A uuencoded body without its `begin` or `end` line; its lines are decoded all the same.", b"Content-Transfer-Encoding: x-uuencode\r\n\r\n#:&DA\r\n";
    CharsetUnknown, "charset-unknown", "A charset nobody knows; the octets are UTF-8, or guessed.", b"Content-Type: text/plain; charset=x-klingon\r\n\r\n";
    CharsetMismatch, "charset-mismatch", "Octets that the named charset does not have; they become U+FFFD, or the charset is guessed.", b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\r\n";
    EncodedWordNotClosed, "encoded-word-not-closed", "An encoded-word without its `?=`; it is read up to the next blank.", b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe\r\n\r\n";
    EncodedWordBlank, "encoded-word-blank", "Blanks inside an encoded-word (RFC 2047 \u{a7}2 forbids them); they are kept.", b"Subject: =?utf-8?Q?two words?=\r\n\r\n";
    EncodedWordTooLong, "encoded-word-too-long", "An encoded-word longer than 75 (RFC 2047 \u{a7}2); it is decoded.", b"Subject: =?utf-8?Q?{76*x}?=\r\n\r\n";
    EncodedWordQuoted, "encoded-word-quoted", "An encoded-word inside a quoted string (RFC 2047 \u{a7}5 forbids it); it is decoded.", b"From: \"=?utf-8?Q?=C3=84nne?=\" <aenne@here.test>\r\n\r\n";
    EncodedWordJoined, "encoded-word-joined", "An encoded-word that touches other text (RFC 2047 \u{a7}5 wants blanks); it is decoded.", b"Subject: x=?utf-8?Q?=C3=A4?=\r\n\r\n";
    EncodedWordCut, "encoded-word-cut", "A character is cut in two by adjacent encoded-words (RFC 2047 \u{a7}5 forbids it); they are joined first.", b"Subject: =?utf-8?Q?=E2=98?= =?utf-8?Q?=BA?=\r\n\r\n";
    EncodedWordCharset, "encoded-word-charset", "An encoded-word in a charset nobody knows; its octets are UTF-8, or guessed.", b"Subject: =?x-klingon?Q?a?=\r\n\r\n";
    EncodedWordInParameter, "encoded-word-in-parameter", "An encoded-word as a parameter's value (RFC 2047 \u{a7}5 forbids it); it is decoded.", b"Content-Type: text/plain; name=\"=?utf-8?Q?=C3=A4?=\"\r\n\r\n";
    ParameterPieceMissing, "parameter-piece-missing", "A number is missing among the pieces of a parameter (RFC 2231 \u{a7}3); the others are joined.", b"Content-Type: text/plain; name*0=a; name*2=c\r\n\r\n";
    ParameterPiecesMixed, "parameter-pieces-mixed", "The pieces of a parameter are not in order, or one is there twice; they are sorted, the first of two counts.", b"Content-Type: text/plain; name*1=b; name*0=a\r\n\r\n";
    ParameterTwice, "parameter-twice", "A parameter is there twice; the first counts.", b"Content-Type: text/plain; name=a; name=b\r\n\r\n";
    ParameterNotQuoted, "parameter-not-quoted", "A parameter's value has blanks or specials and no quotes (RFC 2045 \u{a7}5.1); it reaches to the semicolon.", b"Content-Type: text/plain; name=two words.txt\r\n\r\n";
    ParameterQuoteOpen, "parameter-quote-open", "A parameter's quote is never closed; the value reaches to the end of the field.", b"Content-Type: text/plain; name=\"a\r\n\r\n";
    ParameterUnreadable, "parameter-unreadable", "What stands between two semicolons is no `name=value`; it is skipped.", b"Content-Type: text/plain; nonsense\r\n\r\n";
    AddressAngleOpen, "address-angle-open", "An angle bracket is never closed; the address ends at the comma or with the field.", b"From: Ann <ann@here.test\r\n\r\n";
    AddressQuoteOpen, "address-quote-open", "A quote or a comment in a list of addresses is never closed; its mark is dropped.", b"From: \"Ann <ann@here.test>\r\n\r\n";
    AddressNotQuoted, "address-not-quoted", "A display name has specials and no quotes; it is taken as it stands.", b"From: ann@here.test <ann@here.test>\r\n\r\n";
    AddressWithoutDomain, "address-without-domain", "An address has no at sign; all of it is the local part.", b"From: ann\r\n\r\n";
    AddressSemicolon, "address-semicolon", "A semicolon parts addresses where a comma should; it is read as one.", b"To: a@here.test; b@here.test\r\n\r\n";
    DateUnreadable, "date-unreadable", "A Date nobody can read; there is no date.", b"Date: yesterday\r\n\r\n";
    DateObsolete, "date-obsolete", "A Date in a form that is no longer written (RFC 5322 \u{a7}4.3), or never was; it is read.", b"Date: 17 Jul 96 02:23 EST\r\n\r\n";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn words_differ_and_examples_expand() {
        let mut words: Vec<&str> = DefectKind::ALL.iter().map(|k| k.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), DefectKind::ALL.len());
        assert_eq!(expand(b"a{3*xy}b{2*c}{no}"), b"axyxyxybcc{no}");
    }
}
