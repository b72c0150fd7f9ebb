//! The data directory: ours alone, on a local disk, closed to others.
//!
//! Invariant: two processes never have one store open; a network file system is refused in plain words.

use crate::engine::io_error;
use crate::types::StoreError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

type Result<T> = std::result::Result<T, StoreError>;

/// statfs magics (statfs(2)) of file systems whose locks and syncs cannot be trusted between machines.
const NETWORKED: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x5346_414F, "AFS"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

fn make_private(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| io_error(&error));
    }
    let mode = folder.metadata().map_err(|error| io_error(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(|error| io_error(&error))?;
    }
    Ok(())
}

/// Makes the names that lead to the folder durable, on its own file system. At every start: whoever made them (the
/// operator, an installer, we as root) may not have.
fn sync_names(folder: &Path) -> std::io::Result<()> {
    let folder = folder.canonicalize()?;
    let device = folder.metadata()?.dev();
    for parent in folder.ancestors().skip(1) {
        if parent.metadata()?.dev() != device {
            break;
        }
        match File::open(parent).and_then(|parent| parent.sync_all()) {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Makes the folder if need be, refuses what is not a local disk, and takes the lock until the file is dropped.
pub(crate) fn take(folder: &Path) -> Result<File> {
    make_private(folder)?;
    sync_names(folder).map_err(|error| io_error(&error))?;
    let system = rustix::fs::statfs(folder).map_err(|error| StoreError::Io(error.to_string()))?;
    if let Some((_, name)) = NETWORKED.iter().find(|(magic, _)| *magic == system.f_type as u64) {
        let told = format!("{} is on a network file system ({name}); the store needs a local disk", folder.display());
        return Err(StoreError::Io(told));
    }
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io_error(&error))?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(StoreError::Io(error.to_string()));
        }
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let told = match holder.trim() {
            "" => "another process".into(),
            pid => format!("process {pid}"),
        };
        return Err(StoreError::Locked(format!("{} is in use by {told}", folder.display())));
    }
    let write = (|| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    })();
    write.map_err(|error| io_error(&error))?;
    Ok(file)
}

/// A folder with nothing in it: what an interrupted process left there was never acknowledged.
pub(crate) fn empty_folder(folder: &Path) -> Result<()> {
    make_private(folder)?;
    for entry in std::fs::read_dir(folder).map_err(|error| io_error(&error))? {
        let path = entry.map_err(|error| io_error(&error))?.path();
        if path.is_file() {
            std::fs::remove_file(&path).map_err(|error| io_error(&error))?;
        }
    }
    Ok(())
}
