//! format=flowed with DelSp (RFC 3676): lines that are one paragraph joined, quotes with their depth, and written again.
//!
//! Invariant: `paragraphs(encode(p)) == p` for paragraphs without line ends and without blanks at their end.
//! Must not know: where the parameters stand.

use crate::limits::LINE_BYTES_WANTED;

/// A paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paragraph {
    /// How many people quoted it.
    pub quote_depth: usize,
    /// Without quote marks, stuffing and line ends.
    pub text: String,
}

/// The paragraphs of a text; `del_sp` is its DelSp parameter.
///
/// ```
/// let found = message::flowed::paragraphs("> one \r\n> two\r\n three\r\n", false);
/// assert_eq!(found.iter().map(|p| (p.quote_depth, p.text.as_str())).collect::<Vec<_>>(), [(1, "one two"), (0, "three")]);
/// ```
pub fn paragraphs(text: &str, del_sp: bool) -> Vec<Paragraph> {
    let mut out: Vec<Paragraph> = Vec::new();
    let mut open = false;
    if text.is_empty() {
        return out;
    }
    let text = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let content = line.trim_start_matches('>');
        let quote_depth = line.len() - content.len();
        // Space-stuffing (RFC 3676 §4.4).
        let content = content.strip_prefix(' ').unwrap_or(content);
        // The line before a signature is no flowed one (§4.3).
        let is_signature = content == "-- ";
        let flows = content.ends_with(' ') && !is_signature;
        let piece = if flows && del_sp { content.get(..content.len() - 1).unwrap_or_default() } else { content };
        match out.last_mut() {
            Some(last) if open && last.quote_depth == quote_depth && !is_signature => last.text.push_str(piece),
            last => {
                // A paragraph that another depth interrupts ends there (§4.5).
                if let Some(last) = last.filter(|_| open) {
                    last.text.truncate(last.text.trim_end_matches(' ').len());
                }
                out.push(Paragraph { quote_depth, text: piece.to_owned() });
            }
        }
        open = flows;
    }
    if let Some(last) = out.last_mut().filter(|_| open) {
        last.text.truncate(last.text.trim_end_matches(' ').len());
    }
    out
}

/// The same as one text, a line a paragraph, quotes marked `> `.
///
/// ```
/// assert_eq!(message::flowed::unflow(">> one \r\n>> two\r\nthree", false), ">> one two\nthree\n");
/// ```
pub fn unflow(text: &str, del_sp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for paragraph in paragraphs(text, del_sp) {
        out.extend(std::iter::repeat_n('>', paragraph.quote_depth));
        if paragraph.quote_depth > 0 && !paragraph.text.is_empty() {
            out.push(' ');
        }
        out.push_str(&paragraph.text);
        out.push('\n');
    }
    out
}

/// The paragraphs of a text whose lines are paragraphs, quotes marked with `>`: what [`unflow`] gives.
///
/// ```
/// use message::flowed;
/// assert_eq!(flowed::encode(&flowed::of_lines("> said\nFrom here on\n"), false), "> said\r\n From here on\r\n");
/// ```
pub fn of_lines(text: &str) -> Vec<Paragraph> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let one = |line: &str| {
        let content = line.trim_start_matches('>');
        let quote_depth = line.len() - content.len();
        let content = if quote_depth > 0 { content.strip_prefix(' ').unwrap_or(content) } else { content };
        Paragraph { quote_depth, text: content.to_owned() }
    };
    text.lines().map(one).collect()
}

