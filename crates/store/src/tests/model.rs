//! Random acts on the memory engine and the embedded one show the same, also after a kill and a power cut.
use super::durability::{killed, lose_index_log, seen};
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Accept { accounts: u8, junk: bool },
    Append { account: u32, mailbox: usize, count: usize },
    Flags { account: u32, mailbox: usize, uids: Vec<u32>, op: u8, system: u8, word: bool },
    Copy { account: u32, from: usize, to: usize, uids: Vec<u32> },
    Move { account: u32, from: usize, to: usize, uids: Vec<u32> },
    Expunge { account: u32, mailbox: usize, uids: Vec<u32> },
    Create { account: u32, name: usize },
    Delete { account: u32, name: usize },
    Rename { account: u32, from: usize, to: usize },
    Subscribe { account: u32, name: usize, on: bool },
    Restore { account: u32, pick: usize },
    Maintain { days: i64 },
}

const NAMES: [&str; 6] = ["INBOX", "a", "a/b", "c", "c/d/e", "Trash"];

fn step() -> impl Strategy<Value = Step> {
    let uids = || proptest::collection::vec(1u32..12, 1..5);
    let account = || 1u32..3;
    prop_oneof![
        4 => (1u8..4, any::<bool>()).prop_map(|(accounts, junk)| Step::Accept { accounts, junk }),
        3 => (account(), 0..6usize, 1..4usize).prop_map(|(account, mailbox, count)| Step::Append { account, mailbox, count }),
        3 => (account(), 0..6usize, uids(), 0u8..3, 0u8..32, any::<bool>()).prop_map(|(account, mailbox, uids, op, system, word)| Step::Flags { account, mailbox, uids, op, system, word }),
        2 => (account(), 0..6usize, 0..6usize, uids()).prop_map(|(account, from, to, uids)| Step::Copy { account, from, to, uids }),
        2 => (account(), 0..6usize, 0..6usize, uids()).prop_map(|(account, from, to, uids)| Step::Move { account, from, to, uids }),
        2 => (account(), 0..6usize, uids()).prop_map(|(account, mailbox, uids)| Step::Expunge { account, mailbox, uids }),
        1 => (account(), 0..6usize).prop_map(|(account, name)| Step::Create { account, name }),
        1 => (account(), 0..6usize).prop_map(|(account, name)| Step::Delete { account, name }),
        1 => (account(), 0..6usize, 0..6usize).prop_map(|(account, from, to)| Step::Rename { account, from, to }),
        1 => (account(), 0..6usize, any::<bool>()).prop_map(|(account, name, on)| Step::Subscribe { account, name, on }),
        1 => (account(), 0..4usize).prop_map(|(account, pick)| Step::Restore { account, pick }),
        1 => (0i64..40).prop_map(|days| Step::Maintain { days }),
    ]
}

async fn named(store: &Store, account: u32, name: usize) -> MailboxId {
    let found = store.mailbox(AccountId(account), NAMES[name]).await.unwrap();
    found.map_or(MailboxId(999), |mailbox| mailbox.id)
}

fn uids_of(uids: &[u32]) -> Vec<Uid> {
    uids.iter().map(|uid| Uid(*uid)).collect()
}

/// One step; what it answered, as text.
async fn take(store: &Store, number: usize, step: &Step) -> String {
    match step {
        Step::Accept { accounts, junk } => {
            let ids: Vec<AccountId> = (1..3).filter(|id| accounts & (1 << (id - 1)) != 0).map(AccountId).collect();
            let mut one = acceptance(text(number), &ids);
            if let (true, Some(first)) = (junk, one.deliveries.first_mut()) {
                first.target = Target::Use(SpecialUse::Junk);
            }
            format!("{:?}", store.accept(one).await)
        }
        Step::Append { account, mailbox, count } => {
            let id = named(store, *account, *mailbox).await;
            let emails = (0..*count).map(|one| email(text(number * 10 + one))).collect();
            format!("{:?}", store.append(AccountId(*account), id, emails).await)
        }
        Step::Flags { account, mailbox, uids, op, system, word } => {
            let id = named(store, *account, *mailbox).await;
            let keywords = word.then(|| Arc::from([smol_str::SmolStr::new("$Word")]));
            let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Replace][*op as usize];
            format!(
                "{:?}",
                store.flags(AccountId(*account), id, &uids_of(uids), op, &Flags { system: *system, keywords }, None).await
            )
        }
        Step::Copy { account, from, to, uids } => {
            let (from, to) = (named(store, *account, *from).await, named(store, *account, *to).await);
            format!("{:?}", store.copy(AccountId(*account), from, &uids_of(uids), to).await)
        }
        Step::Move { account, from, to, uids } => {
            let (from, to) = (named(store, *account, *from).await, named(store, *account, *to).await);
            format!("{:?}", store.move_(AccountId(*account), from, &uids_of(uids), to, NOW).await)
        }
        Step::Expunge { account, mailbox, uids } => {
            let id = named(store, *account, *mailbox).await;
            format!("{:?}", store.expunge(AccountId(*account), id, &uids_of(uids), NOW + number as i64 * 3600).await)
        }
        Step::Create { account, name } => {
            format!("{:?}", store.mailbox_create(AccountId(*account), NAMES[*name], None, NOW).await)
        }
        Step::Delete { account, name } => format!("{:?}", store.mailbox_delete(AccountId(*account), NAMES[*name], NOW).await),
        Step::Rename { account, from, to } => {
            format!("{:?}", store.mailbox_rename(AccountId(*account), NAMES[*from], NAMES[*to], NOW).await)
        }
        Step::Subscribe { account, name, on } => {
            format!("{:?}", store.mailbox_subscribe(AccountId(*account), NAMES[*name], *on).await)
        }
        Step::Restore { account, pick } => {
            let list = store.undo_list(AccountId(*account), 9).await.unwrap();
            let picked: Vec<EmailId> = list.get(*pick).map(|one| one.email).into_iter().collect();
            format!("{:?}", store.undo_restore(AccountId(*account), &picked, NOW).await)
        }
        Step::Maintain { days } => format!("{:?}", store.maintain(NOW + days * 86_400).await),
    }
}

async fn same_on_both(steps: &[Step]) {
    let (place, other) = (Place::new(), Place::new());
    let embedded = place.open().await;
    let memory = Store::memory(other.config()).await.unwrap();
    for store in [&embedded, &memory] {
        store.accounts_add(vec![new_account("ann@here.test"), new_account("bob@here.test")], NOW).await.unwrap();
    }
    for (number, step) in steps.iter().enumerate() {
        assert_eq!(take(&embedded, number, step).await, take(&memory, number, step).await, "step {number}: {step:?}");
    }
    let shown = seen(&embedded).await;
    assert_eq!(shown, seen(&memory).await);
    sound(&embedded).await;
    sound(&memory).await;
    let copy = killed(&place);
    lose_index_log(&copy);
    let again = copy.open().await;
    assert_eq!(seen(&again).await, shown);
    sound(&again).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn engines_show_the_same(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(same_on_both(&steps));
    }
}
