//! The line at the foot of the screen where one types.
//!
//! Must not know: what becomes of what was typed.

use super::text;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Characters of one line.
const LINE_MAX: usize = 4_000;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Search,
    Mailbox,
    Move,
    Copy,
    /// Into which folder, one attachment or all.
    SaveOne,
    SaveAll,
    /// Of a draft that nobody has seen yet: the next questions follow.
    FirstTo,
    FirstSubject,
    To,
    Cc,
    Bcc,
    Subject,
    Attach,
    /// Throw the draft away?
    Abort,
}

impl Asks {
    /// As it stands before the line.
    pub(super) fn words(self) -> &'static str {
        match self {
            Asks::Search => "Search: ",
            Asks::Mailbox => "Go to mailbox: ",
            Asks::Move => "Move to mailbox: ",
            Asks::Copy => "Copy to mailbox: ",
            Asks::SaveOne => "Save into folder: ",
            Asks::SaveAll => "Save all into folder: ",
            Asks::FirstTo | Asks::To => "To: ",
            Asks::Cc => "Cc: ",
            Asks::Bcc => "Bcc: ",
            Asks::FirstSubject | Asks::Subject => "Subject: ",
            Asks::Attach => "Attach file: ",
            Asks::Abort => "Throw this message away? (y/n) ",
        }
    }

    pub(super) fn wants_mailbox(self) -> bool {
        matches!(self, Asks::Mailbox | Asks::Move | Asks::Copy)
    }
}

/// What is typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) asks: Asks,
    line: Vec<char>,
    cursor: usize,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// The line is another one.
    Changed,
    /// Only the cursor, or nothing.
    Same,
    /// To be completed.
    Complete,
    Entered,
    Left,
}

impl Prompt {
    pub(super) fn new(asks: Asks, line: &str) -> Prompt {
        let line: Vec<char> = text::clean(line).chars().take(LINE_MAX).collect();
        Prompt { asks, cursor: line.len(), line }
    }

    pub(super) fn line(&self) -> String {
        self.line.iter().collect()
    }

    /// Columns before the cursor.
    pub(super) fn cursor_column(&self) -> usize {
        text::width(&self.line.iter().take(self.cursor).collect::<String>())
    }

    pub(super) fn insert(&mut self, more: &str) -> Typed {
        let before = self.line.len();
        for c in text::clean(more).chars() {
            if self.line.len() < LINE_MAX {
                self.line.insert(self.cursor, c);
                self.cursor += 1;
            }
        }
        if self.line.len() == before { Typed::Same } else { Typed::Changed }
    }

    fn remove(&mut self, from: usize, to: usize) -> Typed {
        if from >= to || to > self.line.len() {
            return Typed::Same;
        }
        self.line.drain(from..to);
        self.cursor = from;
        Typed::Changed
    }

    fn word_before(&self) -> usize {
        let before = self.line.iter().take(self.cursor);
        let blanks = before.clone().rev().take_while(|c| c.is_whitespace()).count();
        let word = before.rev().skip(blanks).take_while(|c| !c.is_whitespace()).count();
        self.cursor - blanks - word
    }

