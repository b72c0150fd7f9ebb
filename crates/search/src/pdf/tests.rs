#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use std::io::Write;

const MOST: usize = 1 << 20;

fn deflated(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn stream(dictionary: &str, octets: &[u8]) -> Vec<u8> {
    let head = format!("<< {dictionary} /Length {} >>\nstream\r\n", octets.len());
    [head.as_bytes(), octets, b"\nendstream"].concat()
}

/// A file of these objects, numbered from 1.
fn file(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut octets = b"%PDF-1.7\n".to_vec();
    for (number, object) in (1..).zip(objects) {
        octets.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        octets.extend_from_slice(object);
        octets.extend_from_slice(b"\nendobj\n");
    }
    octets.extend_from_slice(format!("trailer << {trailer} >>\n%%EOF\n").as_bytes());
    octets
}

/// One page that shows this text, each letter by its number.
pub(crate) fn document(text: &str) -> Vec<u8> {
    let codes: String = text.encode_utf16().map(|unit| format!("{unit:04x}")).collect();
    let map = b"1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfrange <0000> <ffff> <0000> endbfrange";
    file(
        &[
            b"<< /Type /Page /Contents 2 0 R /Resources << /Font << /F1 3 0 R >> >> >>".to_vec(),
            stream("/Filter /FlateDecode", &deflated(format!("BT /F1 12 Tf 10 700 Td <{codes}> Tj ET").as_bytes())),
            b"<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /ToUnicode 4 0 R >>".to_vec(),
            stream("", map),
        ],
        "/Size 5",
    )
}

fn page(content: &[u8]) -> Vec<u8> {
    file(
        &[
            b"<< /Type /Page /Parent 4 0 R /Contents [2 0 R] >>".to_vec(),
            stream("", content),
            b"<< /Type /Font /Subtype /Type1 /Encoding << /BaseEncoding /WinAnsiEncoding /Differences [1 /fi /adieresis 200 /uni20AC] >> >>"
                .to_vec(),
            b"<< /Type /Pages /Kids [1 0 R] /Resources << /Font << /F#31 3 0 R >> /XObject << /Fm 5 0 R >> >> >>".to_vec(),
            stream("/Type /XObject /Subtype /Form", b"BT /F1 9 Tf (in a form) Tj ET /Fm Do"),
            b"<< /Title <feff0042006f0061007400730020263a> /Author (Ann \\(the\\) Bow\\145r) >>".to_vec(),
        ],
        "/Info 6 0 R",
    )
}

fn shown(content: &[u8]) -> String {
    texts_of(&page(content), MOST).get(2).cloned().unwrap_or_default()
}

#[test]
fn strings_are_put_together_as_they_are_seen() {
    assert_eq!(shown(b"BT /F1 12 Tf (Red) Tj 0 -14 Td (boat) Tj T* [(s) -20 (ail) -400 (home)] TJ ET"), "Red boat sail home");
    assert_eq!(
        shown(b"BT /F1 12 Tf (\\001sh \\002 \\310 Gr\\374\\337e) Tj (next) ' 1 2 (one) \" ET"),
        "fish a\u{308} \u{20ac} Gr\u{fc}\u{df}e next one"
    );
    assert_eq!(shown(b"BI /W 2 /H 2 ID \x00(x) Tj\xff EI BT /F1 1 Tf (behind) Tj ET"), "behind");
    assert_eq!(shown(b"q /Fm Do Q BT /F1 1 Tf (after) Tj ET").matches("in a form").count(), 5);
    assert_eq!(shown(b"BT (no font) Tj ET"), "");
}

#[test]
fn titles_are_read() {
    let texts = texts_of(&page(b""), MOST);
    assert_eq!(texts, ["Boats \u{263a}", "Ann (the) Bower"]);
}

#[test]
fn letters_by_number_and_objects_in_streams() {
    assert_eq!(
        texts_of(&document("Gr\u{fc}\u{df}e, \u{65e5}\u{672c}\u{8a9e}"), MOST),
        ["Gr\u{fc}\u{df}e, \u{65e5}\u{672c}\u{8a9e}"]
    );
    // The page, its content's place and the font within an object stream.
    let (page, font) =
        ("<< /Type /Page /Contents 1 0 R /Resources << /Font << /A 11 0 R >> >> >>", "<< /Type /Font /Subtype /TrueType >>");
    let head = format!("10 0 11 {} ", page.len() + 1);
    let packed = deflated(format!("{head}{page} {font}").as_bytes());
    let octets = file(
        &[
            stream("/Filter [/ASCII85Decode]", b"6<#'\\5p/01<+[7$@<-4'F`M&(.3MT)+@T6~>"),
            stream(&format!("/Type /ObjStm /N 2 /First {} /Filter /FlateDecode", head.len()), &packed),
        ],
        "/Size 12",
    );
    assert_eq!(texts_of(&octets, MOST), ["armoured"]);
    let octets = file(
        &[
            stream("", b"BT /A 9 Tf (packed page) Tj ET"),
            stream(&format!("/Type /ObjStm /N 2 /First {} /Filter /FlateDecode", head.len()), &packed),
        ],
        "/Size 12",
    );
    assert_eq!(texts_of(&octets, MOST), ["packed page"]);
}

#[test]
fn what_is_no_pdf_or_is_locked_says_nothing() {
    for octets in [&b""[..], b"%PDF", b"%PDF-1.7", b"BT (x) Tj ET", b"PK\x03\x04"] {
        assert!(texts_of(octets, MOST).is_empty());
    }
    let locked = [&page(b"BT /F1 1 Tf (secret) Tj ET")[..], b"trailer << /Encrypt 9 0 R >>"].concat();
    assert!(texts_of(&locked, MOST).is_empty());
}

/// Each costs no more than its budget: it comes back, soon, with little.
#[test]
fn hostile_documents_end() {
    let zeros = vec![b' '; 8 << 20];
    let bomb = deflated(&deflated(&zeros));
    let chains = [
        // Unpacked twice it is four times as much as there is to spend.
        file(&[b"<< /Type /Page /Contents 2 0 R >>".to_vec(), stream("/Filter [/FlateDecode /FlateDecode]", &bomb)], ""),
        // A thousand pages of one large content.
        {
            let mut objects = vec![b"<< /Type /Page /Contents 1001 0 R >>".to_vec(); 1000];
            objects.push(stream("/Filter /FlateDecode", &deflated(&vec![b'('; 1 << 20])));
            file(&objects, "")
        },
        // Objects that refer to themselves and to each other.
        file(
            &[
                b"1 0 R".to_vec(),
                b"<< /Type /Page /Parent 2 0 R /Contents [2 0 R 3 0 R] /Resources 4 0 R >>".to_vec(),
                b"4 0 R".to_vec(),
                b"3 0 R".to_vec(),
            ],
            "/Info 1 0 R",
        ),
        // Strings, arrays and streams that never end.
        b"%PDF-1.7\n".iter().copied().chain(b"1 0 obj(".repeat(30_000)).collect(),
        b"%PDF-1.7\n".iter().copied().chain(b"1 0 obj[".repeat(30_000)).collect(),
        b"%PDF-1.7\n".iter().copied().chain(b"1 0 obj<</A".repeat(30_000)).collect(),
        (0..20_000).fold(b"%PDF-1.7\n".to_vec(), |mut octets, number| {
            octets.extend_from_slice(format!("{number} 0 obj<</Type/Page/Contents {number} 0 R>>stream\n").as_bytes());
            octets
        }),
        // A table that is all of the codes there are, again and again.
        file(
            &[
                page_of_fonts(),
                stream("", b"BT /F0 1 Tf (x) Tj /F1 1 Tf (x) Tj ET"),
                b"<< /Subtype /Type0 /ToUnicode 4 0 R >>".to_vec(),
                stream("", &b"<00000000> <ffffffff> <0041> endbfrange ".repeat(1000)),
            ],
            "",
        ),
    ];
    for (number, octets) in chains.iter().enumerate() {
        let started = std::time::Instant::now();
        let texts = texts_of(octets, 10_000);
        let all: usize = texts.iter().map(String::len).sum();
        assert!(all <= 10_000, "{number}: {all}");
        // A second at most; a minute is a hang, not a slow machine.
        assert!(started.elapsed().as_secs() < 60, "{number}: {:?}", started.elapsed());
    }
}

fn page_of_fonts() -> Vec<u8> {
    b"<< /Type /Page /Contents 2 0 R /Resources << /Font << /F0 3 0 R /F1 3 0 R >> >> >>".to_vec()
}

#[test]
fn cut_and_broken_documents_are_read_as_far_as_they_go() {
    let whole = [document("boat"), page(b"BT /F1 12 Tf (Red) Tj [(s) -20 (ail)] TJ /Fm Do ET")].concat();
    for len in 0..whole.len() {
        texts_of(&whole[..len], MOST);
    }
    let mut seed = 1u64;
    for _ in 0..2_000 {
        let mut broken = whole.clone();
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) as usize % broken.len();
            broken[at] = (seed >> 20) as u8;
        }
        texts_of(&broken, MOST);
    }
}
