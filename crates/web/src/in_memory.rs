//! For tests: a store that is gone with its disk in memory.

#![allow(clippy::unwrap_used)]

use store::{MemoryDisk, Store, StoreConfig};

pub(crate) async fn store_on(disk: &MemoryDisk) -> Store {
    let config =
        StoreConfig { data_dir: "unused".into(), undo_days: 1, free_bytes_min: 0, free_bytes_tight: 0, message_bytes_max: 1000 };
    disk.open(config).await.unwrap()
}
