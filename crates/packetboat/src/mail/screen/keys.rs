//! Which key does what, mutt's where it has one: one table, from which the help is made, too.

use super::model::View;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Next,
    Previous,
    PageDown,
    PageUp,
    First,
    Last,
    LineDown,
    LineUp,
    Open,
    Back,
    Quit,
    Delete,
    Undo,
    Move,
    Copy,
    Flag,
    ToggleNew,
    NextUnread,
    Reply,
    ReplyAll,
    Forward,
    Write,
    Mailbox,
    MailboxNext,
    MailboxPrevious,
    Search,
    Sync,
    Account,
    Headers,
    Files,
    Threads,
    Redraw,
    Help,
    SaveOne,
    SaveAll,
    Send,
    Edit,
    To,
    Cc,
    Bcc,
    Subject,
    Attach,
    From,
    Abort,
}

/// A key on the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Letter(char),
    Control(char),
    Named(KeyCode, &'static str),
}

use Key::{Control, Letter, Named};

const ENTER: Key = Named(KeyCode::Enter, "Enter");
const ESC: Key = Named(KeyCode::Esc, "Esc");
const UP: Key = Named(KeyCode::Up, "Up");
const DOWN: Key = Named(KeyCode::Down, "Down");

/// A row of the table.
struct Binding {
    views: &'static [View],
    keys: &'static [Key],
    act: Act,
    what: &'static str,
}

const fn row(views: &'static [View], keys: &'static [Key], act: Act, what: &'static str) -> Binding {
    Binding { views, keys, act, what }
}

const LIST: &[View] = &[View::List];
const TEXT: &[View] = &[View::Reading];
const MAIL: &[View] = &[View::List, View::Reading];
const FILES: &[View] = &[View::Files];
const DRAFT: &[View] = &[View::Draft];
const HELP: &[View] = &[View::Help];

/// The first that fits counts.
const TABLE: &[Binding] = &[
    row(MAIL, &[Letter('j')], Act::Next, "next message"),
    row(MAIL, &[Letter('k')], Act::Previous, "message before"),
    row(LIST, &[DOWN], Act::Next, "next message"),
    row(LIST, &[UP], Act::Previous, "message before"),
    row(LIST, &[ENTER, Letter('l')], Act::Open, "read"),
    row(LIST, &[Letter(' '), Named(KeyCode::PageDown, "PgDn"), Control('f')], Act::PageDown, "a page on"),
    row(LIST, &[Letter('-'), Named(KeyCode::PageUp, "PgUp"), Control('b')], Act::PageUp, "a page back"),
    row(LIST, &[Letter('='), Named(KeyCode::Home, "Home")], Act::First, "the oldest"),
    row(LIST, &[Letter('*'), Named(KeyCode::End, "End"), Letter('G')], Act::Last, "the newest"),
    row(LIST, &[ESC], Act::Back, "leave the search"),
    row(TEXT, &[Letter(' '), Named(KeyCode::PageDown, "PgDn"), Control('f')], Act::PageDown, "a page of the text on"),
    row(TEXT, &[Letter('-'), Named(KeyCode::PageUp, "PgUp"), Control('b')], Act::PageUp, "a page of the text back"),
    row(TEXT, &[ENTER, DOWN], Act::LineDown, "a line on"),
    row(TEXT, &[UP, Named(KeyCode::Backspace, "Backspace")], Act::LineUp, "a line back"),
    row(TEXT, &[Letter('h')], Act::Headers, "its whole header, or not"),
    row(TEXT, &[Letter('v')], Act::Files, "its attachments"),
    row(TEXT, &[Letter('q'), Letter('i'), ESC], Act::Back, "back to the list"),
    row(MAIL, &[Named(KeyCode::Tab, "Tab")], Act::NextUnread, "next unread message"),
    row(MAIL, &[Letter('d')], Act::Delete, "delete"),
    row(MAIL, &[Letter('u')], Act::Undo, "undo the last change, or sending"),
    row(MAIL, &[Letter('s')], Act::Move, "move into another mailbox"),
    row(MAIL, &[Letter('C')], Act::Copy, "copy into another mailbox"),
    row(MAIL, &[Letter('F')], Act::Flag, "flag, or not"),
    row(MAIL, &[Letter('N')], Act::ToggleNew, "unread, or read"),
    row(MAIL, &[Letter('r')], Act::Reply, "reply"),
    row(MAIL, &[Letter('g')], Act::ReplyAll, "reply to all"),
    row(MAIL, &[Letter('f')], Act::Forward, "forward"),
    row(MAIL, &[Letter('m')], Act::Write, "write a message"),
    row(MAIL, &[Letter('/')], Act::Search, "search all mailboxes, as you type"),
    row(MAIL, &[Letter('c')], Act::Mailbox, "go to another mailbox"),
    row(MAIL, &[Control('n')], Act::MailboxNext, "next mailbox"),
    row(MAIL, &[Control('p')], Act::MailboxPrevious, "mailbox before"),
    row(MAIL, &[Letter('T')], Act::Threads, "conversations, or by date"),
    row(MAIL, &[Letter('$')], Act::Sync, "make both sides equal now"),
    row(LIST, &[Letter('A')], Act::Account, "the next of your accounts"),
    row(FILES, &[Letter('j'), DOWN], Act::Next, "next attachment"),
    row(FILES, &[Letter('k'), UP], Act::Previous, "attachment before"),
    row(FILES, &[Letter('s'), ENTER], Act::SaveOne, "save it"),
    row(FILES, &[Letter('a')], Act::SaveAll, "save all"),
    row(FILES, &[Letter('q'), ESC], Act::Back, "back to the message"),
    row(DRAFT, &[Letter('y')], Act::Send, "send"),
    row(DRAFT, &[Letter('e')], Act::Edit, "write on in $EDITOR"),
    row(DRAFT, &[Letter('t')], Act::To, "to whom"),
    row(DRAFT, &[Letter('c')], Act::Cc, "copy to"),
    row(DRAFT, &[Letter('b')], Act::Bcc, "copy to, unseen by the others"),
    row(DRAFT, &[Letter('s')], Act::Subject, "subject"),
    row(DRAFT, &[Letter('a')], Act::Attach, "attach a file"),
    row(DRAFT, &[Letter('f')], Act::From, "from the next identity"),
    row(DRAFT, &[Letter('q')], Act::Abort, "throw it away"),
    row(HELP, &[Letter('j'), Letter(' '), ENTER, DOWN], Act::LineDown, "on"),
    row(HELP, &[Letter('k'), UP], Act::LineUp, "back"),
    row(HELP, &[Letter('q'), Letter('?'), ESC], Act::Back, "close the help"),
    row(&[View::List, View::Reading, View::Files, View::Draft], &[Letter('?')], Act::Help, "this help"),
    row(LIST, &[Letter('q'), Letter('x'), Control('c')], Act::Quit, "quit"),
    row(&[View::Reading, View::Files, View::Help], &[Control('c')], Act::Back, "back"),
    row(DRAFT, &[Control('c')], Act::Abort, "throw it away"),
    row(&[View::List, View::Reading, View::Files, View::Draft, View::Help], &[Control('l')], Act::Redraw, "draw the screen anew"),
];

