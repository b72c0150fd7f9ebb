//! The doorkeeper on a store in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use std::time::Instant;
use store::{NewAccount, StoreConfig};
use wire::sasl::{Answer, Mechanism, Question, Secret, client, server};

const AFAR: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));
const LOOPBACK: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

async fn office(sole_domain: Option<&str>) -> (Auth, Store, AccountId, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        data_dir: folder.path().to_owned(),
        undo_days: 30,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: 1_000_000,
    };
    let store = Store::memory(config).await.unwrap();
    let ann = NewAccount { address: "ann@here.test".into(), secrets: secrets(b"pw", None).unwrap(), quota_bytes: None };
    let bob = NewAccount { address: "bob@here.test".into(), secrets: secrets_for_many(b"bobs").unwrap(), quota_bytes: None };
    let ids = store.accounts_add(vec![ann, bob], 1_000).await.unwrap();
    (Auth::new(store.clone(), sole_domain.map(str::to_owned)), store, ids[0], folder)
}

#[tokio::test]
async fn the_right_password_and_no_other() {
    let (auth, _, ann, _folder) = office(None).await;
    assert_eq!(auth.password("Ann@HERE.test", b"pw", LOOPBACK).await.unwrap().id, ann);
    assert_eq!(auth.password("ann@here.test", b"pw", None).await.unwrap().id, ann);
    assert_eq!(auth.password("bob@here.test", b"bobs", LOOPBACK).await.unwrap().address, "bob@here.test");
    for (login, password) in [
        ("ann@here.test", "px"),
        ("nobody@here.test", "pw"),
        ("ann", "pw"),
        ("ann+x@here.test", "pw"),
        ("", "pw"),
        ("ann@here.test", ""),
    ] {
        assert_eq!(auth.password(login, password.as_bytes(), LOOPBACK).await.err(), Some(Refused::Credentials), "{login}");
    }
}

