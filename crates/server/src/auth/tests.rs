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
    let mut client = client::Exchange::new(Mechanism::ScramSha256, credentials, &sign_in::nonce().unwrap(), None);
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
                match face.answer(auth, question, Client::default()).await {
                    (Answer::Scram { verifier, nonce }, None) if !last => exchange.scram(verifier, &nonce),
                    (Answer::Accept, Some(account)) => return last && account.address == login && client.succeeded().is_ok(),
                    (Answer::Refuse(_), None) => return false,
                    other => panic!("{other:?}"),
                }
            }
            server::Step::Refused(_) => return false,
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
    let (account, verifier, _) = auth.scram("nobody@here.test", LOOPBACK).await.unwrap();
    assert!(account.is_none());
    assert_eq!(auth.scram("nobody@here.test", LOOPBACK).await.unwrap().1, verifier);
    let again = Auth::new(store, None);
    assert_eq!(again.scram("nobody@here.test", LOOPBACK).await.unwrap().1, verifier, "after a restart too");
    let (_, real, _) = auth.scram("ann@here.test", LOOPBACK).await.unwrap();
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

#[tokio::test]
async fn an_app_password_opens_by_every_mechanism_until_it_is_taken_away() {
    let (auth, store, ann, _folder) = office(None).await;
    let bob = store.account("bob@here.test").await.unwrap().unwrap();
    for (id, login, main) in [(ann, "ann@here.test", b"pw".as_slice()), (bob.id, "bob@here.test", b"bobs")] {
        let account = store.account_by_id(id).await.unwrap().unwrap();
        let scram = account.secrets.scram.clone().unwrap();
        let (password, kept) = new_app_password("phone", Some((&scram.salt, scram.iterations)), 1_000).unwrap();
        assert!(password.len() == 26 && password.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit()));
        store.app_password_add(id, kept.clone()).await.unwrap();
        assert_eq!(store.app_password_add(id, kept).await, Err(store::StoreError::Exists));

        assert!(auth.password(login, password.as_bytes(), LOOPBACK).await.is_ok());
        let spaced = format!("{} {}", password[..6].to_uppercase(), &password[6..]);
        assert!(auth.password(login, spaced.as_bytes(), LOOPBACK).await.is_ok());
        assert!(sign_in(&auth, login, password.as_bytes()).await && sign_in(&auth, login, main).await);
        assert!(auth.token(Some(login), password.as_bytes(), LOOPBACK).await.is_ok());
        assert_eq!(auth.token(None, password.as_bytes(), LOOPBACK).await.err(), Some(Refused::Credentials));
        assert_eq!(auth.token(Some("eve@here.test"), password.as_bytes(), LOOPBACK).await.err(), Some(Refused::Credentials));
        // Full verifiers come at the first sign-in by password; the app password goes on fitting SCRAM.
        let before = auth.password(login, main, LOOPBACK).await.unwrap();
        let begun = Instant::now();
        while secrets::are_weak(&store.account(login).await.unwrap().unwrap().secrets) {
            assert!(begun.elapsed() < Duration::from_secs(30), "never");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(sign_in(&auth, login, password.as_bytes()).await && sign_in(&auth, login, main).await);

        store.app_password_remove(id, "phone").await.unwrap();
        assert_eq!(store.app_password_remove(id, "phone").await, Err(store::StoreError::NotFound));
        assert!(!auth.still_good(&before).await, "its sessions end");
        assert!(!sign_in(&auth, login, password.as_bytes()).await && sign_in(&auth, login, main).await);
        assert_eq!(auth.password(login, password.as_bytes(), LOOPBACK).await.err(), Some(Refused::Credentials));
    }
}

