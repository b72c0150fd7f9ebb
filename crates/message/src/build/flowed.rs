//! `format=flowed` (RFC 3676 §4): paragraphs broken softly, quotes kept, lines stuffed.
//!
//! A line of the text is a paragraph. Reading is not here.

/// A line aims at fewer characters than this (RFC 3676 §4.2: 78 or less, 72 looks best).
const WIDTH: usize = 72;

/// The text with soft breaks: a line that ends with a blank goes on in the next.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        push_paragraph(line, &mut out);
    }
    // What stands behind the last line end is no line.
    if text.is_empty() || text.ends_with(['\n', '\r']) {
        out.pop();
    }
    out
}

fn push_paragraph(line: &str, out: &mut String) {
    let depth = line.len() - line.trim_start_matches('>').len();
    let (quote, content) = line.split_at(depth);
    let content = if depth > 0 { content.strip_prefix(' ').unwrap_or(content) } else { content };
    // The mark of a signature is the one fixed line that ends with a blank (RFC 3676 §4.3).
    if content == "-- " {
        push_line(quote, content, out);
        return;
    }
    let mut rest = content.trim_end_matches(' ');
    loop {
        let room = WIDTH.saturating_sub(depth + 2).max(20);
        let end = soft_break(rest, room);
        let (piece, after) = rest.split_at(end);
        push_line(quote, piece, out);
        if after.is_empty() {
            break;
        }
        rest = after;
    }
}

/// Where the paragraph can be broken: behind the last blank within `room`, else behind the first one after it. A piece
/// that would read as a signature's mark, or that leaves only blanks behind, is none.
fn soft_break(text: &str, room: usize) -> usize {
    let mut best = None;
    for (column, (at, c)) in text.char_indices().enumerate() {
        if column >= room && best.is_some() {
            break;
        }
        let end = at + 1;
        let more = text.get(end..).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '));
        if c == ' ' && more && text.get(..end) != Some("-- ") {
            best = Some(end);
        }
    }
    let fits = text.chars().count() <= room;
    if fits { text.len() } else { best.unwrap_or(text.len()) }
}

/// RFC 3676 §4.4: what begins with a blank, a quote or `From ` gets a blank in front.
fn push_line(quote: &str, piece: &str, out: &mut String) {
    out.push_str(quote);
    if !quote.is_empty() || piece.starts_with([' ', '>']) || piece.starts_with("From ") {
        out.push(' ');
    }
    out.push_str(piece);
    out.push('\n');
}
