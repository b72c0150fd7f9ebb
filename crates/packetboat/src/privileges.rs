//! Who we are: started as root, the server goes on as somebody else, for good.
//!
//! The calls change one thread only, so they are made before any other thread exists: threads inherit.
//! Safe because group list, group and user are set in this order and then shown to be gone.

use rustix::process::{Gid, Resource, Rlimit, Uid, geteuid, getuid};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Are we root?
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Finds a user by name in the text of `/etc/passwd`.
fn find_in(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (found == name).then(|| User { name: found.into(), uid, gid })
    })
}

/// Finds a user by name.
pub(crate) fn find(name: &str) -> Option<User> {
    find_in(&std::fs::read_to_string("/etc/passwd").ok()?, name)
}

/// Becomes this user, for good. Call it before any thread is started.
pub(crate) fn become_user(user: &User) -> Result<(), String> {
    let failed = |what: &str, error: rustix::io::Errno| format!("cannot become the user {}: {what}: {error}", user.name);
    let gid = Gid::from_raw(user.gid);
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_groups(&[gid]).map_err(|error| failed("setgroups", error))?;
    rustix::thread::set_thread_gid(gid).map_err(|error| failed("setgid", error))?;
    rustix::thread::set_thread_uid(uid).map_err(|error| failed("setuid", error))?;
    let root_is_gone = getuid() == uid && geteuid() == uid && rustix::thread::set_thread_uid(Uid::ROOT).is_err();
    if root_is_gone || user.uid == 0 {
        Ok(())
    } else {
        Err(format!("cannot become the user {}: root's rights came back", user.name))
    }
}

/// The user that root shall go on as: the one the configuration names (`given`: then it must exist), else the owner of the
/// data. `None` when we are not root, or nobody but root is left.
pub(crate) fn unprivileged(name: &str, given: bool, data: &Path) -> Result<Option<User>, String> {
    if !is_root() {
        return Ok(None);
    }
    match find(name) {
        None if given => Err(format!("there is no user {name}: make one, or name another with `user`")),
        None => Ok(owner_of(data)),
        found => Ok(found.filter(|user| user.uid != 0)),
    }
}

/// Who owns a folder, if it is there and not root's.
fn owner_of(folder: &Path) -> Option<User> {
    let facts = std::fs::metadata(folder).ok().filter(|facts| facts.uid() != 0)?;
    Some(User { name: format!("with id {}", facts.uid()), uid: facts.uid(), gid: facts.gid() })
}

/// Gives a new or empty folder to a user; one with something in it must be theirs already.
pub(crate) fn give_folder(folder: &Path, user: &User) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    if std::fs::metadata(folder).map_err(told)?.uid() == user.uid {
        return Ok(());
    }
    if std::fs::read_dir(folder).map_err(told)?.next().is_some() {
        let place = folder.display();
        return Err(format!(
            "{place} belongs to another user than {0}: chown -R {0} {place}, or name its owner with `user`",
            user.name
        ));
    }
    std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid)).map_err(told)
}

/// Root working on somebody's data goes on as its owner, so that no file of another owner is left there.
pub(crate) fn become_owner_of(folder: &Path) -> Result<(), String> {
    match owner_of(folder) {
        Some(user) if is_root() => become_user(&user),
        _ => Ok(()),
    }
}

/// What we make is ours alone, unless its maker says otherwise.
pub(crate) fn close_to_others() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// As many open files as the system lets us have: a connection is one.
pub(crate) fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let text =
            "root:x:0:0:root:/root:/bin/bash\n# comment\nmailer:x:101:102::/:/bin/false\nmail:x:8:9:mail:/var/mail:/bin/false\n";
        assert_eq!(find_in(text, "mail"), Some(User { name: "mail".into(), uid: 8, gid: 9 }));
        assert_eq!(find_in(text, "nobody"), None);
    }
}
