//! Who we are: started as root, the server goes on as somebody else, for good.
//!
//! The calls change one thread only, so they are made before any other thread exists: threads inherit.
//! Safe because group list, group and user are set in this order and then shown to be gone.

use rustix::process::{Gid, Uid, geteuid, getuid};
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
    if root_is_gone || user.uid == 0 { Ok(()) } else { Err(format!("cannot become the user {}: root's rights came back", user.name)) }
}

/// Root working on somebody's data goes on as its owner, so that no file of another owner is left there.
pub(crate) fn become_owner_of(folder: &Path) -> Result<(), String> {
    let Ok(facts) = std::fs::metadata(folder) else { return Ok(()) };
    if !is_root() || facts.uid() == 0 {
        return Ok(());
    }
    become_user(&User { name: format!("with id {}", facts.uid()), uid: facts.uid(), gid: facts.gid() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let text = "root:x:0:0:root:/root:/bin/bash\n# comment\nmailer:x:101:102::/:/bin/false\nmail:x:8:9:mail:/var/mail:/bin/false\n";
        assert_eq!(find_in(text, "mail"), Some(User { name: "mail".into(), uid: 8, gid: 9 }));
        assert_eq!(find_in(text, "nobody"), None);
    }
}
