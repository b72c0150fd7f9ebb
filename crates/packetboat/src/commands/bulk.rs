//! Thousands of accounts at once: lines of `address,password`, checked all before the first is made, their verifiers
//! computed on every core, one commit for some hundred.

use super::{Doer, passwords};
use crate::admin::views::SecretsText;
use crate::admin::{AccountWanted, Request, check_account_address};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Accounts of one commit.
const BATCH: usize = 500;
/// Problems told before the rest is only counted.
const PROBLEMS_TOLD_MAX: usize = 50;

/// One account to be made.
pub(super) struct Row {
    address: String,
    password: Zeroizing<String>,
}

/// Reads a file (`-`: standard input) and checks every line.
pub(super) fn read(file: &Path, domains: &[String]) -> Result<Vec<Row>, String> {
    let mut text = Zeroizing::new(String::new());
    let outcome = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text).map(|_| ()))
    };
    outcome.map_err(|error| format!("{}: {error}", file.display()))?;
    parse(&text, &file.display().to_string(), domains)
}

fn parse(text: &str, name: &str, domains: &[String]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() || (index == 0 && line.eq_ignore_ascii_case("address,password")) {
            continue;
        }
        match row(line, domains) {
            Ok(row) => {
                if let Some(first) = seen.insert(store::normalise(&row.address), number) {
                    problems.push(format!("{name}:{number}: {} is in line {first} too", row.address));
                }
                rows.push(row);
            }
            Err(why) => problems.push(format!("{name}:{number}: {why}")),
        }
    }
    if problems.is_empty() {
        return Ok(rows);
    }
    let more = problems.len().saturating_sub(PROBLEMS_TOLD_MAX);
    problems.truncate(PROBLEMS_TOLD_MAX);
    let more = if more > 0 { format!("\n... and {more} more") } else { String::new() };
    Err(format!("no account is made:\n{}{more}", problems.join("\n")))
}

fn row(line: &str, domains: &[String]) -> Result<Row, String> {
    let (address, password) = line.split_once(',').ok_or("wants `address,password`")?;
    let address = address.trim().to_owned();
    check_account_address(&address, domains)?;
    passwords::check(password)?;
    Ok(Row { address, password: Zeroizing::new(password.to_owned()) })
}

/// Makes them.
pub(super) async fn add(doer: &mut Doer, rows: Vec<Row>, quota_bytes: Option<u64>) -> Result<Value, String> {
    let mut added: Vec<Value> = Vec::new();
    let mut refused: Vec<Value> = Vec::new();
    let mut rows = rows.into_iter().peekable();
    let mut next = hash(rows.by_ref().take(BATCH).collect(), quota_bytes);
    loop {
        let accounts = next.await.map_err(|error| error.to_string())??;
        // The next batch's verifiers are computed while this one is committed.
        next = hash(rows.by_ref().take(BATCH).collect(), quota_bytes);
        if accounts.is_empty() {
            return Ok(json!({ "added": added, "refused": refused }));
        }
        let mut answer = doer.perform(Request::AccountAdd { accounts }).await?;
        let mut take = |name: &str| answer.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        added.extend(take("added"));
        refused.extend(take("refused"));
    }
}

fn hash(rows: Vec<Row>, quota_bytes: Option<u64>) -> tokio::task::JoinHandle<Result<Vec<AccountWanted>, String>> {
    tokio::task::spawn_blocking(move || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = rows.len().div_ceil(cores).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = rows.chunks(share).map(|rows| scope.spawn(move || hash_some(rows, quota_bytes))).collect();
            let mut accounts = Vec::with_capacity(rows.len());
            for worker in workers {
                accounts.extend(worker.join().map_err(|_| "computing verifiers failed".to_owned())??);
            }
            Ok(accounts)
        })
    })
}

fn hash_some(rows: &[Row], quota_bytes: Option<u64>) -> Result<Vec<AccountWanted>, String> {
    let wanted = |row: &Row| {
        let secrets = server::auth::secrets_for_many(row.password.as_bytes())?;
        Ok(AccountWanted { address: row.address.clone(), secrets: SecretsText::from(secrets), quota_bytes })
    };
    rows.iter().map(wanted).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_may_have_commas_and_spaces() {
        let row = row("ann@here.test,a, b", &["here.test".into()]).unwrap();
        assert_eq!((row.address.as_str(), row.password.as_str()), ("ann@here.test", "a, b"));
    }

    #[test]
    fn every_bad_line_is_told_with_its_number_and_none_is_made() {
        let text = "address,password\nann@here.test,x\nbob\n\ncarl@there.test,y\nANN@here.test,z\nd@here.test,\n";
        let told = parse(text, "people.csv", &["here.test".into()]).err().unwrap();
        for wanted in [
            "people.csv:3: wants `address,password`",
            "people.csv:5: ",
            "people.csv:6: ANN@here.test is in line 2 too",
            "people.csv:7: the password is empty",
        ] {
            assert!(told.contains(wanted), "{wanted} in {told}");
        }
    }
}
