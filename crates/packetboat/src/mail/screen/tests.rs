//! The screen without a terminal: keys in, effects and pictures out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::draw::{Palette, draw};
use super::model::*;
use super::update::update;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use store::{EmailId, Flags, MailboxId, QueueId, Uid};

const INBOX: MailboxId = MailboxId(1);
const TRASH: MailboxId = MailboxId(2);
const DAY: i64 = 86_400;
/// The same day in every zone these tests may run in.
const NOON: i64 = DAY / 2;

fn folder(id: MailboxId, name: &str, messages: u32) -> Folder {
    Folder { id, name: name.into(), messages, unread: 1 }
}

fn line(uid: u32, flags: u8) -> Line {
    let id = Id { mailbox: INBOX, uid: Uid(uid), there: false };
    Line { id, email: EmailId(u64::from(uid)), flags, date_secs: i64::from(uid) * DAY + NOON, depth: 0 }
}

fn flat(lines: &[Line]) -> Option<Vec<(u32, u8)>> {
    Some((0..lines.len() as u32).map(|place| (place, 0)).collect())
}

fn listed(lines: Vec<Line>) -> Input {
    Input::List { mailbox: INBOX, order: flat(&lines), lines }
}

/// Effects, with every head that is asked for given at once.
fn step(model: &mut Model, input: Input) -> Vec<Effect> {
    let mut rest = Vec::new();
    for effect in update(model, input) {
        match effect {
            Effect::Heads(wanted) => {
                let head = |id: Id| Head {
                    from: format!("Sender {} <s{}@there.test>", id.uid.0, id.uid.0),
                    subject: format!("Subject {}", id.uid.0),
                    attachments: id.uid.0 == 3,
                };
                rest.extend(update(model, Input::Heads(wanted.into_iter().map(|(id, _)| (id, head(id))).collect())));
            }
            other => rest.push(other),
        }
    }
    rest
}

fn model(messages: u32, size: (u16, u16)) -> Model {
    let mut model = Model::new("ann@here.test", vec!["ann@here.test".into(), "info@club.test".into()], INBOX, size);
    let folders = vec![folder(INBOX, "INBOX", messages), folder(TRASH, "Trash", 0), folder(MailboxId(3), "Archive/2026", 9)];
    step(&mut model, Input::Folders(folders));
    let lines = (1..=messages).map(|uid| line(uid, if uid % 2 == 0 { Flags::SEEN } else { 0 })).collect();
    step(&mut model, listed(lines));
    model
}

fn code(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    step(model, Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// The effects of the last of these keys.
fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut last = Vec::new();
    for letter in keys.chars() {
        last = code(model, if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) });
    }
    last
}

