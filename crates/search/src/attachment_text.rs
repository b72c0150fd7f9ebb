//! The words of attachments: their names, and what PDF and office documents (Office Open XML, OpenDocument) say.
//!
//! Texts, HTML and messages attached are part of the message's own text already. Invariant: bounded in octets unpacked, whatever the
//! attachment claims; one that cannot be read has no words. Must not know: indexes, queries.

use crate::limits::{
    ATTACHMENT_BYTES_MAX, ATTACHMENT_ENTRIES_LISTED_MAX, ATTACHMENT_ENTRIES_MAX, ATTACHMENT_TEXT_BYTES_MAX, ATTACHMENTS_READ_MAX,
};
use crate::pdf;
use message::attachment::{self, Attachment};
use message::{Message, html_text};
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where a document's words stand in its archive: these files, and those in these folders that begin so.
const FILES: [&str; 3] = ["word/document.xml", "xl/sharedStrings.xml", "content.xml"];
const BEGINNINGS: [&str; 6] =
    ["word/header", "word/footer", "word/footnotes", "word/endnotes", "ppt/slides/slide", "ppt/notesSlides/notesSlide"];
/// Ends of paragraphs, cells and shared strings.
const BREAKS: [&str; 8] = ["</w:p>", "<w:tab/>", "<w:br/>", "</a:p>", "</si>", "</text:p>", "</text:h>", "<text:s/>"];
/// Here only what is no shared string; read last, for most of it is numbers.
const SHEETS: &str = "xl/worksheets/sheet";
const ENDINGS: [&str; 6] = [".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"];

/// An encoded part that is longer than this times what is read holds more than that.
const ENCODED_MOST: u64 = 2;

/// Every name and text, one after the other, as long as it is answered by true.
pub(crate) fn each(message: &Message<'_>, mut each: impl FnMut(&str) -> bool) {
    let mut left = ATTACHMENT_TEXT_BYTES_MAX;
    for (number, attachment) in attachment::names(message).iter().enumerate() {
        if attachment.name.as_ref().is_some_and(|name| !each(name)) {
            return;
        }
        if number >= ATTACHMENTS_READ_MAX {
            continue;
        }
        let Some(kind) = kind_of(attachment).filter(|_| attachment.size <= ATTACHMENT_BYTES_MAX * ENCODED_MOST) else { continue };
        let Some(octets) = attachment::content(message, attachment) else { continue };
        if octets.len() as u64 > ATTACHMENT_BYTES_MAX {
            continue;
        }
        // A defect of a reader must not end the thread that searches.
        let texts = catch_unwind(AssertUnwindSafe(|| match kind {
            Kind::Office => texts_of(&octets, left),
            Kind::Pdf => pdf::texts_of(&octets, usize::try_from(left).unwrap_or(usize::MAX)),
        }))
        .unwrap_or_default();
        for text in texts {
            left = left.saturating_sub(text.len() as u64);
            if !each(&text) {
                return;
            }
        }
    }
}

/// Documents that are read.
enum Kind {
    Office,
    Pdf,
}

fn kind_of(attachment: &Attachment) -> Option<Kind> {
    let kind = &attachment.media_type;
    let name = attachment.name.as_deref().unwrap_or_default().to_ascii_lowercase();
    if kind.contains("openxmlformats") || kind.contains("opendocument") || ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return Some(Kind::Office);
    }
    (kind == "application/pdf" || name.ends_with(".pdf")).then_some(Kind::Pdf)
}

pub(crate) fn texts_of(octets: &[u8], bytes_max: u64) -> Vec<String> {
    // A list of entries takes seven times its octets in memory, and is read as a whole.
    let entries = memchr::memmem::find_iter(octets, b"PK\x01\x02").take(ATTACHMENT_ENTRIES_LISTED_MAX + 1);
    if entries.count() > ATTACHMENT_ENTRIES_LISTED_MAX {
        return Vec::new();
    }
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(octets)) else { return Vec::new() };
    let mut left = bytes_max;
    let mut texts = Vec::new();
    let entries = archive.len().min(ATTACHMENT_ENTRIES_MAX);
    for (number, sheets) in (0..entries).map(|number| (number, false)).chain((0..entries).map(|number| (number, true))) {
        let Ok(mut file) = archive.by_index(number) else { continue };
        let Some(name) = file.name().ok().map(|name| name.into_owned()) else { continue };
        let wanted = FILES.contains(&name.as_str()) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        if (sheets && !name.starts_with(SHEETS)) || (!sheets && !wanted) {
            continue;
        }
        let mut xml = Vec::new();
        // What was read before an error is read.
        let _ = Read::by_ref(&mut file).take(left).read_to_end(&mut xml);
        left = left.saturating_sub(xml.len() as u64);
        let xml = String::from_utf8_lossy(&xml);
        texts.push(if sheets { text_of(&inline_strings(&xml)) } else { text_of(&xml) });
    }
    texts
}

/// What cells say themselves, without their numbers (ECMA-376 part 1, §18.3.1.53).
fn inline_strings(xml: &str) -> String {
    let mut strings = String::new();
    for cell in xml.split("<is>").skip(1) {
        strings.push_str(cell.split("</is>").next().unwrap_or_default());
        strings.push_str("</si>");
    }
    strings
}