    pub(super) fn key(&mut self, event: KeyEvent) -> Typed {
        let (end, cursor) = (self.line.len(), self.cursor);
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c' | 'g') => Typed::Left,
                KeyCode::Char('u') => self.remove(0, cursor),
                KeyCode::Char('k') => self.remove(cursor, end),
                KeyCode::Char('w') => self.remove(self.word_before(), cursor),
                KeyCode::Char('h') => self.remove(cursor.saturating_sub(1), cursor),
                KeyCode::Char('a') => self.goes(0),
                KeyCode::Char('e') => self.goes(end),
                _ => Typed::Same,
            };
        }
        match event.code {
            KeyCode::Enter => Typed::Entered,
            KeyCode::Esc => Typed::Left,
            KeyCode::Tab => Typed::Complete,
            KeyCode::Backspace if self.line.is_empty() => Typed::Left,
            KeyCode::Backspace => self.remove(cursor.saturating_sub(1), cursor),
            KeyCode::Delete => self.remove(cursor, (cursor + 1).min(end)),
            KeyCode::Left => self.goes(cursor.saturating_sub(1)),
            KeyCode::Right => self.goes((cursor + 1).min(end)),
            KeyCode::Home => self.goes(0),
            KeyCode::End => self.goes(end),
            KeyCode::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            _ => Typed::Same,
        }
    }

    fn goes(&mut self, to: usize) -> Typed {
        self.cursor = to;
        Typed::Same
    }

    /// The longest beginning that all names have which begin with what is typed, whatever its case; what fits.
    pub(super) fn complete<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let typed = self.line().to_lowercase();
        let fitting: Vec<&str> = names.filter(|name| name.to_lowercase().starts_with(&typed)).collect();
        if let Some(first) = fitting.first() {
            let shared = fitting.iter().fold(first.chars().count(), |most, name| {
                let same = |(a, b): &(char, char)| a.to_lowercase().eq(b.to_lowercase());
                first.chars().zip(name.chars()).take_while(same).count().min(most)
            });
            if shared >= self.line.len() {
                self.line = first.chars().take(shared).collect();
                self.cursor = self.line.len();
            }
        }
        fitting
    }
}

/// Mailboxes (people) as typed, one by one: parted by commas outside of quotation marks, brackets and comments.
pub(super) fn people(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut depth, mut escaped) = (false, 0_u32, false);
    for c in line.chars() {
        let parts = !quoted && depth == 0 && matches!(c, ',' | ';');
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '<' | '(' if !quoted => depth += 1,
            '>' | ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        match out.last_mut() {
            Some(last) if !parts => last.push(c),
            _ => out.push(String::new()),
        }
    }
    out.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(prompt: &mut Prompt, keys: &str) -> Typed {
        let mut last = Typed::Same;
        for c in keys.chars() {
            let event = match c {
                '\u{8}' => KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE),
                '\u{17}' => KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL),
                '<' => KeyEvent::new(KeyCode::Left, KeyModifiers::NONE),
                c => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
            };
            last = prompt.key(event);
        }
        last
    }

    #[test]
    fn a_line_is_edited() {
        let mut prompt = Prompt::new(Asks::Search, "");
        press(&mut prompt, "日本 sea shell\u{8}\u{8}");
        assert_eq!((prompt.line().as_str(), prompt.cursor_column()), ("日本 sea she", 12));
        assert_eq!(press(&mut prompt, "\u{17}"), Typed::Changed);
        press(&mut prompt, "<<x");
        assert_eq!(prompt.line(), "日本 sexa ");
        assert_eq!(press(&mut Prompt::new(Asks::To, ""), "\u{8}"), Typed::Left);
        assert_eq!(prompt.insert("\x1b[2J"), Typed::Changed);
        assert!(!prompt.line().contains('\x1b'));
    }

    #[test]
    fn names_are_completed_as_far_as_they_agree() {
        let names = ["INBOX", "Archive/2025", "Archive/2026", "Sent"];
        let mut prompt = Prompt::new(Asks::Move, "arc");
        assert_eq!(prompt.complete(names.into_iter()).len(), 2);
        assert_eq!(prompt.line(), "Archive/202");
        press(&mut prompt, "6");
        assert_eq!(prompt.complete(names.into_iter()), ["Archive/2026"]);
        let mut none = Prompt::new(Asks::Move, "zzz");
        assert_eq!((none.complete(names.into_iter()).len(), none.line()), (0, "zzz".into()));
    }

    #[test]
    fn people_are_parted_where_they_should() {
        assert_eq!(
            people(r#""Ann, of here" <ann@here.test>, bob@there.test;"#),
            [r#""Ann, of here" <ann@here.test>"#, "bob@there.test"]
        );
        assert_eq!(people(" , "), Vec::<String>::new());
        assert_eq!(people(r#""a\"b, c" <x@y>"#), [r#""a\"b, c" <x@y>"#]);
    }
}
