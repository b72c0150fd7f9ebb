//! Words of others on a terminal: nothing that would command it, no wider than there is room.
//!
//! Invariant: no control character (C0, C1) and none that turns the direction of writing leaves [`clean`], [`cut`] or [`wrap`].
//! Must not know: mail.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns between tab stops.
const TAB: usize = 8;
/// Lines of one text that are laid out; the rest is told of.
const LINES_MAX: usize = 50_000;

/// Does this only stand there?
fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// One line of it.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_plain(*c)).collect()
}

/// Columns that it takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much as fits into so many columns; what was cut ends in an ellipsis.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let text = clean(text);
    if width(&text) <= columns {
        return text;
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The same, filled with blanks.
pub(super) fn cell(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// Lines of at most so many columns, broken between words where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut out = Vec::new();
    for line in text.lines() {
        if out.len() >= LINES_MAX {
            out.push("[...]".to_owned());
            break;
        }
        wrap_line(line, columns, &mut out);
    }
    out
}

fn wrap_line(line: &str, columns: usize, out: &mut Vec<String>) {
    let (mut now, mut used) = (String::new(), 0);
    // Behind the last blank: where this line may be broken.
    let mut blank: Option<usize> = None;
    for c in line.chars() {
        let (c, wide) = match c {
            '\t' => (' ', TAB - used % TAB),
            c if !is_plain(c) => continue,
            c => (c, c.width().unwrap_or(0)),
        };
        if used + wide > columns && used > 0 {
            let rest = match blank {
                Some(at) if c != ' ' => now.split_off(at),
                _ => String::new(),
            };
            out.push(now.trim_end().to_owned());
            if out.len() >= LINES_MAX {
                return;
            }
            (used, now, blank) = (width(&rest), rest, None);
            if c == ' ' {
                continue;
            }
        }
        for _ in 0..if c == ' ' { wide } else { 1 } {
            now.push(c);
        }
        used += wide;
        if c == ' ' {
            blank = Some(now.len());
        }
    }
    out.push(now.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_not_written() {
        let bad = "a\x1b]0;title\x07b\x1b[2J\u{9b}31mc\u{85}d\u{202e}e\r\nf\x7f";
        for text in [clean(bad), cut(bad, 80), cell(bad, 80), wrap(bad, 80).concat()] {
            assert!(text.chars().all(is_plain), "{text:?}");
            assert!(text.contains("]0;title"), "only the commands go: {text:?}");
        }
    }

    #[test]
    fn columns_are_counted_not_characters() {
        assert_eq!(cut("日本語のメール", 7), "日本語…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!((cell("日本", 7), cell("abc", 2), cut("abc", 0)), ("日本   ".into(), "a…".into(), String::new()));
        assert_eq!(width(&cell("e\u{301}日", 10)), 10);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three\n\nlast", 8), ["one two", "three", "", "last"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語のメール", 5), ["日本", "語の", "メー", "ル"]);
        assert_eq!(wrap("a\tb", 20), ["a       b"]);
        assert_eq!(wrap("> quoted text here", 9), ["> quoted", "text here"]);
        assert_eq!(wrap("日", 1), ["日"]);
        assert!(wrap(&"x\n".repeat(LINES_MAX + 9), 10).len() <= LINES_MAX + 1);
        assert!(wrap(&"x".repeat(LINES_MAX + 9), 1).len() <= LINES_MAX + 1);
    }
}