fn text_of(xml: &str) -> String {
    let mut broken = xml.to_owned();
    for end in BREAKS {
        if broken.contains(end) {
            broken = broken.replace(end, "<br>");
        }
    }
    html_text::text(&broken)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::base64;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// A text document of one paragraph.
    pub(crate) fn docx(text: &str) -> Vec<u8> {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        archive(&[("word/document.xml", &format!("<w:document><w:p><w:t>{text}</w:t></w:p></w:document>"))])
    }

    fn seen(name: &str, content: &[u8]) -> Vec<String> {
        let text = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: application/octet-stream\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
            base64(content)
        );
        let mut seen = Vec::new();
        each(&message::parse(text.as_bytes()), |text| {
            seen.push(text.trim().to_owned());
            true
        });
        seen
    }

    #[test]
    fn office_documents_have_words() {
        let docx = archive(&[
            ("[Content_Types].xml", "<Types>hidden</Types>"),
            (
                "word/document.xml",
                "<w:document><w:p><w:r><w:t>Red</w:t></w:r><w:r><w:t> boat &amp; sea</w:t></w:r></w:p><w:p><w:t>Two</w:t></w:p></w:document>",
            ),
        ]);
        let found = seen("plan.DOCX", &docx);
        assert_eq!(found.first().map(String::as_str), Some("plan.DOCX"));
        assert!(found.iter().any(|text| text.contains("Red boat & sea") && text.contains("Two") && !text.contains("seaTwo")));
        assert!(!found.iter().any(|text| text.contains("hidden")));
        let odt = archive(&[("content.xml", "<office:text><text:p>Grüße</text:p></office:text>")]);
        assert!(seen("a.odt", &odt).contains(&"Grüße".to_owned()));
        let xlsx = archive(&[("xl/sharedStrings.xml", "<sst><si><t>one</t></si><si><t>two</t></si></sst>")]);
        assert!(seen("a.xlsx", &xlsx).iter().any(|text| text.contains("one") && !text.contains("onetwo")));
        let sheet =
            "<row><c t=\"inlineStr\"><is><t>red</t></is></c><c><v>1234</v></c><c t=\"inlineStr\"><is><t>boat</t></is></c></row>";
        let found = seen("a.xlsx", &archive(&[("xl/worksheets/sheet1.xml", sheet)]));
        assert!(found.iter().any(|text| text.contains("red") && text.contains("boat") && !text.contains("redboat")), "{found:?}");
        assert!(!found.iter().any(|text| text.contains("1234")));
    }

    #[test]
    fn pdf_documents_have_words() {
        let paper = crate::pdf::tests::document("Red boat & Grüße");
        assert_eq!(seen("paper.PDF", &paper), ["paper.PDF", "Red boat & Grüße"]);
        assert_eq!(seen("paper.bin", &paper), ["paper.bin"]);
        assert_eq!(seen("broken.pdf", &paper[..paper.len() / 4]), ["broken.pdf"]);
    }

    #[test]
    fn what_is_no_document_has_a_name_only() {
        let docx = archive(&[("word/document.xml", "<w:t>boat</w:t>")]);
        assert_eq!(seen("boat.bin", &docx), ["boat.bin"]);
        assert_eq!(seen("broken.docx", &docx[..docx.len() / 2]), ["broken.docx"]);
        assert_eq!(seen("none.docx", b""), ["none.docx"]);
    }

    /// `attachmentName` of JMAP asks for any of them.
    #[test]
    fn of_very_many_attachments_all_have_their_names() {
        let part = |number: usize| format!("--b\r\nContent-Type: application/pdf; name=\"{number}.pdf\"\r\n\r\nx\r\n");
        let parts: String = (0..ATTACHMENTS_READ_MAX + 2).map(part).collect();
        let letter = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
        let mut names = 0;
        each(&message::parse(letter.as_bytes()), |_| {
            names += 1;
            true
        });
        assert_eq!(names, ATTACHMENTS_READ_MAX + 2);
    }

    #[test]
    fn an_archive_of_very_many_files_is_no_document() {
        let words = |entries: usize| {
            let names: Vec<String> = (1..entries).map(|number| number.to_string()).collect();
            let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
            files.insert(0, ("content.xml", "<text:p>boat</text:p>"));
            texts_of(&archive(&files), 1_000)
        };
        assert_eq!(words(ATTACHMENT_ENTRIES_LISTED_MAX), ["boat"]);
        assert!(words(ATTACHMENT_ENTRIES_LISTED_MAX + 1).is_empty());
    }

    #[test]
    fn what_unpacks_to_very_much_is_cut() {
        let bomb = archive(&[("content.xml", &"a ".repeat(ATTACHMENT_TEXT_BYTES_MAX as usize))]);
        assert!(bomb.len() < 200_000);
        let found: usize = seen("bomb.odt", &bomb).iter().map(String::len).sum();
        assert!(found as u64 <= ATTACHMENT_TEXT_BYTES_MAX + 100);
    }
}