#[tokio::test]
async fn an_account_made_in_bulk_gets_its_full_verifiers_at_the_first_sign_in() {
    let (auth, store, _, _folder) = office(None).await;
    let signed_in = auth.password("bob@here.test", b"bobs", LOOPBACK).await.unwrap();
    let begun = Instant::now();
    let stronger = loop {
        let now = store.account("bob@here.test").await.unwrap().unwrap();
        if now.secrets != signed_in.secrets {
            break now;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(stronger.secrets.argon2.starts_with("$argon2id$"));
    assert_eq!(stronger.secrets.scram.as_ref().unwrap().iterations, secrets::SCRAM_ITERATIONS.get());
    assert!(auth.still_good(&signed_in).await, "the session goes on");
    assert!(auth.password("bob@here.test", b"bobs", LOOPBACK).await.is_ok());
    assert!(auth.password("bob@here.test", b"bob", LOOPBACK).await.is_err());
    // A password set meanwhile is not overwritten.
    store.account_secrets(signed_in.id, secrets(b"new", None).unwrap()).await.unwrap();
    store.account_strengthen(signed_in.id, &signed_in.secrets, secrets(b"bobs", None).unwrap()).await.unwrap();
    assert!(auth.password("bob@here.test", b"new", LOOPBACK).await.is_ok());
}

#[tokio::test]
async fn a_local_part_is_enough_where_one_domain_is_served() {
    let (auth, _, ann, _folder) = office(Some("here.test")).await;
    assert_eq!(auth.password("ann", b"pw", LOOPBACK).await.unwrap().id, ann);
    assert_eq!(auth.password("ann@there.test", b"pw", LOOPBACK).await.err(), Some(Refused::Credentials));
}

#[tokio::test]
async fn the_second_time_is_quick_and_a_new_password_ends_that() {
    let (auth, store, ann, _folder) = office(None).await;
    let account = auth.password("ann@here.test", b"pw", LOOPBACK).await.unwrap();
    assert!(auth.remembered.knows(ann, account.epoch, b"pw", Instant::now()));
    assert!(auth.still_good(&account).await);
    store.account_secrets(ann, secrets(b"new", None).unwrap()).await.unwrap();
    assert!(!auth.still_good(&account).await);
    assert_eq!(auth.password("ann@here.test", b"pw", LOOPBACK).await.err(), Some(Refused::Credentials));
    let account = auth.password("ann@here.test", b"new", LOOPBACK).await.unwrap();
    auth.forget(ann);
    assert!(!auth.remembered.knows(ann, account.epoch, b"new", Instant::now()));
}

#[tokio::test]
async fn a_suspended_account_is_told_so_only_with_its_password() {
    let (auth, store, ann, _folder) = office(None).await;
    let account = auth.password("ann@here.test", b"pw", LOOPBACK).await.unwrap();
    store.account_suspend(ann, true).await.unwrap();
    assert!(!auth.still_good(&account).await);
    assert_eq!(auth.password("ann@here.test", b"pw", LOOPBACK).await.err(), Some(Refused::Suspended));
    assert_eq!(auth.password("ann@here.test", b"px", LOOPBACK).await.err(), Some(Refused::Credentials));
    assert!(!sign_in(&auth, "ann@here.test", b"pw").await);
}

#[tokio::test]
async fn failures_cost_time_but_not_on_loopback() {
    let (auth, _, _, _folder) = office(None).await;
    for _ in 0..4 {
        assert_eq!(auth.password("ann@here.test", b"px", LOOPBACK).await.err(), Some(Refused::Credentials));
    }
    assert_eq!(auth.delays.reserve("ann@here.test", LOOPBACK, Instant::now()), Some(Duration::ZERO));
    let begun = Instant::now();
    for _ in 0..2 {
        assert_eq!(auth.password("nobody@here.test", b"px", AFAR).await.err(), Some(Refused::Credentials));
    }
    assert!(begun.elapsed() >= Duration::from_millis(2 * REFUSAL_MILLIS_MIN));
    assert_ne!(auth.delays.reserve("nobody@here.test", AFAR, Instant::now()), Some(Duration::ZERO));
    // Success clears what was earned.
    assert_eq!(auth.password("ann@here.test", b"px", AFAR).await.err(), Some(Refused::Credentials));
    auth.password("ann@here.test", b"pw", AFAR).await.unwrap();
    assert_eq!(auth.delays.reserve("ann@here.test", AFAR, Instant::now()), Some(Duration::ZERO));
}

/// A whole SCRAM exchange, as a face has it.
async fn sign_in(auth: &Auth, login: &str, password: &[u8]) -> bool {
    let credentials = client::Credentials { login: login.into(), password: Secret::new(password.to_vec()) };
    let mut client = client::Exchange::new(Mechanism::ScramSha256, credentials, &sign_in::nonce().unwrap());
    let initial = client.initial().unwrap();
    let (mut exchange, mut step) = server::Exchange::start(Mechanism::ScramSha256, Some(&initial));
    let mut face = SignIn::default();
    loop {
        step = match step {
            server::Step::Challenge(challenge) => match client.respond(&challenge) {
                Ok(answer) => exchange.respond(&answer),
                Err(_) => return false,
            },
            server::Step::Ask(question) => {
                let last = matches!(question, Question::ScramDone { .. });
                match face.answer(auth, question, LOOPBACK).await {
                    (Answer::Scram { verifier, nonce }, None) if !last => exchange.scram(verifier, &nonce),
                    (Answer::Accept, Some(account)) => return last && account.address == login && client.succeeded().is_ok(),
                    (Answer::Refuse(_), None) => return false,
                    other => panic!("{other:?}"),
                }
            }
            server::Step::Failed(failure) => panic!("{failure:?}"),
        }
    }
}

#[tokio::test]
async fn scram_lets_the_same_people_in() {
    let (auth, _, _, _folder) = office(None).await;
    assert!(sign_in(&auth, "ann@here.test", b"pw").await);
    assert!(sign_in(&auth, "bob@here.test", b"bobs").await);
    assert!(!sign_in(&auth, "ann@here.test", b"px").await);
    assert!(!sign_in(&auth, "nobody@here.test", b"pw").await);
}

#[tokio::test]
async fn a_stranger_looks_like_an_account() {
    let (auth, store, _, _folder) = office(None).await;
    let (account, verifier) = auth.scram("nobody@here.test", LOOPBACK).await.unwrap();
    assert!(account.is_none());
    assert_eq!(auth.scram("nobody@here.test", LOOPBACK).await.unwrap().1, verifier);
    let again = Auth::new(store, None);
    assert_eq!(again.scram("nobody@here.test", LOOPBACK).await.unwrap().1, verifier, "after a restart too");
    let (_, real) = auth.scram("ann@here.test", LOOPBACK).await.unwrap();
    assert_eq!((real.salt.len(), real.iterations), (verifier.salt.len(), verifier.iterations));
}

#[tokio::test]
async fn two_hashes_at_once_and_no_third() {
    let (auth, _store, _ann, _folder) = office(None).await;
    let auth = Arc::new(auth);
    let first = auth.hashing.clone().acquire_owned().await.unwrap();
    let second = auth.hashing.clone().acquire_owned().await.unwrap();
    assert!(auth.hashing.try_acquire().is_err());
    let asked = {
        let auth = auth.clone();
        tokio::spawn(async move { auth.password("ann@here.test", b"wrong", None).await.err() })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished(), "it waits for its turn");
    drop(first);
    assert_eq!(asked.await.unwrap(), Some(Refused::Credentials));
    drop(second);
}