fn is(key: Key, event: KeyEvent) -> bool {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match key {
        Letter(letter) => !control && event.code == KeyCode::Char(letter),
        Control(letter) => control && event.code == KeyCode::Char(letter),
        Named(code, _) => event.code == code,
    }
}

/// What this key asks for there.
pub(super) fn act(view: View, event: KeyEvent) -> Option<Act> {
    let fits = |row: &&Binding| row.views.contains(&view) && row.keys.iter().any(|key| is(*key, event));
    TABLE.iter().find(fits).map(|row| row.act)
}

fn spelled(key: Key) -> String {
    match key {
        Letter(' ') => "Space".to_owned(),
        Letter(letter) => letter.to_string(),
        Control(letter) => format!("^{}", letter.to_ascii_uppercase()),
        Named(_, name) => name.to_owned(),
    }
}

/// The help: (keys, what they do), with a heading (and no keys) before each group.
pub(super) fn help() -> Vec<(String, &'static str)> {
    let groups = [
        ("In the list", View::List),
        ("Reading", View::Reading),
        ("Attachments", View::Files),
        ("Before a message goes", View::Draft),
    ];
    let mut out = Vec::new();
    for (heading, view) in groups {
        out.push((String::new(), heading));
        let shown = |row: &&Binding| row.views.contains(&view) && (view != View::Reading || row.views != MAIL);
        for row in TABLE.iter().filter(shown) {
            let keys: Vec<String> = row.keys.iter().map(|key| spelled(*key)).collect();
            out.push((keys.join(" "), row.what));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_the_first_that_fits() {
        for row in TABLE {
            for (view, key) in row.views.iter().flat_map(|view| row.keys.iter().map(move |key| (*view, *key))) {
                let event = match key {
                    Letter(letter) => KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE),
                    Control(letter) => KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL),
                    Named(code, _) => KeyEvent::new(code, KeyModifiers::NONE),
                };
                assert_eq!(act(view, event), Some(row.act), "{view:?} {key:?}");
            }
        }
        assert!(help().iter().any(|(keys, what)| keys == "$" && *what == "make both sides equal now"));
    }
}
