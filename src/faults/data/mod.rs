//! Faults of data: files that are gone, pages that hold other bytes.

pub(super) mod data_directory_wiped;
pub(super) mod etcd_member_lost;
pub(super) mod page_corrupted;