/// Paragraphs as format=flowed, lines of at most 78, CRLF at their ends. With `del_sp` a word longer than a line is cut.
///
/// ```
/// use message::flowed::{Paragraph, encode};
/// let text = encode(&[Paragraph { quote_depth: 0, text: "From here on".into() }, Paragraph { quote_depth: 1, text: "> said".into() }], false);
/// assert_eq!(text, " From here on\r\n> > said\r\n");
/// ```
pub fn encode(paragraphs: &[Paragraph], del_sp: bool) -> String {
    let mut out = String::new();
    for paragraph in paragraphs {
        let marks = ">".repeat(paragraph.quote_depth.min(LINE_BYTES_WANTED / 2));
        let mut rest = paragraph.text.as_str();
        if rest != "-- " {
            rest = rest.trim_end_matches(' ');
        }
        loop {
            out.push_str(&marks);
            // A quote mark of our own is always set apart; else what would be read as something else is stuffed.
            let stuffed = !marks.is_empty() || rest.starts_with([' ', '>']) || rest.starts_with("From ");
            if stuffed {
                out.push(' ');
            }
            let room = LINE_BYTES_WANTED - marks.len() - usize::from(stuffed);
            let len = line_len(rest, room, del_sp);
            let (line, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
            out.push_str(line);
            if !after.is_empty() && del_sp {
                out.push(' ');
            }
            out.push_str("\r\n");
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

/// How much of `text` goes on a line of `room`: all that fits, cut behind a blank.
fn line_len(text: &str, room: usize, del_sp: bool) -> usize {
    if text.len() <= room {
        return text.len();
    }
    let room = room - usize::from(del_sp);
    let window = text.get(..text.floor_char_boundary(room)).unwrap_or(text);
    let mut cut = window.rfind(' ').map_or(0, |i| i + 1);
    // What follows must not look like a signature, nor a cut line like one.
    if text.get(..cut) == Some("-- ") && !del_sp {
        cut = 0;
    }
    if cut > 0 {
        return cut;
    }
    if del_sp {
        return window.len().max(text.chars().next().map_or(1, char::len_utf8));
    }
    // A word that fits no line goes on its own; the writer of the part sees lines that SMTP does not carry.
    text.bytes().skip(room).position(|b| b == b' ').map_or(text.len(), |i| room + i + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(usize, String)> {
        paragraphs(text, false).into_iter().map(|p| (p.quote_depth, p.text)).collect()
    }

    fn is(depth: usize, text: &str) -> (usize, String) {
        (depth, text.to_owned())
    }

    #[test]
    fn examples_of_rfc_3676() {
        // §4.1: two ways of the same paragraph.
        let text = "`Take some more tea,' the March Hare said to Alice, very \r\nearnestly.\r\n\r\n`I've had nothing yet,' Alice replied in an offended \r\ntone, `so I can't take more.'\r\n";
        assert_eq!(read(text)[0], is(0, "`Take some more tea,' the March Hare said to Alice, very earnestly."));
        assert_eq!(read(text).len(), 3);
        // §4.5: quotes.
        let text = ">>>Take some more tea.\r\n>>I've had nothing yet, so I can't take more.\r\n>You mean you can't take LESS, it's very easy to take \r\n>MORE than nothing.\r\nNobody asked YOUR opinion.\r\n";
        let expected = [
            is(3, "Take some more tea."),
            is(2, "I've had nothing yet, so I can't take more."),
            is(1, "You mean you can't take LESS, it's very easy to take MORE than nothing."),
            is(0, "Nobody asked YOUR opinion."),
        ];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn stuffing_signatures_and_depths() {
        assert_eq!(read(" From x\n  two\n >q\n"), [is(0, "From x"), is(0, " two"), is(0, ">q")]);
        assert_eq!(read("a \n-- \nAnn \nhere\n"), [is(0, "a"), is(0, "-- "), is(0, "Ann here")]);
        assert_eq!(read("> a \n>> b \n> c\n"), [is(1, "a"), is(2, "b"), is(1, "c")]);
        assert_eq!(read("> -- \n> x"), [is(1, "-- "), is(1, "x")]);
        assert_eq!(read(""), []);
        assert_eq!(read("a \n\nb"), [is(0, "a "), is(0, "b")]);
        assert_eq!(paragraphs("日本 \r\n語", true)[0].text, "日本語");
        assert_eq!(paragraphs("a  \r\nb", true)[0].text, "a b");
    }

    #[test]
    fn written_lines_are_short() {
        let words = Paragraph { quote_depth: 2, text: "word ".repeat(100).trim_end().to_owned() };
        let text = encode(std::slice::from_ref(&words), false);
        assert!(text.lines().all(|l| l.len() <= LINE_BYTES_WANTED && l.starts_with(">> ")), "{text}");
        assert_eq!(paragraphs(&text, false), [words]);
        let long = Paragraph { quote_depth: 0, text: "語".repeat(100) };
        let text = encode(std::slice::from_ref(&long), true);
        assert!(text.lines().all(|l| l.len() <= LINE_BYTES_WANTED), "{text}");
        assert_eq!(paragraphs(&text, true), [long]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn what_is_written_is_read(found in proptest::collection::vec((0usize..4, "([a-z>-]{1,12}|From|--|ä| ){0,40}"), 1..8), del_sp: bool) {
            let wanted: Vec<Paragraph> = found.into_iter().map(|(quote_depth, text)| Paragraph { quote_depth, text: text.trim_end().to_owned() }).collect();
            let text = encode(&wanted, del_sp);
            prop_assert_eq!(paragraphs(&text, del_sp), wanted, "{:?}", text);
        }
        #[test]
        fn lines_become_paragraphs_and_lines_again(text in "([a-z]{1,9}| |\n|> |>|From |-- |日本){0,200}") {
            let mut wanted = of_lines(&text);
            for paragraph in wanted.iter_mut().filter(|p| p.text != "-- ") {
                paragraph.text.truncate(paragraph.text.trim_end_matches(' ').len());
            }
            prop_assert_eq!(paragraphs(&encode(&of_lines(&text), false), false), wanted);
        }
    }
}