fn picture_of(model: &Model, coloured: bool) -> (Vec<String>, Terminal<TestBackend>) {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| draw(model, Palette { coloured }, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    ((0..buffer.area.height).map(row).collect(), terminal)
}

fn picture(model: &Model) -> Vec<String> {
    picture_of(model, true).0
}

fn shows(model: &Model, words: &str) -> bool {
    picture(model).iter().any(|row| row.contains(words))
}

fn reading(uid: u32, text: &str) -> Input {
    Input::Text(Box::new(Reading {
        id: Id { mailbox: INBOX, uid: Uid(uid), there: false },
        fields: vec![("From".into(), "Bob <bob@there.test>".into()), ("Subject".into(), format!("Subject {uid}"))],
        header: format!("Received: by x\r\nSubject: Subject {uid}\r\n"),
        text: text.into(),
        files: vec![
            File { name: "a.pdf".into(), kind: "application/pdf".into(), size_bytes: 7 },
            File { name: "b.txt".into(), kind: "text/plain".into(), size_bytes: 8 },
        ],
        whole_header: false,
        lines: Vec::new(),
        width: 0,
        top: 0,
    }))
}

#[test]
fn a_list_with_its_mailboxes_and_counts() {
    let model = model(5, (100, 24));
    let rows = picture(&model);
    assert!(rows[0].starts_with("ann@here.test"), "{rows:#?}");
    assert!(rows[1].starts_with("INBOX") && rows[1].contains("1/5"), "{rows:#?}");
    assert!(rows[3].contains("N  @ 1970-01-04 Sender 3             Subject 3"), "{rows:#?}");
    assert!(rows[4].contains("     1970-01-05 Sender 4             Subject 4"), "{rows:#?}");
    assert!(rows[22].contains("INBOX  5/5  1 unread"), "{rows:#?}");
}

#[test]
fn of_a_hundred_thousand_messages_only_those_in_sight_are_asked_for() {
    let mut model = Model::new("a@b", Vec::new(), INBOX, (80, 24));
    step(&mut model, Input::Folders(vec![folder(INBOX, "INBOX", 100_000)]));
    let mut asked = 0;
    let mut count = |effects: Vec<Effect>| {
        for effect in effects {
            let Effect::Heads(wanted) = effect else { continue };
            asked += wanted.len();
        }
    };
    count(update(&mut model, listed((1..=100_000).map(|uid| line(uid, 0)).collect())));
    let key = |code| Input::Key(KeyEvent::new(code, KeyModifiers::NONE));
    for input in [key(KeyCode::Home), key(KeyCode::Char(' ')), key(KeyCode::Char('*')), key(KeyCode::Char('*'))] {
        count(update(&mut model, input));
    }
    assert_eq!(asked, 3 * 21);
    let held = |model: &mut Model| {
        for _ in 0..400 {
            step(model, Input::Key(KeyEvent::new(KeyCode::PageUp, KeyModifiers::NONE)));
        }
        model.heads.len()
    };
    assert!(held(&mut model) < 5_000, "heads that are out of sight go");
}

#[test]
fn moving_about_and_reading() {
    let mut model = model(50, (100, 30));
    assert_eq!(model.at, 49);
    press(&mut model, "kk");
    assert_eq!(model.at, 47);
    code(&mut model, KeyCode::Home);
    assert_eq!((model.at, model.top), (0, 0));
    code(&mut model, KeyCode::Tab);
    assert_eq!(model.at, 2, "the next unread one");
    assert!(matches!(press(&mut model, "\n")[..], [Effect::Open(Id { uid: Uid(3), .. })]));
    let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
    step(&mut model, reading(3, &text));
    assert_eq!(model.view, View::Reading);
    assert!(
        shows(&model, "From: Bob <bob@there.test>")
            && shows(&model, "[a.pdf, application/pdf, 7 octets]")
            && shows(&model, "line 3")
    );
    press(&mut model, "  ");
    assert!(shows(&model, "line 30") && !shows(&model, "line 3 "));
    press(&mut model, "h");
    assert!(shows(&model, "Received: by x") && !shows(&model, "From: Bob"));
    press(&mut model, "h");
    // The next message is opened, as it was; the list follows.
    assert!(matches!(press(&mut model, "j")[..], [Effect::Open(Id { uid: Uid(4), .. })]));
    step(&mut model, reading(4, "short"));
    assert!(!model.lines[3].is_unread());
    press(&mut model, "q");
    assert_eq!((model.view, model.at), (View::List, 3));
    assert!(matches!(press(&mut model, "q")[..], [Effect::Quit]));
}

#[test]
fn the_next_account_where_there_is_one() {
    let mut model = model(1, (80, 24));
    assert!(press(&mut model, "A").is_empty() && shows(&model, "there is no other account"));
    model.has_others = true;
    assert!(matches!(press(&mut model, "A")[..], [Effect::Account]));
}

#[test]
fn what_was_chosen_stays_chosen_when_the_list_changes() {
    let mut model = model(10, (80, 24));
    press(&mut model, "kkkk");
    let chosen = model.line().unwrap().id;
    let lines: Vec<Line> = (1..=12).filter(|uid| *uid != 2).map(|uid| line(uid, 0)).collect();
    step(&mut model, listed(lines));
    assert_eq!(model.line().unwrap().id, chosen);
    // It is gone: the one in its place.
    let at = model.at;
    let lines: Vec<Line> = (1..=12).filter(|uid| *uid != 2 && *uid != chosen.uid.0).map(|uid| line(uid, 0)).collect();
    step(&mut model, listed(lines));
    assert_eq!((model.at, model.line().unwrap().id.uid), (at, Uid(chosen.uid.0 + 1)));
}

#[test]
fn conversations_keep_their_order_until_it_is_known_anew() {
    let mut model = model(0, (80, 24));
    let lines: Vec<Line> = (1..=3).map(|uid| line(uid, 0)).collect();
    step(&mut model, Input::List { mailbox: INBOX, lines: lines.clone(), order: Some(vec![(1, 0), (0, 0), (2, 1)]) });
    let shape = |model: &Model| model.lines.iter().map(|line| (line.id.uid.0, line.depth)).collect::<Vec<_>>();
    assert_eq!(shape(&model), [(2, 0), (1, 0), (3, 1)]);
    assert!(shows(&model, "└>Subject 3"));
    let more: Vec<Line> = (1..=4).map(|uid| line(uid, 0)).collect();
    step(&mut model, Input::List { mailbox: INBOX, lines: more.clone(), order: None });
    assert_eq!(shape(&model), [(2, 0), (1, 0), (3, 1), (4, 0)]);
    assert!(matches!(press(&mut model, "T")[..], [Effect::List { threads: false, .. }]));
    step(&mut model, Input::List { mailbox: INBOX, lines: more, order: None });
    assert_eq!(shape(&model), [(1, 0), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn deleting_flagging_moving_and_taking_it_back() {
    let mut model = model(5, (100, 24));
    let id = |uid| Id { mailbox: INBOX, uid: Uid(uid), there: false };
    assert!(matches!(press(&mut model, "d")[..], [Effect::Delete(it)] if it == id(5)));
    let undo = Undo::MoveBack { at: TRASH, uids: vec![Uid(1)], to: INBOX };
    step(&mut model, Input::Done { said: "in Trash".into(), undo: Some(undo.clone()) });
    step(&mut model, listed((1..=4).map(|uid| line(uid, 0)).collect()));
    assert!(shows(&model, "in Trash"));
    assert!(matches!(press(&mut model, "F")[..], [Effect::Flag { flag: Flags::FLAGGED, set: true, .. }]));
    assert!(matches!(press(&mut model, "N")[..], [Effect::Flag { flag: Flags::SEEN, set: true, .. }]));
    assert!(matches!(press(&mut model, "u")[..], [Effect::Undo(ref it)] if *it == undo));
    assert!(press(&mut model, "u").is_empty());
    assert!(shows(&model, "nothing was changed here"));
    press(&mut model, "s");
    press(&mut model, "arc");
    code(&mut model, KeyCode::Tab);
    assert!(shows(&model, "Move to mailbox: Archive/2026"));
    let done = press(&mut model, "\n");
    assert!(matches!(&done[..], [Effect::Transfer { to, moves: true, .. }] if to == "Archive/2026"), "{done:?}");
    // From the text: the next one is opened.
    step(&mut model, reading(2, "x"));
    assert!(matches!(press(&mut model, "d")[..], [Effect::Delete(it)] if it == id(2)));
    let opened = step(&mut model, listed([1, 3, 4].map(|uid| line(uid, 0)).into()));
    assert!(matches!(opened[..], [Effect::Open(it)] if it == id(3)), "{opened:?}");
    // Of the last one nothing is left to read.
    press(&mut model, "d");
    step(&mut model, listed(Vec::new()));
    assert_eq!((model.view, model.reading.is_none()), (View::List, true));
    assert!(shows(&model, "no messages here"));
    assert!(press(&mut model, "d").is_empty() && shows(&model, "no message is chosen"));
}

#[test]
fn a_search_while_one_types() {
    let mut model = model(20, (100, 24));
    press(&mut model, "k/");
    assert!(matches!(&press(&mut model, "s")[..], [Effect::Search { number: 1, words }] if words == "s"));
    assert!(matches!(&press(&mut model, "ea")[..], [Effect::Search { number: 3, words }] if words == "sea"));
    let hit = |mailbox, uid| Line { id: Id { mailbox, uid: Uid(uid), there: false }, ..line(uid, 0) };
    step(&mut model, Input::Hits { number: 1, lines: vec![hit(INBOX, 1); 9], more: false });
    assert!(!shows(&model, "9 found"), "an answer to an older question");
    step(&mut model, Input::Hits { number: 3, lines: vec![hit(INBOX, 7), hit(MailboxId(3), 7)], more: true });
    assert!(shows(&model, "2 found, the newest: sea") && shows(&model, "Archive/2026 Subject 7"), "{:#?}", picture(&model));
    // A list of the mailbox that was under way does not come between.
    step(&mut model, listed(vec![line(1, 0)]));
    assert_eq!(model.lines.len(), 2);
    assert!(press(&mut model, "\n").is_empty());
    assert!(matches!(press(&mut model, "\n")[..], [Effect::Open(Id { mailbox: MailboxId(3), .. })]));
    // What changed in the store: the same question again.
    assert!(matches!(step(&mut model, Input::Changed)[..], [Effect::Search { number: 4, .. }]));
    let back = code(&mut model, KeyCode::Esc);
    assert!(matches!(back[..], [Effect::StopSearch, Effect::List { mailbox: INBOX, .. }]), "{back:?}");
}

#[test]
fn going_to_another_mailbox() {
    let mut model = model(3, (100, 24));
    press(&mut model, "c");
    assert!(matches!(press(&mut model, "arch\n")[..], [Effect::List { mailbox: MailboxId(3), .. }]));
    assert!(model.lines.is_empty() && !shows(&model, "no messages here"), "nobody knows yet");
    press(&mut model, "c");
    assert!(press(&mut model, "nowhere\n").is_empty() && shows(&model, "no mailbox nowhere"));
    let control = Input::Key(KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL));
    assert!(matches!(step(&mut model, control)[..], [Effect::List { mailbox: TRASH, .. }]));
    // It is removed by somebody.
    let left = step(&mut model, Input::Folders(vec![folder(INBOX, "INBOX", 3)]));
    assert!(matches!(left[..], [Effect::List { mailbox: INBOX, .. }]));
}

#[test]
fn writing_answering_and_sending() {
    let mut model = model(3, (100, 24));
    press(&mut model, "m");
    press(&mut model, "Bob <bob@there.test>\n");
    let edits = press(&mut model, "Hello\n");
    let [Effect::Edit(draft)] = &edits[..] else { panic!("{edits:?}") };
    assert_eq!(
        (draft.to.as_str(), draft.subject.as_str(), draft.from.as_str()),
        ("Bob <bob@there.test>", "Hello", "ann@here.test")
    );
    let written = Draft { text: "Hi Bob\n> quoted\n".into(), ..(**draft).clone() };
    step(&mut model, Input::Edited(Box::new(written)));
    assert!(shows(&model, "To: Bob <bob@there.test>") && shows(&model, "Hi Bob") && shows(&model, "y sends it"));
    press(&mut model, "c");
    press(&mut model, "eve@there.test\n");
    press(&mut model, "a");
    press(&mut model, "/tmp/file.pdf\n");
    press(&mut model, "f");
    assert!(
        shows(&model, "Cc: eve@there.test") && shows(&model, "attached: /tmp/file.pdf") && shows(&model, "From: info@club.test")
    );
    // Only a y throws it away.
    press(&mut model, "qn");
    assert_eq!(model.view, View::Draft);
    let sends = press(&mut model, "y");
    assert!(matches!(&sends[..], [Effect::Send(draft)] if draft.cc == "eve@there.test"), "{sends:?}");
    step(&mut model, Input::Failed("no such file".into()));
    assert!(model.draft.is_some() && shows(&model, "no such file"), "nothing is lost");
    step(&mut model, Input::Sent { said: "goes in 5 s".into(), undo: Undo::TakeBack(QueueId(7)) });
    assert_eq!(model.view, View::List);
    assert!(matches!(press(&mut model, "u")[..], [Effect::Undo(Undo::TakeBack(QueueId(7)))]));
    assert!(matches!(press(&mut model, "r")[..], [Effect::Answer { all: false, .. }]));
    assert!(matches!(press(&mut model, "g")[..], [Effect::Answer { all: true, .. }]));
    let begun = Draft { to: "bob@there.test".into(), ..Draft::default() };
    assert!(matches!(step(&mut model, Input::Begun { draft: Box::new(begun), asks: false })[..], [Effect::Edit(_)]));
    step(&mut model, Input::Begun { draft: Box::default(), asks: true });
    assert!(shows(&model, "To: "));
    code(&mut model, KeyCode::Esc);
    assert!(model.draft.is_none() && model.prompt.is_none());
    step(&mut model, Input::Edited(Box::default()));
    press(&mut model, "qy");
    assert!(model.draft.is_none() && model.view == View::List);
}

#[test]
fn attachments_are_saved() {
    let mut model = model(3, (100, 24));
    step(&mut model, reading(3, "x"));
    press(&mut model, "vjs");
    assert!(shows(&model, "b.txt") && shows(&model, "Save into folder: ."));
    let saves = press(&mut model, "\n");
    assert!(matches!(&saves[..], [Effect::Save { which: Some(1), folder, .. }] if folder.as_os_str() == "."), "{saves:?}");
    press(&mut model, "a");
    assert!(matches!(press(&mut model, "\n")[..], [Effect::Save { which: None, .. }]));
    press(&mut model, "qq");
    assert_eq!(model.view, View::List);
}

#[test]
fn nothing_that_others_wrote_commands_the_terminal() {
    let evil = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\r\n\x08\x00end";
    let mut model = model(3, (100, 24));
    let head = Head { from: evil.into(), subject: evil.into(), attachments: false };
    step(
        &mut model,
        Input::Heads((1..=3).map(|uid| (Id { mailbox: INBOX, uid: Uid(uid), there: false }, head.clone())).collect()),
    );
    step(&mut model, Input::Folders(vec![folder(INBOX, evil, 3), folder(TRASH, evil, 3)]));
    step(&mut model, Input::Step(evil.into()));
    let mut pictures = vec![picture(&model)];
    let Input::Text(mut message) = reading(3, evil) else { panic!() };
    message.header = evil.into();
    message.fields = vec![(evil.into(), evil.into()), ("Subject".into(), evil.into())];
    message.files.iter_mut().for_each(|file| (file.name, file.kind) = (evil.into(), evil.into()));
    step(&mut model, Input::Text(message));
    pictures.push(picture(&model));
    press(&mut model, "h");
    pictures.push(picture(&model));
    press(&mut model, "v");
    pictures.push(picture(&model));
    let draft = Draft { to: evil.into(), subject: evil.into(), text: evil.into(), attach: vec![evil.into()], ..Draft::default() };
    step(&mut model, Input::Edited(Box::new(draft)));
    press(&mut model, "s");
    step(&mut model, Input::Paste(evil.into()));
    pictures.push(picture(&model));
    code(&mut model, KeyCode::Esc);
    step(&mut model, Input::Failed(evil.into()));
    pictures.push(picture(&model));
    for picture in pictures {
        let bad = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!picture.concat().contains(bad), "{picture:#?}");
        assert!(picture.concat().contains("end"), "the words themselves are shown: {picture:#?}");
    }
}

#[test]
fn wide_characters_keep_the_columns() {
    let mut model = model(2, (60, 10));
    let head = |from: &str, subject: &str| Head { from: from.into(), subject: subject.into(), attachments: false };
    let id = |uid| Id { mailbox: INBOX, uid: Uid(uid), there: false };
    step(
        &mut model,
        Input::Heads(vec![
            (id(1), head("日本太郎の長い名前です", "件名")),
            (id(2), head("Zoe\u{308}", "subject 👩\u{200d}👩 end")),
        ]),
    );
    let (_, terminal) = picture_of(&model, true);
    let buffer = terminal.backend().buffer();
    // The subject begins in the same column, whatever the sender's letters take.
    assert_eq!((buffer[(37, 1)].symbol(), buffer[(37, 2)].symbol()), ("件", "s"), "{:#?}", picture(&model));
}

#[test]
fn any_size_and_no_colours() {
    for size in [(0, 0), (1, 1), (9, 3), (10, 4), (20, 5), (69, 12), (70, 13), (300, 100)] {
        let mut model = model(30, (80, 24));
        step(&mut model, reading(3, &"word ".repeat(500)));
        for view in [View::List, View::Reading, View::Files, View::Draft, View::Help] {
            (model.view, model.draft) = (view, Some(Box::default()));
            step(&mut model, Input::Size(size.0, size.1));
            picture(&model);
            press(&mut model, "s");
            picture(&model);
            code(&mut model, KeyCode::Esc);
        }
    }
    let mut model = model(3, (100, 24));
    step(&mut model, reading(3, "> quoted"));
    let plain = |coloured| {
        let (_, terminal) = picture_of(&model, coloured);
        let none = ratatui::style::Color::Reset;
        terminal.backend().buffer().content().iter().all(|cell| cell.fg == none && cell.bg == none)
    };
    assert!(plain(false) && !plain(true));
}

#[test]
fn the_help_lists_the_keys() {
    let mut model = model(3, (100, 30));
    press(&mut model, "?");
    assert!(shows(&model, "next unread message") && shows(&model, "In the list"));
    press(&mut model, "jjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    assert!(!shows(&model, "In the list") && shows(&model, "Reading"));
    press(&mut model, "q");
    assert_eq!(model.view, View::List);
    press(&mut model, "%");
    assert!(shows(&model, "? shows the keys"));
}