/// A hundred sessions of an account made in bulk, opened at once, are not a hundred hashes before the next one's sign-in.
#[tokio::test]
async fn what_strengthens_an_account_stands_before_nobody() {
    let (auth, store, _, _folder) = office(None).await;
    let login = "bob@here.test";
    let is_weak = async || secrets::are_weak(&store.account(login).await.unwrap().unwrap().secrets);
    assert!(is_weak().await && auth.password(login, b"bobs", LOOPBACK).await.is_ok());
    let busy = Arc::clone(&auth.hashing).try_acquire_many_owned(2).unwrap();
    for _ in 0..20 {
        assert!(auth.password(login, b"bobs", LOOPBACK).await.is_ok(), "remembered: it waits for no hash");
        tokio::task::yield_now().await;
    }
    assert!(is_weak().await && Arc::strong_count(&auth.hashing) <= 3, "{} are at it", Arc::strong_count(&auth.hashing));
    drop(busy);
    let begun = Instant::now();
    while is_weak().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_second_factor_leaves_programs_their_own_passwords_only() {
    let (auth, store, ann, _folder) = office(None).await;
    let auth = auth.with_second_factor(Arc::new(move |account| Box::pin(async move { Ok(account == ann) })));
    let login = "ann@here.test";
    let scram = store.account(login).await.unwrap().unwrap().secrets.scram.clone().unwrap();
    let (program, kept) = new_app_password("phone", Some((&scram.salt, scram.iterations)), 1_000).unwrap();
    store.app_password_add(ann, kept).await.unwrap();
    for again in [false, true] {
        // The second time the password is remembered: that makes no difference.
        let refused = auth.program_password(login, b"pw", LOOPBACK).await.err();
        assert_eq!(refused, Some(Refused::ProgramPassword), "{again}");
    }
    assert_eq!(auth.program_password(login, b"px", LOOPBACK).await.err(), Some(Refused::Credentials));
    assert!(!sign_in(&auth, login, b"pw").await, "SCRAM neither");
    assert!(auth.program_password(login, program.as_bytes(), LOOPBACK).await.is_ok());
    assert!(sign_in(&auth, login, program.as_bytes()).await);
    assert!(auth.token(Some(login), program.as_bytes(), LOOPBACK).await.is_ok());
    assert!(auth.password(login, b"pw", LOOPBACK).await.is_ok(), "the browser asks for the code itself");
    assert!(sign_in(&auth, "bob@here.test", b"bobs").await, "others go on as they were");
}

#[tokio::test]
async fn a_token_signs_in_whom_it_names_and_nobody_else() {
    let (auth, store, ann, folder) = office(None).await;
    let issuer = oauth::tests::Issuer::new();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, issuer.key_set()).unwrap();
    let auth = auth.with_oauth(Some(OAuth::new(oauth::tests::settings(path)).unwrap()));
    let claims = |email: &str| serde_json::json!({ "iss": "https://id.test", "aud": ["mail"], "exp": net::clock::unix_now() + 60, "email": email });
    let token = |email: &str| issuer.token(serde_json::json!({ "alg": "EdDSA" }), claims(email)).into_bytes();
    let shown =
        async |login: Option<&str>, email: &str| auth.token(login, &token(email), LOOPBACK).await.map(|account| account.id);
    assert_eq!(shown(None, "Ann@here.test").await, Ok(ann));
    assert_eq!(shown(Some("ann@HERE.test"), "ann@here.test").await, Ok(ann));
    assert_eq!(shown(Some("bob@here.test"), "ann@here.test").await, Err(Refused::Credentials));
    assert_eq!(shown(None, "nobody@here.test").await, Err(Refused::Credentials));
    assert_eq!(
        auth.token(Some("ann@here.test"), b"pw", LOOPBACK).await.err(),
        Some(Refused::Credentials),
        "a password is no token"
    );
    assert_eq!(auth.discovery().as_deref(), Some("https://id.test/.well-known/openid-configuration"));
    store.account_suspend(ann, true).await.unwrap();
    assert_eq!(shown(None, "ann@here.test").await, Err(Refused::Suspended));
}

#[tokio::test]
async fn a_certificate_signs_in_whom_it_speaks_for() {
    let (auth, _, ann, _folder) = office(Some("here.test")).await;
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let shown = async |login: Option<&str>, list: &[&str]| {
        auth.certificate(login, &names(list), LOOPBACK).await.map(|account| account.id)
    };
    assert_eq!(shown(None, &["ann@here.test"]).await, Ok(ann));
    assert_eq!(shown(Some("ann"), &["ann@here.test", "bob@here.test"]).await, Ok(ann));
    assert_eq!(shown(None, &["ann@here.test", "bob@here.test"]).await, Err(Refused::Credentials));
    assert_eq!(shown(Some("bob"), &["ann@here.test"]).await, Err(Refused::Credentials));
    assert_eq!(shown(Some("ann"), &[]).await, Err(Refused::Credentials));
    assert_eq!(shown(None, &["nobody@here.test"]).await, Err(Refused::Credentials));
}
