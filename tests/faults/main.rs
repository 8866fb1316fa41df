//! Every fault on real containers: it bites, it leaves the others alone, and healing restores what was. One file a
//! plane; three run side by side, but systems start one at a time, and none beside a test that holds faults to
//! milliseconds.

mod bench;
mod clock;
mod composition;
mod container;
mod disk;
mod etcd;
mod host;
mod links;
mod network;
mod operator;
mod process;
mod starvation;
mod tls;
mod upgrades;
